"""Payments: what was to be paid, was paid and was paid back, by request and in sums.

Amounts are integer hundredths of a pound in one unit; sums of two units stand apart.
``cancelled`` is what was expected and can never be paid, because its request ended
before: expected = paid + cancelled + outstanding, in every group at every position.
"""

from projections.payments.fees import Payments
from projections.payments.queries import (
    PayBy,
    Payment,
    PaymentFilter,
    PaymentSort,
    PaymentsQueries,
    PaymentState,
    Sum,
    Sums,
)
from projections.payments.unmatched import (
    UnmatchedFilter,
    UnmatchedPayment,
    UnmatchedQueries,
    UnmatchedState,
    unmatched_from,
)

__all__ = [
    "PayBy",
    "Payment",
    "PaymentFilter",
    "PaymentSort",
    "PaymentState",
    "Payments",
    "PaymentsQueries",
    "Sum",
    "Sums",
    "UnmatchedFilter",
    "UnmatchedPayment",
    "UnmatchedQueries",
    "UnmatchedState",
    "unmatched_from",
]
