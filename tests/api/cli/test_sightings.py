"""What ``walk`` checks: it catches a view that does not show a step."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from api.cli.server import Answer, RunningServer
from api.cli.sightings import Expected, NotShownError, Sightings

REQUEST = "019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"
EVENTS = [
    {"position": 7, "leaf_hash": "aa"},
    {"position": 8, "leaf_hash": "bb"},
]
GROUP = {"centre": "SY-DI-01", "service": "CIV-01"}
NOBODY = dict.fromkeys(
    (
        "submitted",
        "waiting",
        "not_accepted",
        "in_progress",
        "completed_issued",
        "completed_refused",
        "withdrawn",
        "expired",
    ),
    0,
)
ACCEPTED = Expected(stage="in_progress", next_act="take_fee")
GOOD: dict[str, Any] = {
    "/v1/queue": [{"request_id": REQUEST, "next_act": "take_fee"}],
    "/v1/requests": [{"id": REQUEST, "stage": "in_progress"}],
    f"/v1/requests/{REQUEST}/trail": [
        {"position": 7, "leaf_hash": "aa", "words_en": "Request submitted"},
        {"position": 8, "leaf_hash": "bb", "words_en": "Request accepted"},
    ],
    "/v1/counts": {
        6: [],
        8: [{"group": GROUP, **NOBODY, "submitted": 1, "in_progress": 1}],
    },
}


class Told(RunningServer):
    """A server that answers what the test told it."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__("http://nobody")
        self.answers = answers

    def get(self, path: str, **parameters: Any) -> Answer:
        items = self.answers[path]
        if isinstance(items, dict):
            items = items[parameters["as_of"]]
        return Answer(status=200, body={"items": items, "next": None})


def look(answers: dict[str, Any], expected: Expected = ACCEPTED) -> dict[str, str]:
    with Told(answers) as server:
        sightings = Sightings(server, centre="SY-DI-01", service="CIV-01")
        seen = sightings.look(REQUEST, EVENTS, expected)
    return {each.view: each.shows for each in seen}


def test_a_step_that_every_view_shows_is_seen() -> None:
    assert look(GOOD) == {
        "queue": "take_fee",
        "counts": "submitted +1, in_progress +1",
        "trail": "Request accepted",
        "tracking": "in_progress",
    }


def test_a_request_that_ended_must_be_gone_from_the_queue() -> None:
    ended = Expected(stage="in_progress", next_act=None)
    with pytest.raises(NotShownError, match="queue does not show"):
        look(GOOD, ended)


@pytest.mark.parametrize(
    ("view", "path", "fault"),
    [
        ("queue", "/v1/queue", []),
        ("queue", "/v1/queue", [{"request_id": REQUEST, "next_act": "accept"}]),
        ("counts", "/v1/counts", {6: [], 8: []}),
        (
            "counts",
            "/v1/counts",
            {6: [], 8: [{"group": GROUP, **NOBODY, "submitted": 1, "waiting": 1}]},
        ),
        ("trail", f"/v1/requests/{REQUEST}/trail", []),
        (
            "trail",
            f"/v1/requests/{REQUEST}/trail",
            [
                {"position": 7, "leaf_hash": "aa", "words_en": ""},
                {"position": 8, "leaf_hash": "cc", "words_en": ""},
            ],
        ),
        ("tracking", "/v1/requests", []),
        ("tracking", "/v1/requests", [{"id": REQUEST, "stage": "waiting"}]),
    ],
)
def test_a_view_that_does_not_show_the_step_is_caught(
    view: str, path: str, fault: Any
) -> None:
    answers = {**copy.deepcopy(GOOD), path: fault}
    with pytest.raises(NotShownError, match=f"{view} does not show the step"):
        look(answers)
