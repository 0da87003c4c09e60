"""One request's whole life against a running server, in four ways.

The persons are invented and say so. Nothing here decides: a step that the office
refuses ends the journey with the office's own words.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from enum import StrEnum

from api.cli.logins import login_of
from api.cli.sightings import Expected
from api.cli.steps import CENTRE, GOVERNORATE, Step, Steps
from api.settings import ApiSettings
from domain.acts import ActorKind
from domain.post import SERIALS, item_number
from domain.requests import MissingFact
from domain.stages import Stage
from office.seeding import stamp_serial


class Outcome(StrEnum):
    """How the journey ends."""

    ISSUED = "issued"
    REFUSED = "refused"
    RETURNED = "returned"
    """Issued as well, after missing information and a paper that came back."""
    WITHDRAWN = "withdrawn"

    @property
    def stage(self) -> Stage:
        """Where the request stands at the end."""
        return {
            Outcome.REFUSED: Stage.COMPLETED_REFUSED,
            Outcome.WITHDRAWN: Stage.WITHDRAWN,
        }.get(self, Stage.COMPLETED_ISSUED)


_DIRECT, _BY_REPLY = "CIV-01", "CIV-06"
"""A service with direct access everywhere, and one that its agency replies to."""


class Journey(Steps):
    """Drives one request. Iterate it: each step is done when it is yielded."""

    def __init__(self, url: str, settings: ApiSettings, outcome: Outcome) -> None:
        service = _BY_REPLY if outcome is Outcome.REFUSED else _DIRECT
        super().__init__(url, settings, service=service)
        self.outcome = outcome

    def __iter__(self) -> Iterator[Step]:
        """The steps, each done and seen in all four views."""
        lives = {
            Outcome.ISSUED: self._issued,
            Outcome.REFUSED: self._refused,
            Outcome.RETURNED: self._returned,
            Outcome.WITHDRAWN: self._withdrawn,
        }
        with self._stack:
            yield from lives[self.outcome]()

    def _issued(self) -> Iterator[Step]:
        yield from self._taken_in()
        yield self._paid()
        yield from self._stamped()
        yield self._act(
            self._clerk,
            "tells the citizen that it is ready",
            "message",
            {"message": "ready", "means": "sms"},
            _stays("in_progress", "mail"),
        )
        item = item_number(secrets.randbelow(SERIALS))
        yield self._mailed(item, moved_from="in_progress")
        yield self._delivered(item)

    def _returned(self) -> Iterator[Step]:
        """The longest way: something is missing, and the first item comes back."""
        yield from self._taken_in()
        missing = [MissingFact.BIRTH_PLACE.value]
        yield self._act(
            self._clerk,
            "asks the citizen for what is missing; the clock stands still",
            "information-request",
            {"missing": missing, **self._token()},
            _stays("in_progress", "record_information", waiting_for="citizen"),
        )
        yield self._act(
            self._clerk,
            "records what the citizen brought; the clock goes on",
            "information",
            {"supplied": missing, **self._token()},
            _stays("in_progress", "take_fee"),
        )
        yield self._paid()
        yield from self._stamped()
        item = item_number(secrets.randbelow(SERIALS))
        yield self._mailed(item, moved_from="in_progress")
        yield self._act(
            login_of(ActorKind.POST),
            "brings it back: nobody was there",
            "return",
            {"item": item, "reason": "receiver_absent"},
            _stays("completed_issued", "deal_with_return"),
        )
        item = item_number(secrets.randbelow(SERIALS))
        yield self._mailed(item, moved_from="completed_issued")
        yield self._delivered(item)

    def _withdrawn(self) -> Iterator[Step]:
        yield from self._taken_in()
        yield self._paid()
        yield self._act(
            self._clerk,
            "takes it back on the citizen's word",
            "withdrawal",
            {"reason": "not_needed"},
            Expected(stage="withdrawn", next_act=None, moved_from="in_progress"),
        )
        yield self._act(
            self._supervisor,
            "pays the fee back",
            "refund",
            {"kinds": self._kinds(), "reason": "withdrawn", "channel": "cash"},
            _stays("withdrawn", None),
        )

    def _taken_in(self) -> Iterator[Step]:
        yield self._submit(
            self._clerk,
            "submits and accepts at the counter",
            {"channel": "counter", "accept": True},
            Expected(stage="in_progress", next_act="take_fee"),
        )
        yield self._await_assignment(_stays("in_progress", "take_fee"))

    def _paid(self) -> Step:
        return self._act(
            self._clerk,
            "takes the fee in cash",
            "payment",
            {**self._fee(), "channel": "cash", **self._token()},
            _stays("in_progress", "record_reply"),
        )

    def _stamped(self) -> Iterator[Step]:
        yield self._act(
            self._clerk,
            "reads the answer in the agency's system: issued",
            "response",
            {"outcome": "issued", "document_digest": _digest(), **self._token()},
            _stays("in_progress", "stamp"),
        )
        serial = stamp_serial(GOVERNORATE, 1)
        yield self._act(
            self._clerk,
            "stamps the paper",
            "stamp",
            {"serial": serial, "stamped_digest": _digest(), **self._token()},
            _stays("in_progress", "mail"),
        )

    def _mailed(self, item: str, *, moved_from: str) -> Step:
        return self._act(
            self._clerk,
            f"gives it to the post as {item}",
            "mailing",
            {"item": item, "to": "home", **self._token()},
            Expected(stage="completed_issued", next_act=None, moved_from=moved_from),
        )

    def _delivered(self, item: str) -> Step:
        return self._act(
            login_of(ActorKind.POST),
            "reports it delivered",
            "delivery",
            {"item": item, "capacity": "self"},
            _stays("completed_issued", None),
        )

    def _refused(self) -> Iterator[Step]:
        citizen = login_of(
            ActorKind.CITIZEN, subject=f"invented-{secrets.token_hex(8)}"
        )
        yield self._submit(
            citizen,
            "submits online",
            {"channel": "online", "centre": CENTRE},
            Expected(stage="waiting", next_act="accept"),
        )
        yield self._await_assignment(_stays("waiting", "accept"))
        yield self._act(
            self._clerk,
            "accepts: conditions and documents are in order",
            "acceptance",
            {"documents": self._documents(), **self._token()},
            Expected(stage="in_progress", next_act="take_fee", moved_from="waiting"),
        )
        yield self._act(
            login_of(ActorKind.BANK),
            "reports the fee paid",
            "payment",
            {
                **self._fee(),
                "channel": "bank",
                "bank_reference": f"WALK-{secrets.token_hex(4).upper()}",
            },
            _stays("in_progress", "forward"),
        )
        yield self._act(
            self._clerk,
            "forwards it to the agency",
            "forwarding",
            self._token(),
            _stays("in_progress", "record_reply", waiting_for="agency"),
        )
        officer = login_of(
            ActorKind.AGENCY,
            agency=str(self._request["agency"]),
            governorate=GOVERNORATE,
        )
        yield self._act(
            officer,
            "replies: refused",
            "response",
            {"outcome": "refused", "reason": "record-not-found"},
            _stays("in_progress", "tell_result"),
        )
        yield self._act(
            self._clerk,
            "sends word that there is an answer",
            "message",
            {"message": "refused", "means": "sms"},
            _stays("in_progress", "tell_result"),
        )
        yield self._act(
            self._clerk,
            "tells the citizen why, by phone",
            "result",
            {"means": "phone", **self._token()},
            Expected(
                stage="completed_refused", next_act=None, moved_from="in_progress"
            ),
        )


def _stays(stage: str, next_act: str | None, *, waiting_for: str = "clerk") -> Expected:
    return Expected(
        stage=stage, next_act=next_act, waiting_for=waiting_for, moved_from=stage
    )


def _digest() -> str:
    return hashlib.sha256(secrets.token_bytes(32)).hexdigest()
