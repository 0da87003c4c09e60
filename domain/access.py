"""Who may do what, and who may see which rows: decided here and nowhere else.

Doors turn a token into a Principal. Every act asks ``must_be_allowed``; every query
takes the Scope of its asker. A thing outside the scope is answered as not found.
"""

from dataclasses import dataclass
from enum import StrEnum

from domain.acts import MINISTRY, Actor, ActorKind
from domain.errors import NotFoundError, RoleForbiddenError


class Permission(StrEnum):
    """What can be asked of Sijil: the acts on requests, and what can be read."""

    SUBMIT = "submit"
    ACCEPT = "accept"
    DECLINE = "decline"
    ASSIGN = "assign"
    PAY = "pay"
    FORWARD = "forward"
    RESPOND = "respond"
    STAMP = "stamp"
    MAIL = "mail"
    DELIVER = "deliver"
    HAND_OVER = "hand-over"
    TELL_RESULT = "tell-result"
    INFORM = "inform"
    CLAIM = "claim"
    RELEASE = "release"
    REFUND = "refund"
    REQUEST_INFORMATION = "request-information"
    SUPPLY_INFORMATION = "supply-information"
    COLLECT = "collect"
    BRING_BACK = "bring-back"
    WITHDRAW = "withdraw"
    CORRECT = "correct"
    EXPIRE = "expire"
    WARN = "warn"
    APPROVE = "approve"
    READ_REQUEST = "read-request"
    READ_PERSON = "read-person"
    READ_QUEUE = "read-queue"
    READ_COUNTS = "read-counts"
    READ_TRAIL = "read-trail"
    READ_WHOLE_TRAIL = "read-whole-trail"
    READ_LOOKS = "read-looks"
    MERGE_PERSONS = "merge-persons"
    EXPORT_PERSON = "export-person"
    READ_ENTRY = "read-entry"
    READ_CATALOGUE = "read-catalogue"
    ADMINISTER = "administer"
    MANAGE_CLERKS = "manage-clerks"
    READ_CLERKS = "read-clerks"
    READ_STAMPS = "read-stamps"
    CHECK_PAPER = "check-paper"
    READ_DESK = "read-desk"
    READ_INBOX = "read-inbox"
    READ_POST = "read-post"
    READ_PAYMENTS = "read-payments"
    READ_SUMS = "read-sums"
    SETTLE_PAYMENTS = "settle-payments"
    READ_DEAD_LETTERS = "read-dead-letters"


_STAFF = frozenset({ActorKind.CLERK, ActorKind.SUPERVISOR})
_OVERSIGHT = frozenset({ActorKind.ADMINISTRATOR, ActorKind.AUDITOR})
_EVERYBODY = frozenset(ActorKind)

