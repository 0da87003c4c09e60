"""Who sent a message: each is signed with a key of its sender, and nobody else's.

What is signed is the topic, the key's id, the record's key and its value, so that a
message can be moved to no other topic and given to no other sender.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Literal, Protocol, Self

import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from consumers.inward.records import InwardMessage, Unusable, UnusableError
from domain.access import Principal
from domain.acts import ActorKind
from domain.errors import InvalidValueError
from domain.naming import checked_code
from office.errors import OperatorError

KEY_ID = "sijil_key_id"
SIGNATURE = "sijil_signature"
_KEY_BYTES = 32
"""Of an HMAC's secret and of an Ed25519 public key alike."""
_PRIVATE = 0o077
"""What others may do with a file of secrets: nothing."""
LOOK_EVERY_S = 2.0
"""How soon a key that was given or taken away counts."""

_log = structlog.get_logger()


def signed_bytes(*, topic: str, key_id: str, key: bytes | None, value: bytes) -> bytes:
    """What a sender signs.

    Topic and key id hold no line feed, and the key's length stands before it, so two
    messages never give the same bytes. A record without a key has the length ``-``.
    """
    length = "-" if key is None else str(len(key))
    head = f"sijil-message/v1\n{topic}\n{key_id}\n{length}\n".encode()
    return head + (key or b"") + value


class _Key(Protocol):
    def is_right(self, signature: bytes, signed: bytes) -> bool:
        """Whether the signature is this key's."""


@dataclass(frozen=True, slots=True)
class _Hmac:
    secret: bytes = field(repr=False)

    def is_right(self, signature: bytes, signed: bytes) -> bool:
        made = hmac.digest(self.secret, signed, hashlib.sha256)
        return hmac.compare_digest(made, signature)


@dataclass(frozen=True, slots=True)
class _Ed25519:
    public: Ed25519PublicKey

    def is_right(self, signature: bytes, signed: bytes) -> bool:
        try:
            self.public.verify(signature, signed)
        except InvalidSignature:
            return False
        return True


class _WrittenKey(BaseModel):
    """A key as the file has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    algorithm: Literal["hmac-sha256", "ed25519"]
    secret: SecretStr | None = None
    public_key: str | None = None

    @model_validator(mode="after")
    def _has_its_own(self) -> Self:
        checked_code(self.id, field="id")
        is_hmac = self.algorithm == "hmac-sha256"
        if is_hmac != (self.secret is not None) or is_hmac != (self.public_key is None):
            raise ValueError("hmac-sha256 has a secret, ed25519 a public_key")
        if len(self._bytes()) != _KEY_BYTES:
            raise ValueError("64 hexadecimal digits are wanted")
        return self

    def _bytes(self) -> bytes:
        text = self.public_key or (
            self.secret.get_secret_value() if self.secret else ""
        )
        return bytes.fromhex(text)

    def made(self) -> _Key:
        """The key itself."""
        if self.algorithm == "hmac-sha256":
            return _Hmac(self._bytes())
        return _Ed25519(Ed25519PublicKey.from_public_bytes(self._bytes()))


class _WrittenSender(BaseModel):
    """A sender as the file has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["agency", "post", "bank"]
    id: str
    agency: str | None = None
    governorate: str | None = None
    key: tuple[_WrittenKey, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _stands_somewhere(self) -> Self:
        checked_code(self.id, field="id")
        if (self.kind == "agency") != (self.agency is not None):
            raise ValueError("an agency has its code, and nobody else has")
        if self.governorate is not None and self.kind != "agency":
            raise ValueError("only an agency stands in a governorate")
        return self

    @property
    def principal(self) -> Principal:
        """Who acts."""
        return Principal(
            role=ActorKind(self.kind),
            id=self.id,
            agency=self.agency,
            governorate=self.governorate,
        )


class _WrittenSenders(BaseModel):
    """The file of senders."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    sender: tuple[_WrittenSender, ...] = Field(min_length=1)


class Senders:
    """Everybody whose messages are believed, by the ids of their keys."""

    def __init__(self, keys: Mapping[str, tuple[_Key, Principal]]) -> None:
        self._keys = dict(keys)

    @classmethod
    def read(cls, path: Path) -> Senders:
        """The senders of a file. Raises OperatorError, which repeats no secret."""
        try:
            written = _WrittenSenders.model_validate(
                tomllib.loads(path.read_text(encoding="utf-8"))
            )
            has_secret = any(key.secret for each in written.sender for key in each.key)
            if has_secret and path.stat().st_mode & _PRIVATE:
                raise OperatorError(f"{path} holds secrets and is not 0600")
        except OSError as error:
            raise OperatorError(f"{path} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(each) for each in first["loc"])
            raise OperatorError(f"{path} is wrong at {place}: {first['msg']}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise OperatorError(f"{path} is no TOML: {error}") from None
        except InvalidValueError as error:
            raise OperatorError(f"{path} has an id of the wrong shape") from error
        keys: dict[str, tuple[_Key, Principal]] = {}
        for sender in written.sender:
            for key in sender.key:
                if key.id in keys:
                    raise OperatorError(f"{path} has the key {key.id} twice")
                keys[key.id] = (key.made(), sender.principal)
        return cls(keys)

    def sender_of(self, message: InwardMessage) -> Principal:
        """Who sent a message. Raises UnusableError: unsigned, unknown key, forged."""
        named, text = message.header(KEY_ID), message.header(SIGNATURE)
        if named is None or text is None:
            raise UnusableError(Unusable.UNSIGNED)
        key_id = named.decode("ascii", "replace")
        found = self._keys.get(key_id)
        if found is None:
            raise UnusableError(Unusable.UNKNOWN_KEY)
        try:
            signature = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise UnusableError(Unusable.WRONG_SIGNATURE) from None
        key, principal = found
        signed = signed_bytes(
            topic=message.topic,
            key_id=key_id,
            key=message.key,
            value=message.value or b"",
        )
        if not key.is_right(signature, signed):
            raise UnusableError(Unusable.WRONG_SIGNATURE)
        return principal


class SendersFile:
    """The senders of a file, read again when it changes. Many threads may ask.

    A new file that is wrong changes nothing: the senders stay who they were.
    """

    def __init__(self, path: Path) -> None:
        """Raises OperatorError where the first reading fails."""
        self._path = path
        self._mutex = Lock()
        self._seen = _mark(path)
        self._senders = Senders.read(path)
        self._looked_at = time.monotonic()

    def __call__(self) -> Senders:
        """The senders now."""
        now = time.monotonic()
        with self._mutex:
            if now - self._looked_at >= LOOK_EVERY_S:
                self._looked_at = now
                self._look()
            return self._senders

    def _look(self) -> None:
        seen = _mark(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._senders = Senders.read(self._path)
        except OperatorError as error:
            _log.error("inward.senders_wrong", because=str(error))
        else:
            _log.info("inward.senders_read")


def _mark(path: Path) -> tuple[int, int] | None:
    """What changes with a file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
