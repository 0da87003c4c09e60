"""What a citizen sees with a tracking number and its secret code."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from domain.errors import InvalidValueError
from domain.ids import parse_tracking_number, tracking_number
from domain.persons import ascii_digits
from office.acts import translated
from office.requests import secret_code
from projections.tracked_requests import Step, TrackedRequest
from projections.tracking import TrackingQueries

_NOBODYS = UUID(int=0)
"""Looked up where the number is wrong, so that wrong and right do the same work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """A request and its steps, for whoever holds number and code."""

    request: TrackedRequest
    steps: tuple[Step, ...]


class CitizenTracking:
    """Looks requests up by number and code, at the same cost for right and wrong."""

    def __init__(
        self, queries: TrackingQueries, code_keys: Mapping[str, bytes]
    ) -> None:
        self._queries = queries
        self._code_keys = code_keys

    def look(self, number: str, code: str) -> Tracked | None:
        """The request when both fit, else None, never saying which did not."""
        try:
            canonical = parse_tracking_number(ascii_digits(number))
        except InvalidValueError:
            canonical = tracking_number(_NOBODYS)
        with translated():
            found = self._queries.by_number(canonical)
            request_id = _NOBODYS if found is None else found.request_id
            steps = self._queries.steps(request_id)
        name = next(iter(self._code_keys)) if found is None else found.state.code_key
        expected = secret_code(self._code_keys, name, request_id)
        # What no encoding has (a lone surrogate) is a wrong code like any other.
        typed = ascii_digits(code).strip().encode(errors="surrogatepass")
        fits = hmac.compare_digest(expected.encode(), typed)
        if not fits or found is None:
            return None
        return Tracked(request=found, steps=steps)
