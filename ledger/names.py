"""Durable names of the databases: roles and schemas."""

from __future__ import annotations

from enum import StrEnum

LEDGER_SCHEMA = "sijil"
VIEWS_SCHEMA = "sijil_views"
VAULT_SCHEMA = "vault"


class Role(StrEnum):
    """Who connects, each with its own password."""

    OWNER = "owner"
    APP = "app"
    RUNNER = "runner"
    READER = "reader"
    VAULT = "vault"

    @property
    def login(self) -> str:
        """The PostgreSQL role, which belongs to the whole server."""
        return f"sijil_{self}"
