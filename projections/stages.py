"""The events that move a request to another stage.

As docs/reference/contract.md has them ("Stages"), for whoever tells of stages: counts,
the public status, analytics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from domain.requests import Answer
from domain.stages import Stage
from projections.situations import PREFIX

ENTERED: Final[dict[str, str | None]] = {
    f"{PREFIX}submitted.v1": Stage.WAITING.value,
    f"{PREFIX}accepted.v1": Stage.IN_PROGRESS.value,
    f"{PREFIX}not-accepted.v1": Stage.NOT_ACCEPTED.value,
    f"{PREFIX}mailed.v1": Stage.COMPLETED_ISSUED.value,
    f"{PREFIX}handed-over.v1": Stage.COMPLETED_ISSUED.value,
    # By its outcome: ``stage_told``.
    f"{PREFIX}result-told.v1": None,
    f"{PREFIX}withdrawn.v1": Stage.WITHDRAWN.value,
    f"{PREFIX}expired.v1": Stage.EXPIRED.value,
}
"""The stage that each event moves its request to. Plain texts, which cost less."""


def stage_told(data: Mapping[str, Any]) -> str:
    """The stage of a request whose result was told, by the data of that event."""
    is_issued = data["outcome"] == Answer.ISSUED
    return (Stage.COMPLETED_ISSUED if is_issued else Stage.COMPLETED_REFUSED).value
