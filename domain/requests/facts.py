"""What is said of a request: the closed sets of its events, and what a party is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Channel(StrEnum):
    """How a request came in."""

    COUNTER = "counter"
    ONLINE = "online"
    POST = "post"
    EMAIL = "email"
    PHONE = "phone"


class PartyRole(StrEnum):
    """Which part a person has in one request."""

    APPLICANT = "applicant"
    CONCERNED = "concerned"


class Delivery(StrEnum):
    """Where the paper shall go. The address itself is the vault's."""

    POST_OFFICE = "post_office"
    HOME = "home"
    COUNTER = "counter"


class Declined(StrEnum):
    """Why a request was not accepted."""

    INELIGIBLE = "ineligible"
    DOCUMENTS_MISSING = "documents_missing"


class AssignedBecause(StrEnum):
    """Why a clerk got a request."""

    RESPONSIBLE = "responsible"
    SUPERVISOR = "supervisor"
    REBALANCED = "rebalanced"
    CLERK_AWAY = "clerk_away"


class ReleasedBecause(StrEnum):
    """Why a request left the hands it was in."""

    GIVEN_BACK = "given_back"
    LEASE_ENDED = "lease_ended"
    SUPERVISOR = "supervisor"
    CLERK_AWAY = "clerk_away"


class PaymentChannel(StrEnum):
    """How a fee was paid, or paid back."""

    CASH = "cash"
    BANK = "bank"


class RefundedBecause(StrEnum):
    """Why a fee was paid back."""

    WITHDRAWN = "withdrawn"
    REFUSED = "refused"
    CHARGED_WRONGLY = "charged_wrongly"


class Answer(StrEnum):
    """What the agency answered. Only the first two are results."""

    ISSUED = "issued"
    REFUSED = "refused"
    INFORMATION_NEEDED = "information_needed"


class Means(StrEnum):
    """By what means the citizen was told."""

    COUNTER = "counter"
    PHONE = "phone"
    SMS = "sms"
    EMAIL = "email"
    POST = "post"
    ONLINE = "online"


class MissingFact(StrEnum):
    """What a citizen may be asked for beside documents of the service."""

    FULL_NAME = "full_name"
    MOTHER_NAME = "mother_name"
    BIRTH_DATE = "birth_date"
    BIRTH_PLACE = "birth_place"
    REGISTRY_OFFICE = "registry_office"
    REGISTRY_NUMBER = "registry_number"
    PURPOSE = "purpose"
    PHOTOGRAPH = "photograph"
    SIGNATURE = "signature"
    ADDRESS = "address"
    PRESENCE = "presence"


class WithdrawnBecause(StrEnum):
    """Why a citizen took a request back."""

    NOT_NEEDED = "not_needed"
    ASKED_ELSEWHERE = "asked_elsewhere"
    TOO_LATE = "too_late"
    NO_REASON_GIVEN = "no_reason_given"


class ExpiredBecause(StrEnum):
    """Which limit a request ran past."""

    NOT_ACCEPTED = "not_accepted"
    NOT_PAID = "not_paid"


class ReturnedBecause(StrEnum):
    """Why the post brought an item back."""

    ADDRESS_UNKNOWN = "address_unknown"
    RECEIVER_ABSENT = "receiver_absent"
    NOT_COLLECTED = "not_collected"
    RECEPTION_REFUSED = "reception_refused"
    RECEIVER_NOT_ALLOWED = "receiver_not_allowed"
    DAMAGED = "damaged"


class Limit(StrEnum):
    """A time limit that staff are warned of."""

    FIRST_ANSWER = "first_answer"
    COMPLETION = "completion"


class WarnedWhen(StrEnum):
    """On which side of the limit the warning stands."""

    BEFORE = "before"
    AFTER = "after"


class CorrectedField(StrEnum):
    """What can be corrected. All but the last are values of a person."""

    FULL_NAME = "full_name"
    NATIONAL_NUMBER = "national_number"
    OTHER_IDENTIFIER = "other_identifier"
    PHONE = "phone"
    ADDRESS = "address"
    EMAIL = "email"
    DELIVERY = "delivery"


IDENTITY_FIELDS = frozenset(
    {
        CorrectedField.FULL_NAME,
        CorrectedField.NATIONAL_NUMBER,
        CorrectedField.OTHER_IDENTIFIER,
    }
)
"""Who somebody is: a supervisor has to allow a correction of these."""


class CorrectedBecause(StrEnum):
    """Why something was corrected."""

    TYPING_ERROR = "typing_error"
    READ_WRONGLY = "read_wrongly"
    DOCUMENT_CORRECTED = "document_corrected"
    CHANGED_SINCE = "changed_since"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A person's part in this request: a random id that only the vault can follow."""

    role: PartyRole
    id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A request in a clerk's hands. The lease ends by the office's own clock."""

    clerk: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """One corrected field. The values lie in the vault under ``command_id``."""

    command_id: UUID
    field: CorrectedField
    party: PartyRole | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenWarning:
    """A warning that was given: of which limit, on which side, for which due time."""

    limit: Limit
    when: WarnedWhen
    due_at: datetime
