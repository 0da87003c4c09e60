"""What stands between a door and the rules: repeats, versions, the store's health."""

from __future__ import annotations

from domain.errors import SijilError


class OperatorError(RuntimeError):
    """What whoever runs Sijil has to know: its message is a sentence for them.

    ``exit_code``: 1 the answer is no, 2 it could not be asked.
    """

    def __init__(self, sentence: str, *, exit_code: int = 2) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


class PreconditionRequiredError(SijilError):
    """A change of an existing thing did not say which version it was made on."""

    code = "precondition-required"


class StaleVersionError(SijilError):
    """The thing has moved since it was read; ``current`` is its version now."""

    code = "stale-version"

    def __init__(self, *, current: int) -> None:
        super().__init__(current)
        self.current = current


class ConcurrencyError(SijilError):
    """Somebody else changed the thing at the same moment; try again."""

    code = "version-conflict"


class CommandReusedError(SijilError):
    """The command id was used before for something else, or by somebody else."""

    code = "idempotency-key-reused"


class ClockSkewError(SijilError):
    """Two clocks are over a minute apart; nothing was stored."""

    code = "clock-skew"


class LedgerUnavailableError(SijilError):
    """The store cannot be reached, or takes nothing."""

    code = "ledger-unavailable"


class LedgerBusyError(LedgerUnavailableError):
    """Too many acts wait for the ledger; nothing was stored."""

    code = "ledger-busy"


class LedgerReturnedError(LedgerUnavailableError):
    """The ledger came back from a backup and waits for its operator to resume it."""

    code = "ledger-returned"


class OutcomeUnknownError(LedgerUnavailableError):
    """The act was sent and not answered; its id tells, by sending it again."""

    code = "outcome-unknown"


class NotFreshEnoughError(SijilError):
    """The view did not reach the position asked for in time."""

    code = "not-fresh-enough"

    def __init__(self, *, position: int) -> None:
        super().__init__(position)
        self.position = position
