"""The people of a working day, for Locust, which finds their kinds here.

``benchmarks.working_day`` starts it and says how many begin a request each second.
Clerks, with the agencies, the post and the bank that their requests need:
``benchmarks.day.counter``; who looks without acting: ``benchmarks.day.watching``; whose
pages hear of each act: ``benchmarks.day.listening``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import gevent
from locust import events
from locust.env import Environment

from benchmarks.day.counter import Counter
from benchmarks.day.listening import ClerksPage, MinistrysScreen, SupervisorsPage
from benchmarks.day.person import FAILED, SERVICES, TALLY
from benchmarks.day.watching import (
    Auditor,
    Citizen,
    Desk,
    Download,
    Ministry,
    Officer,
    PostOffice,
    Report,
    Supervisor,
)

__all__ = [
    "Auditor",
    "Citizen",
    "ClerksPage",
    "Counter",
    "Desk",
    "Download",
    "Ministry",
    "MinistrysScreen",
    "Officer",
    "PostOffice",
    "Report",
    "Supervisor",
    "SupervisorsPage",
]
OUTCOME = Path(os.environ["WORKING_DAY_OUTCOME"])
WARM_UP_S = float(os.environ["WORKING_DAY_WARM_UP_S"])


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def begin(environment: Environment, **_: Any) -> None:
    """Measure from when everybody is in."""

    def from_now_on() -> None:
        gevent.sleep(WARM_UP_S)
        environment.stats.reset_all()
        TALLY.clear()

    gevent.spawn(from_now_on)


@events.init.add_listener  # type: ignore[untyped-decorator]
def learn(**_: Any) -> None:
    """What is offered to whoever asks for themselves, everywhere."""
    found = json.loads(Path(os.environ["WORKING_DAY_SERVICES"]).read_text())
    SERVICES.extend(each for each in found if "self" in each["facts"]["applicants"])


@events.user_error.add_listener  # type: ignore[untyped-decorator]
def notice(user_instance: Any, exception: Exception, **_: Any) -> None:
    """Count what a person stumbled over: Locust only writes it down and goes on."""
    FAILED.append(f"{type(user_instance).__name__}: {exception!r}"[:300])


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def tell(environment: Environment, **_: Any) -> None:
    """Write what was measured for whoever started us."""
    entries = [*environment.stats.entries.values(), environment.stats.total]
    OUTCOME.write_text(
        json.dumps(
            {
                "tally": dict(TALLY),
                "failed": FAILED,
                "acts": {
                    entry.name: {
                        "calls": entry.num_requests,
                        "failures": entry.num_failures,
                        "a_second": entry.total_rps,
                        **{
                            f"p{share}": entry.get_response_time_percentile(share / 100)
                            for share in (50, 95, 99)
                        },
                    }
                    for entry in entries
                },
            }
        )
    )
