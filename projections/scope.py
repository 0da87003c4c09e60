"""The asker's scope as a condition that every query over requests passes through."""

from __future__ import annotations

from typing import Any

from domain.access import Scope


def condition(scope: Scope) -> tuple[str, dict[str, Any]]:
    """A condition over a view's columns and its parameters; ``true`` sees all.

    The columns are those of domain.access.Whereabouts; a test holds the two equal.
    """
    parts: list[str] = []
    params: dict[str, Any] = {}
    for name in ("centre", "governorate", "agency"):
        value = getattr(scope, name)
        if value is not None:
            parts.append(f"{name} = %(scope_{name})s")
            params[f"scope_{name}"] = value
    if scope.only_forwarded:
        parts.append("is_forwarded")
    if scope.only_mailed:
        parts.append("is_mailed")
    if scope.only_unpaid:
        parts.append("is_fee_outstanding")
    if scope.parties is not None:
        parts.append("parties && %(scope_parties)s::text[]")
        params["scope_parties"] = sorted(scope.parties)
    return " AND ".join(parts) or "true", params


def of_places(scope: Scope) -> tuple[str, dict[str, Any]]:
    """The condition over places alone: counts are never of one person's requests."""
    if scope.parties is not None:
        return "false", {}
    places = Scope(
        centre=scope.centre, governorate=scope.governorate, agency=scope.agency
    )
    return condition(places)
