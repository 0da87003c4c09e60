"""How a command ends when it cannot do what was asked."""

from __future__ import annotations

NO = 1
"""The answer is no: refused, or not as it should be."""
COULD_NOT_ASK = 2
"""It could not be asked: wrong usage, a setting, nobody there."""


class Failure(Exception):  # noqa: N818 -- what the user sees, not a program's error
    """What happened, why, and what to do next, as one sentence."""

    def __init__(
        self, what: str, *, why: str = "", then: str = "", exit_code: int = NO
    ) -> None:
        parts = [what, *([f"because {why}"] if why else [])]
        super().__init__("; ".join([", ".join(parts), *([then] if then else [])]))
        self.exit_code = exit_code
