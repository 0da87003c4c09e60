"""Letters to nobody, and what a courier says of one that it could not send."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from domain.ids import tracking_number
from domain.requests import Means
from office.commands import Message
from office.couriers import CourierError, Letter
from office.messages import written

ID = UUID("019ab1f0-7c00-7a3b-8f21-5d0c9e4b1a77")
AT = datetime(2026, 11, 23, 8, 14, 5, tzinfo=UTC)
MARKED_PHONE = "+963933123498"
MARKED_EMAIL = "marked.citizen@example.org"


def letter(**changes: Any) -> Letter:
    words = written(Message.ACCEPTED, number=tracking_number(ID))
    facts: dict[str, Any] = {
        "id": ID,
        "message": "accepted",
        "means": Means.SMS,
        "to": MARKED_PHONE,
        "subject": words.subject,
        "text": words.text,
        "caused_at": AT,
    }
    return Letter(**{**facts, **changes})


def failure(courier: Any, sent: Letter) -> CourierError:
    with pytest.raises(CourierError) as caught:
        courier.send(sent)
    error = caught.value
    # Nothing of what the other side said, in the error or in what it came from.
    assert MARKED_EMAIL not in repr(error)
    assert MARKED_PHONE not in repr(error)
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    return error
