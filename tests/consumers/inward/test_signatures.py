"""Only what a sender signed, for this topic and with this key, is that sender's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from consumers.inward import signatures
from consumers.inward.messages import Correspondence, read
from consumers.inward.records import Unusable, UnusableError
from consumers.inward.signatures import (
    KEY_ID,
    SIGNATURE,
    Senders,
    SendersFile,
    signed_bytes,
)
from domain.acts import ActorKind
from office.errors import OperatorError
from tests.consumers.inward.letters import (
    ED25519,
    FILE,
    OTHER_SECRET,
    PUBLIC,
    SECRET,
    by_secret,
    letter,
    senders,
    senders_file,
)
from tests.docs.pages import DOCS, blocks


def refused(tmp_path: Path, **changes: Any) -> Unusable:
    with pytest.raises(UnusableError) as error:
        senders(tmp_path).sender_of(letter(**changes))
    return error.value.cause


def test_a_signed_message_is_its_senders_by_either_way(tmp_path: Path) -> None:
    for message in (letter(), letter(key_id="civ-2", sign=ED25519.sign)):
        sender = senders(tmp_path).sender_of(message)
        assert (sender.role, sender.id) == (ActorKind.AGENCY, "officer-1")
        assert (sender.agency, sender.governorate) == ("CIV", "SY-DI")
    bank = senders(tmp_path).sender_of(letter(key_id="bank-key"))
    assert (bank.role, bank.agency) == (ActorKind.BANK, None)


def test_a_record_without_a_key_is_signed_as_such(tmp_path: Path) -> None:
    assert senders(tmp_path).sender_of(letter(key=None)).id == "officer-1"
    # Neither can be made of the other.
    one = signed_bytes(topic="t", key_id="k", key=None, value=b"v")
    assert one != signed_bytes(topic="t", key_id="k", key=b"", value=b"v")


@pytest.mark.parametrize(
    "changes",
    [
        {"value": b'{"a":1}', "headers": letter().headers},
        {"key": b"other", "headers": letter().headers},
        {"key": None, "headers": letter().headers},
        {"key": b"", "value": b"k{}", "headers": letter().headers},
        {"topic": "sijil.bank-payments.v1", "headers": letter().headers},
        {"sign": by_secret(OTHER_SECRET)},
        {"key_id": "civ-2"},
        {"sign": lambda _: b""},
        {"sign": lambda signed: by_secret()(signed)[:-1]},
        {"headers": ((KEY_ID, b"civ-1"), (SIGNATURE, b"not base64!"))},
        {"headers": ((KEY_ID, b"civ-1"), (SIGNATURE, b"\xff\xfe"))},
    ],
)
def test_what_was_changed_moved_or_signed_by_another_is_forged(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    assert refused(tmp_path, **changes) is Unusable.WRONG_SIGNATURE


def test_a_message_signed_under_one_key_is_not_anothers(tmp_path: Path) -> None:
    """Two senders may have been given one secret by mistake."""
    headers = dict(letter().headers)
    moved = ((KEY_ID, b"post-key"), (SIGNATURE, headers[SIGNATURE]))
    assert refused(tmp_path, headers=moved) is Unusable.WRONG_SIGNATURE


def test_unsigned_and_unknown_keys_are_told_apart(tmp_path: Path) -> None:
    signed = letter().headers
    for headers in ((), signed[:1], signed[1:], (*signed, signed[0])):
        assert refused(tmp_path, headers=headers) is Unusable.UNSIGNED
    for key_id in (b"civ-9", b"", b"\xff"):
        headers = ((KEY_ID, key_id), signed[1])
        assert refused(tmp_path, headers=headers) is Unusable.UNKNOWN_KEY


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sender = []", "wrong at sender"),
        ("[[sender]", "is no TOML"),
        (FILE.replace(SECRET.hex(), SECRET.hex()[2:]), "64 hexadecimal digits"),
        (FILE.replace("post-key", "civ-1"), "the key civ-1 twice"),
        (FILE.replace('kind = "post"', 'kind = "clerk"'), "wrong at sender.1"),
        (FILE.replace('agency = "CIV"', ""), "wrong at sender.0"),
        (FILE.replace('id = "post-1"', 'id = "0100 0099887"'), "wrong shape"),
        (FILE + "\nextra = 1", "wrong at"),
    ],
)
def test_a_wrong_file_is_named_and_shows_no_secret(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(OperatorError, match=said) as error:
        Senders.read(senders_file(tmp_path, text))
    assert SECRET.hex()[2:20] not in str(error.value)


def test_a_file_of_secrets_is_nobody_elses_to_read(tmp_path: Path) -> None:
    path = senders_file(tmp_path)
    path.chmod(0o640)
    with pytest.raises(OperatorError, match="not 0600"):
        Senders.read(path)
    with pytest.raises(OperatorError, match="cannot be read"):
        Senders.read(tmp_path / "missing")
    # Public keys alone are no secret.
    text = f"""
    [[sender]]
    kind = "post"
    id = "post-1"
    key = [{{ id = "p", algorithm = "ed25519", public_key = "{PUBLIC.hex()}" }}]
    """
    path = senders_file(tmp_path, text)
    path.chmod(0o644)
    Senders.read(path)


def test_a_key_is_given_and_taken_away_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signatures, "LOOK_EVERY_S", 0.0)
    path = senders_file(tmp_path)
    known = SendersFile(path)
    old, new = letter(key_id="civ-1"), letter(key_id="civ-3")
    known().sender_of(old)
    with pytest.raises(UnusableError):
        known().sender_of(new)
    senders_file(tmp_path, FILE.replace("civ-1", "civ-3"))
    os.utime(path, ns=(1, 1))
    known().sender_of(new)
    with pytest.raises(UnusableError):
        known().sender_of(old)
    # A file that is wrong changes nothing.
    senders_file(tmp_path, "[[sender]")
    os.utime(path, ns=(2, 2))
    known().sender_of(new)


def test_the_documentation_signs_as_we_check(tmp_path: Path) -> None:
    page = DOCS / "how-to" / "receive-from-kafka.md"
    (block,) = [each for each in blocks(page) if each.language == "python"]
    made: dict[str, Any] = {}
    exec(block.code, made)  # noqa: S102 -- our own page
    message = letter(
        made["value"], topic=made["topic"], key=made["key"], headers=made["headers"]
    )
    text = FILE.replace(SECRET.hex(), made["secret"].hex())
    file = senders_file(tmp_path, text.replace("bank-key", made["key_id"]))
    assert Senders.read(file).sender_of(message).id == "bank-1"
    assert read(Correspondence.PAYMENTS, made["value"]).type == "sijil.bank-payment.v1"
    # The senders of the page are such a file, but for the secret.
    (toml,) = [each for each in blocks(page) if each.language == "toml"]
    words = "64 hexadecimal digits that nobody else has"
    Senders.read(senders_file(tmp_path, toml.code.replace(words, SECRET.hex())))
