"""Sealing: what is sealed opens under its key and in its place, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.sealing import VaultError, blind, open_seal, seal
from tests.ledger.vault_scene import KEYS


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.text())
def test_a_seal_opens_to_what_was_sealed(key: bytes, plain: bytes, about: str) -> None:
    about = about.encode("utf-8", "ignore").decode()
    assert open_seal(key, seal(key, plain, about), about) == plain


@given(st.binary(min_size=1, max_size=50), st.integers(0), st.integers(1, 255))
def test_one_changed_bit_and_it_stays_shut(plain: bytes, place: int, flip: int) -> None:
    sealed = bytearray(seal(b"k" * 32, plain, "here"))
    sealed[place % len(sealed)] ^= flip
    with pytest.raises(VaultError):
        open_seal(b"k" * 32, bytes(sealed), "here")


@given(st.text(), st.text())
def test_it_opens_in_its_own_place_only(here: str, there: str) -> None:
    here, there = (t.encode("utf-8", "ignore").decode() for t in (here, there))
    if here != there:
        with pytest.raises(VaultError):
            open_seal(b"k" * 32, seal(b"k" * 32, b"x", here), there)


def test_kinds_do_not_meet_in_the_index() -> None:
    assert blind(b"k", "phone", "1") != blind(b"k", "national_number", "1")
    assert blind(b"k", "a", "b") != blind(b"x", "a", "b")


def test_keys_are_not_in_their_repr() -> None:
    assert repr(KEYS) == "VaultKeys(master_name='m1')"
