"""Ids as the server says them."""

from __future__ import annotations

from uuid import UUID, SafeUUID

_new = object.__new__
# A UUID is frozen; its slots are filled here as its own __init__ does it.
_put_int, _put_is_safe = (vars(UUID)[slot].__set__ for slot in ("int", "is_safe"))


def uuid_of(text: str) -> UUID:
    """The UUID of a uuid column's text, in under half the time of ``UUID(text)``.

    For the server's own texts alone: of any other it takes what is no UUID.
    """
    made = _new(UUID)
    _put_int(made, int(text.replace("-", ""), 16))
    _put_is_safe(made, SafeUUID.unknown)
    return made