ROLES_OF: dict[Permission, frozenset[ActorKind]] = {
    Permission.SUBMIT: _STAFF | {ActorKind.CITIZEN, ActorKind.IMPORT},
    Permission.ACCEPT: _STAFF | {ActorKind.IMPORT},
    Permission.DECLINE: _STAFF | {ActorKind.IMPORT},
    Permission.ASSIGN: frozenset(
        {ActorKind.SUPERVISOR, ActorKind.SYSTEM, ActorKind.IMPORT}
    ),
    Permission.PAY: _STAFF | {ActorKind.BANK, ActorKind.IMPORT},
    Permission.FORWARD: _STAFF | {ActorKind.IMPORT},
    Permission.RESPOND: _STAFF | {ActorKind.AGENCY, ActorKind.IMPORT},
    Permission.STAMP: _STAFF | {ActorKind.IMPORT},
    Permission.MAIL: _STAFF | {ActorKind.IMPORT},
    Permission.DELIVER: _STAFF | {ActorKind.POST, ActorKind.IMPORT},
    Permission.HAND_OVER: _STAFF | {ActorKind.IMPORT},
    Permission.TELL_RESULT: _STAFF | {ActorKind.IMPORT},
    Permission.INFORM: _STAFF | {ActorKind.SYSTEM, ActorKind.IMPORT},
    Permission.CLAIM: frozenset({ActorKind.CLERK, ActorKind.IMPORT}),
    Permission.RELEASE: _STAFF | {ActorKind.SYSTEM, ActorKind.IMPORT},
    Permission.REFUND: frozenset({ActorKind.SUPERVISOR, ActorKind.IMPORT}),
    Permission.REQUEST_INFORMATION: _STAFF | {ActorKind.IMPORT},
    Permission.SUPPLY_INFORMATION: _STAFF | {ActorKind.IMPORT},
    Permission.COLLECT: _STAFF | {ActorKind.POST, ActorKind.IMPORT},
    Permission.BRING_BACK: _STAFF | {ActorKind.POST, ActorKind.IMPORT},
    Permission.WITHDRAW: _STAFF | {ActorKind.CITIZEN, ActorKind.IMPORT},
    Permission.CORRECT: _STAFF | {ActorKind.IMPORT},
    Permission.EXPIRE: frozenset({ActorKind.SYSTEM, ActorKind.IMPORT}),
    Permission.WARN: frozenset({ActorKind.SYSTEM}),
    Permission.APPROVE: frozenset({ActorKind.SUPERVISOR}),
    Permission.READ_REQUEST: _STAFF
    | _OVERSIGHT
    | {ActorKind.AGENCY, ActorKind.POST, ActorKind.BANK, ActorKind.CITIZEN},
    Permission.READ_PERSON: _STAFF,
    Permission.READ_QUEUE: _STAFF,
    Permission.READ_COUNTS: _STAFF | _OVERSIGHT,
    Permission.READ_TRAIL: _STAFF | _OVERSIGHT,
    Permission.READ_WHOLE_TRAIL: _OVERSIGHT,
    Permission.READ_LOOKS: _STAFF | _OVERSIGHT | {ActorKind.CITIZEN},
    Permission.MERGE_PERSONS: frozenset({ActorKind.SUPERVISOR}),
    Permission.EXPORT_PERSON: frozenset({ActorKind.SUPERVISOR}),
    Permission.READ_ENTRY: frozenset({ActorKind.AUDITOR}),
    Permission.READ_CATALOGUE: _EVERYBODY,
    Permission.ADMINISTER: frozenset({ActorKind.ADMINISTRATOR}),
    Permission.MANAGE_CLERKS: frozenset(
        {ActorKind.ADMINISTRATOR, ActorKind.SUPERVISOR}
    ),
    Permission.READ_CLERKS: _OVERSIGHT | {ActorKind.SUPERVISOR},
    Permission.READ_STAMPS: _STAFF | _OVERSIGHT,
    Permission.READ_DESK: _OVERSIGHT | {ActorKind.SUPERVISOR},
    Permission.READ_INBOX: _STAFF | _OVERSIGHT | {ActorKind.AGENCY},
    Permission.CHECK_PAPER: _STAFF | _OVERSIGHT | {ActorKind.AGENCY},
    Permission.READ_POST: _STAFF | _OVERSIGHT | {ActorKind.POST},
    Permission.READ_PAYMENTS: _STAFF | _OVERSIGHT | {ActorKind.BANK},
    Permission.READ_SUMS: _OVERSIGHT | {ActorKind.SUPERVISOR},
    Permission.SETTLE_PAYMENTS: frozenset(
        {ActorKind.ADMINISTRATOR, ActorKind.SUPERVISOR}
    ),
    Permission.READ_DEAD_LETTERS: _OVERSIGHT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """What decides whose row a request is. Views keep the same columns."""

    centre: str
    governorate: str
    agency: str
    is_forwarded: bool
    is_mailed: bool
    is_fee_outstanding: bool
    parties: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The rows an asker may see: every condition that is not None must hold.

    ``parties`` are the ids under which a citizen stands in requests; the empty set
    sees nothing. A Scope with all None sees everything.
    """

    centre: str | None = None
    governorate: str | None = None
    agency: str | None = None
    only_forwarded: bool = False
    only_mailed: bool = False
    only_unpaid: bool = False
    parties: frozenset[str] | None = None

    def includes(self, row: Whereabouts) -> bool:
        """Whether ``row`` is inside the scope."""
        return (
            self.centre in {None, row.centre}
            and self.governorate in {None, row.governorate}
            and self.agency in {None, row.agency}
            and (row.is_forwarded or not self.only_forwarded)
            and (row.is_mailed or not self.only_mailed)
            and (row.is_fee_outstanding or not self.only_unpaid)
            and (self.parties is None or bool(self.parties & row.parties))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks, as a door has established it.

    ``id`` is the staff code (``clk-0147``), the officer's or operator's code, or for
    a citizen the identity provider's subject, which MUST NOT reach an event: the
    actor of a citizen's act is the party. ``parties`` are a citizen's parties.
    """

    role: ActorKind
    id: str
    centre: str | None = None
    governorate: str | None = None
    agency: str | None = None
    parties: frozenset[str] = frozenset()

    @property
    def actor(self) -> Actor:
        """The actor this principal is in events."""
        place = MINISTRY
        if self.centre is not None:
            place = self.centre
        elif self.agency is not None:
            place = "/".join(filter(None, (self.agency, self.governorate)))
        return Actor(kind=self.role, id=self.id, place=place)

    @property
    def scope(self) -> Scope:
        """The rows this principal may see."""
        match self.role:
            case ActorKind.CLERK | ActorKind.SUPERVISOR:
                return Scope(centre=self.centre or "")
            case ActorKind.AGENCY:
                return Scope(
                    agency=self.agency or "",
                    governorate=self.governorate,
                    only_forwarded=True,
                )
            case ActorKind.POST:
                return Scope(only_mailed=True)
            case ActorKind.BANK:
                return Scope(only_unpaid=True)
            case ActorKind.CITIZEN:
                return Scope(parties=self.parties)
            case _:
                return Scope()

    def must_be_allowed(self, permission: Permission) -> None:
        """Raise RoleForbiddenError unless the role has this permission."""
        if self.role not in ROLES_OF[permission]:
            raise RoleForbiddenError(act=permission, role=self.role)

    def must_see(self, row: Whereabouts, *, thing: str = "request") -> None:
        """Raise NotFoundError unless the row is in scope: foreign rows do not exist."""
        if not self.scope.includes(row):
            raise NotFoundError(thing=thing)
