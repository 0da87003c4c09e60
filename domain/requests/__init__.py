"""A citizen's request, from the counter to the post.

Stages, guards and who may do what: docs/reference/contract.md. In the order of a
request's life: ``taking_in`` (submit, accept, decline), ``holding`` (assign, claim,
release), ``working`` (fee, agency, information, stamp), ``leaving`` (post, counter,
telling), ``ending`` (withdrawal, expiry) and ``correcting``. ``record`` is the
aggregate with its events and what they leave; ``facts`` are the closed sets.
"""

from domain.requests.facts import (
    IDENTITY_FIELDS,
    Answer,
    AssignedBecause,
    Channel,
    Claim,
    CorrectedBecause,
    CorrectedField,
    Correction,
    Declined,
    Delivery,
    ExpiredBecause,
    GivenWarning,
    Limit,
    Means,
    MissingFact,
    Party,
    PartyRole,
    PaymentChannel,
    RefundedBecause,
    ReleasedBecause,
    ReturnedBecause,
    WarnedWhen,
    WithdrawnBecause,
)
from domain.requests.record import ServiceRequest, is_posted

__all__ = [
    "IDENTITY_FIELDS",
    "Answer",
    "AssignedBecause",
    "Channel",
    "Claim",
    "CorrectedBecause",
    "CorrectedField",
    "Correction",
    "Declined",
    "Delivery",
    "ExpiredBecause",
    "GivenWarning",
    "Limit",
    "Means",
    "MissingFact",
    "Party",
    "PartyRole",
    "PaymentChannel",
    "RefundedBecause",
    "ReleasedBecause",
    "ReturnedBecause",
    "ServiceRequest",
    "WarnedWhen",
    "WithdrawnBecause",
    "is_posted",
]
