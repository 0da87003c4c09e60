"""Sealing: values under keys, and digests that say nothing without a key or a salt.

No database here: what is given is sealed, opened or digested, and nothing is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
"""96 random bits: a person has far fewer than 2**32 values under one key."""


class VaultError(RuntimeError):
    """A seal does not open, or a party is not there. Carries no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultKeys:
    """The keys that are in no database. ``master_name`` says which master it is."""

    master: bytes
    index: bytes
    master_name: str = "m1"

    def __repr__(self) -> str:
        return f"VaultKeys(master_name={self.master_name!r})"

    def wrap(self, person_id: str, key: bytes) -> bytes:
        """A person's key under the master key, bound to the person."""
        return seal(self.master, key, f"person/{person_id}")

    def unwrap(self, person_id: str, wrapped: bytes) -> bytes:
        """The person's key. Raises VaultError for another master key or person."""
        return open_seal(self.master, wrapped, f"person/{person_id}")


def seal(key: bytes, plain: bytes, about: str) -> bytes:
    """``plain`` under ``key``: nonce and AES-256-GCM text, bound to ``about``."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, about.encode())


def open_seal(key: bytes, sealed: bytes, about: str) -> bytes:
    """What was sealed. Raises VaultError for another key, place or altered bytes."""
    try:
        return AESGCM(key).decrypt(
            sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about.encode()
        )
    except (InvalidTag, ValueError) as error:
        raise VaultError("a seal does not open") from error


def bound_to(person_id: str, party_id: UUID, field: str) -> str:
    """What a seal is bound to, so that no row can stand in for another."""
    return f"{person_id}/{party_id}/{field}"


def blind(key: bytes, kind: str, value: str) -> bytes:
    """The keyed digest that a normalised value is found by."""
    return hmac.digest(key, f"{kind}\0{value}".encode(), hashlib.sha256)


def salted_digest(salt: bytes, document: bytes) -> str:
    """The digest of a document in an event: SHA-256 over salt and bytes, as hex."""
    return hashlib.sha256(salt + document).hexdigest()
