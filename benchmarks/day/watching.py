"""Whoever looks without acting: citizens, supervisors, agencies, post, ministry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

from locust import task

from benchmarks.day.person import (
    DESK_EVERY_S,
    PLACES,
    RATE,
    RECEIPTS,
    Person,
    random,
    supervisor,
    token,
)
from domain.acts import ActorKind
from domain.calendars import office_day
from office.seeding import centre_code

LOOKS_A_REQUEST = 3
"""How often a citizen asks where it stands."""
CITIZENS = 20
OFFICERS = 20
"""Of agencies: each with an inbox open."""
DOWNLOAD_EVERY_S = 60.0
"""How often somebody takes a whole list home."""
AUDITOR = token(ActorKind.AUDITOR, "aud-1")
MINISTRY = token(ActorKind.ADMINISTRATOR, "adm-1")
POST = token(ActorKind.POST, "post-1")
_turns = count()


def today() -> str:
    """The day in Damascus."""
    return office_day(datetime.now(UTC)).isoformat()


class Citizen(Person):
    """Somebody at home who wants to know."""

    fixed_count = CITIZENS
    every_s = CITIZENS / (RATE * LOOKS_A_REQUEST)

    @task
    def look(self) -> None:
        """Ask with the number and the code on a receipt."""
        if RECEIPTS:
            number, code = random.choice(RECEIPTS)
            self.act(
                "citizen: track", "/v1/tracking", {}, {"number": number, "code": code}
            )


class Supervisor(Person):
    """Whoever looks what waits at a centre."""

    fixed_count = len(PLACES)

    @task
    def look(self) -> None:
        """See the centre's queue, its requests, and one request's trail."""
        who = supervisor(PLACES[next(_turns) % len(PLACES)])
        self.read("supervisor: queue", "/v1/queue?limit=50", who)
        listed = self.read("supervisor: requests", "/v1/requests?limit=50", who)
        if items := listed.get("items"):
            path = f"/v1/requests/{random.choice(items)['id']}/trail"
            self.read("supervisor: trail", path, who)


class Desk(Person):
    """A supervisor's desk, opened part by part."""

    fixed_count = len(PLACES)
    every_s = DESK_EVERY_S

    @task
    def look(self) -> None:
        """See what nobody has, what came back, and how much each clerk has to do."""
        who = supervisor(PLACES[next(_turns) % len(PLACES)])
        for part in ("unassigned", "load", "returned-post", "approvals"):
            self.read(f"supervisor: {part}", f"/v1/desk/{part}", who)
        self.read("supervisor: refused attempts", "/v1/desk/refused-attempts", who)


class Officer(Person):
    """An agency's officer, who looks what there is to answer."""

    fixed_count = OFFICERS
    every_s = DESK_EVERY_S

    @task
    def look(self) -> None:
        """See what is unanswered by its limit, and how much there is in all."""
        who = token(
            ActorKind.AGENCY, "off-CIV", agency="CIV", governorate=random.choice(PLACES)
        )
        self.read("agency: inbox", "/v1/inbox?state=unanswered&limit=50", who)
        self.read("agency: totals", "/v1/inbox/totals", who)


class PostOffice(Person):
    """Whoever fetches the day's post of each centre."""

    fixed_count = len(PLACES)
    every_s = DESK_EVERY_S

    @task
    def look(self) -> None:
        """Take the day's manifest, and see how much of each day is on its way."""
        centre = centre_code(PLACES[next(_turns) % len(PLACES)])
        path = f"/v1/postal-items?day={today()}&centre={centre}&limit=200"
        self.read("post: manifest", path, POST)
        self.read("post: days", f"/v1/postal-items/days?centre={centre}", POST)


class Ministry(Person):
    """A screen that counts."""

    fixed_count = len(PLACES)

    @task
    def count(self) -> None:
        """Stocks by governorate and by service, and the flows of the days."""
        self.read("ministry: counts", "/v1/counts", MINISTRY)
        self.read("ministry: counts by service", "/v1/counts?by=service", MINISTRY)
        self.read("ministry: flows", "/v1/counts/flows", MINISTRY)


class Report(Person):
    """A page of the ministry that is opened now and then."""

    fixed_count = 4
    every_s = DESK_EVERY_S

    @task
    def report(self) -> None:
        """How long the last month's requests took, and what came in, by governorate."""
        first = (office_day(datetime.now(UTC)) - timedelta(days=30)).isoformat()
        path = f"/v1/turnaround?first={first}&by=governorate"
        self.read("ministry: turnaround", path, MINISTRY)
        path = f"/v1/payments/sums?first={first}&by=governorate"
        self.read("ministry: sums", path, MINISTRY)


class Auditor(Person):
    """Whoever follows what was done, entry by entry, now and as it was known."""

    fixed_count = 2

    @task
    def follow(self) -> None:
        """Read the newest of the trail, the first entries, and yesterday's counts."""
        self.read("auditor: trail", "/v1/trail?sort=-position&limit=50", AUDITOR)
        self.read("auditor: entries", "/v1/entries?limit=50", AUDITOR)
        then = (datetime.now(UTC) - timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.read("auditor: counts as of then", f"/v1/counts?as_of={then}", AUDITOR)


class Download(Person):
    """Whoever takes whole lists home."""

    fixed_count = 1
    every_s = DOWNLOAD_EVERY_S

    @task
    def take_home(self) -> None:
        """A centre's queue, and all requests of the country, as CSV."""
        who = supervisor(PLACES[next(_turns) % len(PLACES)])
        self.fetch("supervisor: queue as CSV", "/v1/queue?format=csv", who)
        self.fetch("auditor: all requests as CSV", "/v1/requests?format=csv", AUDITOR)
