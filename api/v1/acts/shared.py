"""What the acts on a request share: problems, and the way from body to envelope."""

from api.asking import Asking
from api.v1 import bodies
from api.v1.requests import WRITING
from office.acts import Envelope

CHANGING = (*WRITING, "not-found", "precondition-required", "stale-version")
HELD = ("stale-claim", "held-by-another", "not-assigned")


def envelope(asking: Asking, body: bodies.Bookkeeping) -> Envelope:
    """The envelope of an act with what its body says of time and approval."""
    if isinstance(body, bodies.Body):
        return asking.envelope(
            effective_at=body.effective_at,
            is_approved=body.approved,
            approval=body.approval,
        )
    approval = body.approval if isinstance(body, bodies.Approvable) else None
    return asking.envelope(approval=approval)
