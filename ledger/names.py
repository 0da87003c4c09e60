"""Durable names of the databases: roles, schemas and advisory locks."""

from __future__ import annotations

from enum import IntEnum, StrEnum, unique

LEDGER_SCHEMA = "sijil"
VIEWS_SCHEMA = "sijil_views"
VAULT_SCHEMA = "vault"
REBUILD_SCHEMA = "sijil_rebuild"


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


@unique
class Lock(IntEnum):
    """The advisory locks. Two with one key would wait for each other for nothing."""

    MIGRATION = 0x51411A
    """One migration of a server at a time."""
    TELLING = 0x51411B
    """The turn to send; held for as long as a sender lives."""
    MERGE = 0x51411C
    """One merge at a time, so that no record is ever merged into a merged one."""
    REBUILD = 0x51411D
    """One making anew of views at a time, held for as long as it lives."""
    RELAY = 0x51411E
    """The turn to publish; a relay that stands by waits for it."""
