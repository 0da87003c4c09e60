"""The house: everything put together once, for a door or a process to use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Self

from domain.access import Principal
from domain.acts import ActorKind
from domain.agencies import Agency, AgencyScope
from ledger import migrations
from ledger.book import Book, Ledger
from ledger.names import LEDGER_SCHEMA, VAULT_SCHEMA, VIEWS_SCHEMA, Role
from ledger.outbox import Outbox
from ledger.persistence.datastore import PostgresDatastore
from ledger.reader import LedgerReader
from ledger.records import PersonRecords
from ledger.sealing import VaultKeys
from ledger.settings import LedgerSettings
from ledger.vault import Vault
from ledger.vault_batch import VaultBatch
from office.acts import Acts, Clock, translated, utc_now
from office.assignment import Assignment
from office.catalogue import CatalogueDesk
from office.conditions import ConditionsDesk
from office.couriers import Courier
from office.dead_letters import DeadLettersDesk
from office.fees import Fees
from office.followed import ViewsDesk
from office.freshness import FRESH_TIMEOUT_S, Freshness
from office.moving import Moving
from office.payments import PaymentsDesk
from office.people import People
from office.reports import Reports
from office.requests import Requests
from office.settings import OfficeSettings
from office.smtp import Mail
from office.spool import Spool
from office.telling import Telling
from office.telling_settings import TellingSettings
from office.timers import Scheduler
from office.tracking import CitizenTracking
from office.webhook import Webhook
from projections.agency_inbox import AgencyInboxQueries
from projections.audit_trail import AuditTrailQueries
from projections.catalogue import CatalogueQueries
from projections.clerk_queue import ClerkQueueQueries
from projections.dead_letters import DeadLettersQueries
from projections.desk_changes import DeskChangesQueries
from projections.governorate_counts import GovernorateCountsQueries
from projections.governorate_counts.moves import GovernorateMovesQueries
from projections.inbox_changes import InboxChangesQueries
from projections.looks import LooksQueries
from projections.payments import PaymentsQueries, UnmatchedQueries
from projections.postal_manifest import PostalManifestQueries
from projections.progress import ProgressQueries
from projections.queue_changes import QueueChangesQueries
from projections.roster import RosterQueries
from projections.runner import ViewRunner
from projections.schema import ensure_views
from projections.shares import WHOLE, Share
from projections.stamp_register import StampRegisterQueries
from projections.supervisor_desk import SupervisorDeskQueries
from projections.timers import TimersQueries
from projections.tracking import TrackingQueries
from projections.turnaround import TurnaroundQueries


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """What can be asked of each view."""

    catalogue: CatalogueQueries
    counts: GovernorateCountsQueries
    dead_letters: DeadLettersQueries
    desk: SupervisorDeskQueries
    desk_changes: DeskChangesQueries
    inbox: AgencyInboxQueries
    inbox_changes: InboxChangesQueries
    looks: LooksQueries
    payments: PaymentsQueries
    post: PostalManifestQueries
    moves: GovernorateMovesQueries
    progress: ProgressQueries
    queue: ClerkQueueQueries
    queue_changes: QueueChangesQueries
    roster: RosterQueries
    stamps: StampRegisterQueries
    timers: TimersQueries
    tracking: TrackingQueries
    trail: AuditTrailQueries
    turnaround: TurnaroundQueries
    unmatched: UnmatchedQueries


class House:
    """The office of one installation. Close it when done."""

    def __init__(
        self,
        settings: LedgerSettings,
        office: OfficeSettings | None = None,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self.settings = settings
        self.office_settings = office or OfficeSettings()
        self.clock = clock
        self.ledger = Ledger(settings)
        vault = PostgresDatastore(settings.dsn(Role.VAULT), schema=VAULT_SCHEMA)
        self.vault = Vault(
            vault,
            VaultKeys(
                master=settings.key("vault_master_key"),
                index=settings.key("vault_index_key"),
            ),
        )
        self.records = PersonRecords(vault)
        # Beside the vault: the ledger's own database takes nothing but acts.
        self.outbox = Outbox(vault)
        self._views = PostgresDatastore(
            settings.dsn(Role.APP),
            schema=VIEWS_SCHEMA,
            pool_size=settings.pool_size,
            max_overflow=settings.max_overflow,
        )
        queue_changes = QueueChangesQueries(self._views)
        self.queries = Queries(
            catalogue=CatalogueQueries(self._views),
            counts=GovernorateCountsQueries(self._views),
            dead_letters=DeadLettersQueries(self._views),
            desk=SupervisorDeskQueries(self._views),
            desk_changes=DeskChangesQueries(self._views, queue_changes),
            inbox=AgencyInboxQueries(self._views),
            inbox_changes=InboxChangesQueries(self._views),
            looks=LooksQueries(self._views),
            payments=PaymentsQueries(self._views),
            post=PostalManifestQueries(self._views),
            moves=GovernorateMovesQueries(self._views),
            progress=ProgressQueries(self._views),
            queue=ClerkQueueQueries(self._views),
            queue_changes=queue_changes,
            roster=RosterQueries(self._views),
            stamps=StampRegisterQueries(self._views),
            timers=TimersQueries(self._views),
            tracking=TrackingQueries(self._views),
            trail=AuditTrailQueries(self._views),
            turnaround=TurnaroundQueries(self._views),
            unmatched=UnmatchedQueries(self._views),
        )
        self.acts = self.acts_on(self.ledger)
        self.requests = self.requests_of(self.acts)
        self.people = People(
            self.acts,
            self.vault,
            self.records,
            reader=self.ledger.reader,
            tracking=self.queries.tracking,
            looks=self.queries.looks,
        )
        self.catalogue = CatalogueDesk(self.acts)
        self.dead_letters = DeadLettersDesk(self.acts)
        self.payments = PaymentsDesk(self.acts)
        self.views = ViewsDesk(self.acts, self.queries.progress)
        self.moving = Moving(
            self.acts,
            self.requests,
            roster=self.queries.roster,
            queue=self.queries.queue,
            clock=clock,
        )
        self.reports = self.reports_of(self.acts, self.requests)
        self.fees = Fees(
            self.acts,
            self.requests,
            tracking=self.queries.tracking,
            payments=self.queries.payments,
            freshness=self._freshness(),
        )
        self.conditions = ConditionsDesk(self.ledger, self.requests, clock)
        self.tracking = CitizenTracking(
            self.queries.tracking, settings.tracking_code_keys()
        )

    # Desks of the same house on another book (office.bulk, office.mailbag) --------

    def acts_on(self, ledger: Book, *, keeps_refusals: bool = True) -> Acts:
        """The path of acts, on this ledger or a window on it."""
        return Acts(
            ledger,
            command_key=self.settings.key("command_key"),
            backdating=timedelta(days=self.office_settings.backdating_days),
            clock=self.clock,
            keeps_refusals=keeps_refusals,
        )

    def requests_of(
        self,
        acts: Acts,
        *,
        vault: Vault | VaultBatch | None = None,
        party_key: bytes | None = None,
    ) -> Requests:
        """The acts on requests; their persons are in the house's vault by default."""
        return Requests(
            acts,
            vault or self.vault,
            code_keys=self.settings.tracking_code_keys(),
            code_key_name=self.settings.tracking_code_key_name,
            lease=timedelta(minutes=self.office_settings.claim_lease_minutes),
            party_key=party_key,
        )

    def reports_of(
        self,
        acts: Acts,
        requests: Requests,
        *,
        fresh_timeout_s: float = FRESH_TIMEOUT_S,
    ) -> Reports:
        """What outsiders report; a view is waited for ``fresh_timeout_s``."""
        return Reports(
            acts,
            requests,
            post=self.queries.post,
            freshness=self._freshness(fresh_timeout_s),
        )

    def _freshness(self, timeout_s: float = FRESH_TIMEOUT_S) -> Freshness:
        return Freshness(self.ledger.reader, self.queries.progress, timeout_s=timeout_s)

    def citizen(self, subject: str) -> Principal:
        """The citizen of a login, with the parties which that login opened."""
        with translated():
            parties = self.vault.parties_opened_by(subject)
        return Principal(
            role=ActorKind.CITIZEN,
            id=subject,
            parties=frozenset(str(party) for party in parties),
        )

    def officer(self, told: Principal) -> Principal:
        """An agency's officer, bound to a governorate exactly where the agency is.

        A login that names none at an agency of every governorate sees nothing: it must
        not see all of them. At one that exists once, the governorate binds nobody.
        """
        if told.agency is None:
            return told
        with translated():
            agency = self.ledger.find(Agency, Agency.id_of(told.agency))
        if agency is None:
            return told
        is_national = agency.published.scope is AgencyScope.NATIONAL
        return replace(
            told, governorate=None if is_national else told.governorate or ""
        )

    def assignment(self) -> Assignment:
        """The process manager that assigns new requests."""
        return Assignment(
            self.ledger,
            self.requests,
            roster=self.queries.roster,
            queue=self.queries.queue,
            progress=self.queries.progress,
            clock=self.clock,
        )

    def telling(self, settings: TellingSettings | None = None) -> Telling:
        """The process manager that tells citizens. Close it when done.

        Raises SettingMissingError when a courier lacks one of its settings.
        """
        chosen = settings or TellingSettings.load(self.settings.home)
        return Telling(
            self.ledger,
            self.requests,
            vault=self.vault,
            outbox=self.outbox,
            couriers=[self._courier(name, chosen) for name in chosen.couriers],
            clock=self.clock,
            per_minute=chosen.telling_per_minute,
        )

    def _courier(self, name: str, settings: TellingSettings) -> Courier:
        match name:
            case Mail.name:
                return Mail(settings.mail_server(), clock=self.clock)
            case Webhook.name:
                url, key = settings.webhook()
                return Webhook(url, key, now_s=lambda: int(self.clock().timestamp()))
            case _:
                return Spool(settings.spool_folder, kept_days=settings.spool_days)

    def scheduler(self) -> Scheduler:
        """The scheduler of everything that falls due."""
        return Scheduler(
            self.ledger,
            self.requests,
            timers=self.queries.timers,
            clock=self.clock,
            warn_before=timedelta(hours=self.office_settings.warn_before_working_hours),
        )

    def close(self) -> None:
        """Close every connection."""
        self.ledger.close()
        self.vault.close()
        self._views.close()

    def __enter__(self) -> Self:
        """The house itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection."""
        self.close()


class ViewsRoom:
    """The runner role's own connections, and the runner that folds the views.

    ``share`` says which, where several processes fold them.
    """

    def __init__(self, settings: LedgerSettings, share: Share = WHOLE) -> None:
        self._reading = PostgresDatastore(
            settings.dsn(Role.RUNNER), schema=LEDGER_SCHEMA
        )
        self._writing = PostgresDatastore(
            settings.dsn(Role.RUNNER), schema=VIEWS_SCHEMA
        )
        self.runner = ViewRunner(
            self._writing, LedgerReader(self._reading), share.views
        )

    def close(self) -> None:
        """Close the connections."""
        self._reading.close()
        self._writing.close()


def migrate(settings: LedgerSettings) -> list[str]:
    """Bring the databases and the views' tables up to date; what was done."""
    done = migrations.migrate(settings)
    return done + [f"view {name}" for name in ensure_views(settings)]
