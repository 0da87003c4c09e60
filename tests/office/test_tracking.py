"""What number and code show, and that nothing else shows anything."""

from __future__ import annotations

import hashlib
import secrets

import pytest

from domain.ids import tracking_number
from office.requests import secret_code
from office.tracking import CitizenTracking, Tracked
from tests.office.scene import Scene


@pytest.fixture
def receipt(scene: Scene) -> tuple[str, str]:
    request = scene.get(scene.mailed())
    scene.level()
    return request.tracking_number, scene.requests.code_of(request)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06d}"


def test_number_and_code_show_the_way_so_far(
    scene: Scene, receipt: tuple[str, str]
) -> None:
    found = scene.house.tracking.look(*receipt)
    assert isinstance(found, Tracked)
    assert [step.name for step in found.steps][-2:] == ["stamped", "mailed"]


def test_the_number_may_be_typed_as_people_type(
    scene: Scene, receipt: tuple[str, str]
) -> None:
    arabic = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
    number, code = receipt
    typed = f" {number.replace('-', ' ').lower()} ".translate(arabic)
    assert scene.house.tracking.look(typed, f" {code.translate(arabic)} ") is not None


@pytest.mark.parametrize("code", ["", "x", "٠", "\ud800", "1" * 5_000])
def test_any_other_code_shows_nothing(
    scene: Scene, receipt: tuple[str, str], code: str
) -> None:
    assert scene.house.tracking.look(receipt[0], code) is None


def test_the_code_of_one_opens_no_other(scene: Scene, receipt: tuple[str, str]) -> None:
    number, code = receipt
    other = scene.get(scene.submit())
    scene.level()
    assert scene.house.tracking.look(number, wrong(code)) is None
    mine = scene.requests.code_of(other)
    assert scene.house.tracking.look(number, mine) is None or mine == code
    assert scene.house.tracking.look(tracking_number(other.id), mine) is not None


@pytest.mark.parametrize("number", ["", "no-number", "0000-0000-0000-0", "\ud800"])
def test_a_number_that_is_nobodys_shows_nothing(
    scene: Scene, receipt: tuple[str, str], number: str
) -> None:
    assert scene.house.tracking.look(number, receipt[1]) is None


def test_printed_codes_live_when_the_key_changes(
    scene: Scene, receipt: tuple[str, str]
) -> None:
    queries = scene.house.queries.tracking
    former = scene.database.settings.tracking_code_keys()
    rotated = CitizenTracking(queries, {**former, "k2": secrets.token_bytes(32)})
    assert rotated.look(*receipt) is not None


def test_a_lost_key_opens_nothing_and_can_be_guessed_by_nobody(
    scene: Scene, receipt: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = {"k2": secrets.token_bytes(32)}
    queries = scene.house.queries.tracking
    found = queries.by_number(receipt[0])
    assert found is not None
    name = found.state.code_key
    # What whoever knows the key's name could work out by themselves.
    public = {name: hashlib.sha256(name.encode()).digest()}
    guessed = secret_code(public, name, found.request_id)
    codes = [receipt[1], guessed]
    # One in a million is the chance of any guess: a key that has neither for its code.
    nobodys = next(
        key
        for key in map(bytes, range(32, 40))
        if secret_code({name: key}, name, found.request_id) not in codes
    )
    monkeypatch.setattr("office.requests.desk._NO_KEY", nobodys)
    tracking = CitizenTracking(queries, lost)
    assert [tracking.look(receipt[0], code) for code in codes] == [None, None]
