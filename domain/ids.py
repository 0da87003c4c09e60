"""Ids: time-ordered for things and acts, derived where a cause may repeat.

Shapes and sources: RFC 9562 (UUIDv7, UUIDv5). Which thing gets which id is part of
the contract (docs/reference/contract.md): it can never change once stored.
"""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID, uuid5

from domain.errors import InvalidValueError

CODES_NAMESPACE = UUID("6f2a4c1e-8f0b-5d53-9c86-5b1f6d0a7e21")
"""The fixed namespace of every code (UUIDv5): a code is unique, seeding idempotent."""

_VERSION = 7
"""RFC 9562: the version whose first 48 bits are a time."""
_LATEST_MS = 4_102_444_800_000
"""The year 2100: a later time in an id or a message is nobody's clock."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHECK_SYMBOLS = _CROCKFORD + "*~$=U"
_TRACKING_SYMBOLS = 12
_TRACKING_BITS = 60


def _uuid7(milliseconds: int, random_bits: int) -> UUID:
    """The UUIDv7 of a 48-bit time and 74 random bits."""
    value = (milliseconds & ((1 << 48) - 1)) << 80
    value |= _VERSION << 76
    value |= ((random_bits >> 62) & 0xFFF) << 64
    value |= 0b10 << 62
    value |= random_bits & ((1 << 62) - 1)
    return UUID(int=value)


def milliseconds(time: datetime) -> int:
    """Whole milliseconds since 1970 in UTC; exact, no float on the way."""
    return (time - _EPOCH) // timedelta(milliseconds=1)


def time_at(since_1970_ms: int) -> datetime:
    """The time so many milliseconds after 1970 in UTC; what no clock says is bounded.

    Before 1970 it is 1970, and after 2100 it is 2100.
    """
    return _EPOCH + timedelta(milliseconds=min(max(since_1970_ms, 0), _LATEST_MS))


def time_in(an_id: UUID) -> datetime:
    """The moment in a version 7 id; for any other, one that never changes."""
    is_timed = an_id.version == _VERSION
    return time_at(an_id.int >> 80 if is_timed else 0)


def new_id(now: datetime) -> UUID:
    """A fresh UUIDv7 at ``now``: for aggregates and for commands made by people."""
    return _uuid7(milliseconds(now), secrets.randbits(74))


def derived_id(name: str, effective_at: datetime) -> UUID:
    """The id that repeating the same cause repeats.

    v7 in shape: the time is ``effective_at`` in milliseconds, the other bits come
    from SHA-256 of ``name``, such as ``assign/<request>/<version>``.
    """
    digest = hashlib.sha256(name.encode("utf-8")).digest()
    return _uuid7(
        milliseconds(effective_at), int.from_bytes(digest, "big") & ((1 << 74) - 1)
    )


@lru_cache(maxsize=2_000)
def code_id(kind: str, code: str) -> UUID:
    """The id of a thing with a code, as ``code_id("service", "CIV-01")``."""
    return uuid5(CODES_NAMESPACE, f"{kind}/{code}")


def tracking_number(request_id: UUID) -> str:
    """The number a citizen reads: 60 bits of the request's id, grouped ``4-4-4-1``.

    The last 60 bits are all random ones, so numbers are spread evenly. The final
    symbol is Crockford's check symbol (value modulo 37).
    """
    value = request_id.int & ((1 << _TRACKING_BITS) - 1)
    symbols = "".join(
        _CROCKFORD[(value >> shift) & 31] for shift in range(_TRACKING_BITS - 5, -1, -5)
    )
    check = _CHECK_SYMBOLS[value % 37]
    return f"{symbols[:4]}-{symbols[4:8]}-{symbols[8:]}-{check}"


def parse_tracking_number(text: str) -> str:
    """The canonical form of a typed tracking number.

    Case, spaces and hyphens do not matter; ``O`` reads as 0, ``I`` and ``L`` as 1.
    Raises InvalidValueError when the length or the check symbol is wrong.
    """
    compact = "".join(text.upper().replace("-", "").split())
    body, check = compact[:-1], compact[-1:]
    body = body.replace("O", "0").replace("I", "1").replace("L", "1")
    if len(body) != _TRACKING_SYMBOLS or any(s not in _CROCKFORD for s in body):
        raise InvalidValueError(field="tracking_number", reason="shape")
    value = 0
    for symbol in body:
        value = (value << 5) | _CROCKFORD.index(symbol)
    if check not in _CHECK_SYMBOLS or _CHECK_SYMBOLS[value % 37] != check:
        raise InvalidValueError(field="tracking_number", reason="check-symbol")
    return f"{body[:4]}-{body[4:8]}-{body[8:]}-{check}"
