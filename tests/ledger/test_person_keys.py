"""Persons' own keys: they open under the master key that wrapped them, and no other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ledger.sealing import VaultError, VaultKeys
from tests.conftest import Database
from tests.ledger.vault_scene import DETAILS, KEYS, Scene


@pytest.fixture
def scene(database: Database) -> Iterator[Scene]:
    return Scene(database)


def test_another_master_key_opens_nothing(scene: Scene) -> None:
    party = scene.open()
    with pytest.raises(VaultError):
        scene.with_keys(VaultKeys(master=b"x" * 32, index=KEYS.index)).details(party)


def test_the_masters_key_can_change(scene: Scene) -> None:
    party = scene.open()
    new = scene.with_keys(
        VaultKeys(master=b"n" * 32, index=KEYS.index, master_name="m2")
    )
    assert new.rewrap(KEYS) == 1
    assert new.details(party) == DETAILS
    with pytest.raises(VaultError):
        scene.vault.details(party)
