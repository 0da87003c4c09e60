"""The views' tables: made by the migration, made anew when a view's version rises."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg2.extensions
from psycopg2 import sql

from domain.errors import NotFoundError
from ledger.migrations import views_owner
from ledger.settings import LedgerSettings
from projections.agency_inbox import AgencyInbox
from projections.audit_trail import AuditTrail
from projections.catalogue import Catalogue
from projections.clerk_queue import ClerkQueue
from projections.dead_letters import DeadLetters
from projections.governorate_counts import GovernorateCounts
from projections.looks import Looks
from projections.payments import Payments
from projections.postal_manifest import PostalManifest
from projections.progress import Level
from projections.roster import Roster
from projections.stamp_register import StampRegister
from projections.supervisor_desk import SupervisorDesk
from projections.timers import Timers
from projections.tracking import Tracking
from projections.turnaround import Turnaround
from projections.views import View

VIEWS: tuple[View, ...] = (
    AgencyInbox(),
    AuditTrail(),
    Catalogue(),
    ClerkQueue(),
    DeadLetters(),
    GovernorateCounts(),
    Looks(),
    Payments(),
    PostalManifest(),
    Roster(),
    StampRegister(),
    SupervisorDesk(),
    Timers(),
    Tracking(),
    Turnaround(),
)
"""Every view there is, in the order the runner folds them."""

_PROGRESS = """
CREATE TABLE IF NOT EXISTS progress (
    view text PRIMARY KEY,
    version integer NOT NULL,
    ledger_id uuid,
    incarnation integer,
    position bigint NOT NULL DEFAULT 0,
    error text,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    failed_position bigint,
    failed_code text
);
ALTER TABLE progress ADD COLUMN IF NOT EXISTS failed_position bigint,
    ADD COLUMN IF NOT EXISTS failed_code text
"""
_VERSION = "SELECT version FROM progress WHERE view = %s"
_START = """
INSERT INTO progress (view, version) VALUES (%s, %s)
ON CONFLICT (view) DO UPDATE SET
    version = excluded.version, ledger_id = NULL, incarnation = NULL, position = 0,
    error = NULL, failed_position = NULL, failed_code = NULL,
    updated_at = clock_timestamp()
"""


ALL = "all"
"""Stands for every view where one may be named."""


def views_named(name: str, views: tuple[View, ...] = VIEWS) -> tuple[View, ...]:
    """The view with this name, or all. Raises NotFoundError for no view's name."""
    found = tuple(view for view in views if name in {ALL, view.name})
    if not found:
        raise NotFoundError(thing="view")
    return found


def not_made(
    levels: Iterable[Level], views: tuple[View, ...] = VIEWS
) -> tuple[str, ...]:
    """The views that have no tables, or those of another version, by name."""
    made = {level.view: level.version for level in levels}
    return tuple(view.name for view in views if made.get(view.name) != view.version)


def make_tables(cursor: psycopg2.extensions.cursor, views: Iterable[View]) -> None:
    """Make the tables of views beside the live ones, where the search_path leads."""
    cursor.execute(_PROGRESS)
    for view in views:
        cursor.execute(view.ddl)
        cursor.execute(_START, (view.name, view.version))


def ensure_views(
    settings: LedgerSettings, views: tuple[View, ...] = VIEWS
) -> list[str]:
    """Make the tables of new and changed views; the names of those that begin at 0.

    A view whose version differs from its tables' is dropped and folds from the start.
    """
    started = []
    with views_owner(settings) as cursor:
        cursor.execute(_PROGRESS)
        for view in views:
            cursor.execute(_VERSION, (view.name,))
            row = cursor.fetchone()
            if row is not None and row[0] == view.version:
                continue
            cursor.execute("BEGIN")
            for table in view.tables:
                cursor.execute(
                    sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(table))
                )
            cursor.execute(view.ddl)
            cursor.execute(_START, (view.name, view.version))
            cursor.execute("COMMIT")
            started.append(view.name)
    return started
