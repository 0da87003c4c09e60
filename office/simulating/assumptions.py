"""Every number the simulated history rests on. Each has a line of documentation.

docs/explanation/simulation.md says which are documented and which are our own; a test
compares the two. Shares are in thousandths, times in minutes of the office's opening
or in working days, as the name says.
"""

from __future__ import annotations

from datetime import date

# The period -----------------------------------------------------------------------

FIRST_DAY = date(2025, 9, 9)
LAST_DAY = date(2026, 11, 19)
COMPLETED = 44_000
GROWTH_PER_MILLE = 1_900
"""The last day's requests for a thousand of the first day's; straight in between."""
WEEKDAY_WEIGHTS = {6: 125, 0: 105, 1: 100, 2: 95, 3: 85}
"""Monday is 0; the week begins on Sunday."""
HOUR_WEIGHTS = (130, 170, 165, 150, 140, 130, 115)
"""From 08:00 on: 335 of a thousand between 09:00 and 11:00."""
ONLINE_HOURS = (7, 23)

HOLIDAYS_2025 = (
    (date(2025, 12, 8), "عيد التحرير", "Liberation Day"),
    (date(2025, 12, 25), "عيد الميلاد المجيد", "Christmas"),
)
"""Of the months of the period; the table of ``domain/catalogue`` begins in 2026."""

# What is asked for, where and how ---------------------------------------------------

SERVICE_MIX = (
    (("CIV",), 557),
    (("CRM",), 131),
    (("EMP",), 130),
    (("TMP",), 55),
    (("MFA",), 39),
    (("MUN-01",), 36),
    (("MUN-02",), 12),
    ((), 40),
)
"""Services by the beginning of their code; the last is everything else."""
SERVICE_WEIGHTS = {
    "CIV-01": 300,
    "CIV-02": 260,
    "CIV-03": 130,
    "CIV-04": 70,
    "CIV-05": 90,
    "CIV-06": 40,
    "CIV-07": 40,
    "CIV-08": 70,
    "CRM-01": 980,
    "CRM-02": 20,
}
"""Within a group; what is not named here shares its group evenly."""
CHANNELS = {"counter": 900, "online": 70, "phone": 14, "post": 6, "email": 10}
RELATIONSHIPS = {"self": 720, "first_degree": 200, "representative": 80}
DELIVERIES = {"home": 460, "post_office": 340, "counter": 200}
OPTIONAL_DOCUMENT = 400

# How it ends, of all that is submitted ----------------------------------------------

DECLINED = 38
DECLINED_INELIGIBLE = 250
"""Of those declined; the others lack documents."""
WITHDRAWN = 14
EXPIRED_UNPAID = 6
EXPIRED_WAITING = 40
"""Of those that came by another way than the counter."""
REFUSED = {"CIV-06": 90, "CIV-07": 120, "EDU-07": 150, "HED-02": 150, "LND-05": 100}
REFUSED_ELSE = 24
REFUND_WITHDRAWN = 800
REFUND_REFUSED = 100
REFUSALS = ("no-such-record", "records-differ", "not-entitled", "under-litigation")

# The office -------------------------------------------------------------------------

ACCEPT_MINUTES = (15, 40, 80, 150, 240, 420, 840)
WAITING_INFORMATION = 80
PAY_CASH_MINUTES = (1, 6)
PAY_LATER_MINUTES = (60, 240, 600, 1_200, 1_900)
BANK_FROM = date(2026, 3, 1)
BANK_LAST_PER_MILLE = 320
"""Payments by bank: none before, and straight up to this share on the last day."""
FORWARD_MINUTES = (5, 12, 25, 45, 90, 300)
DIRECT_MINUTES = (2, 4, 7, 11, 16, 25)
DIRECT_DOWN = 40
DIRECT_DOWN_MINUTES = (60, 300, 500, 900)
PILED_UP = 45
PILED_UP_MINUTES = (180, 420, 600, 1_000, 1_700)
"""A clerk's step that lies for a while: how often, and how long."""
STAMP_MINUTES = (3, 6, 10, 18, 40)
POST_LEAVES_MINUTE = 330
"""Minutes after opening, 13:30: what is ready by then goes the same day."""
POST_MISSED = 80
WAITS_AT_COUNTER = 600
COLLECTS_MINUTES = (60, 400, 700, 1_100, 1_900, 3_400)
TELL_MINUTES = (20, 120, 300, 420, 840)
INFORMED_READY = 700
CORRECTED_DELIVERY = 8
SUPERSEDED = 5

# The agency --------------------------------------------------------------------------

ANSWER_PER_MILLE = (120, 250, 380, 500, 600, 720, 860, 1_000, 1_500, 3_000)
"""When the agency answers, in thousandths of the service's completion time: a table of
equal shares, so that about one in five comes after all the time there was."""
NEEDS_INFORMATION_REPLY = 45
NEEDS_INFORMATION_DIRECT = 4
ASK_MINUTES = (10, 60, 200, 420)
SUPPLY_DAYS = (1, 2, 3, 5, 8, 15)
CITIZEN_ASKS = ("photograph", "signature", "mother_name", "registry_number")

# The post -----------------------------------------------------------------------------

HOME_DAYS = (1, 2, 2, 3, 4, 6)
POST_OFFICE_DAYS = (2, 3, 4, 6, 8, 12)
RETURNED = 24
RETURNED_DAYS = (5, 8, 10, 14)
NEVER_SCANNED = 8
RETURN_REASONS = {
    "not_collected": 340,
    "receiver_absent": 300,
    "address_unknown": 220,
    "receiver_not_allowed": 80,
    "reception_refused": 40,
    "damaged": 20,
}
RETURN_DAYS = (1, 1, 2, 3, 5)
RETURN_HANDED_OVER = 330
RETURN_LEFT = 50
POST_REPORTS_AT = (18, 0)
"""The post's scans of a day are recorded in the evening."""

# Recording ---------------------------------------------------------------------

LINE_DOWN = 15
"""Days on which a centre's line is down from some hour until it closes."""
NOTED_LATER = 12
"""Steps that are written down later the same day."""
NOTED_LATER_MINUTES = (20, 180)

# The centres --------------------------------------------------------------------

REQUESTS_A_CLERK = 11
"""Requests of the busiest days per clerk; with more a centre gets further clerks."""
BUSY_AGENCIES = ("CIV", "CRM", "EMP", "TMP", "MFA")
"""What the further clerks are responsible for."""
ABSENCES_A_CLERK = 3
ABSENCE_DAYS = (2, 3, 5, 7, 10)
AWAY_AT_THE_END = {"SY-DI": 3, "SY-HI": 2, "SY-LA": 3}
"""Who is away at the end, until somebody says otherwise: the seeded clerk's number."""
AWAY_DAYS_AT_THE_END = 4
"""Working days: what came since for agencies of theirs alone is in nobody's hands."""
STAMPS_USED = 5
EXTRA_STAMP = 6
EXTRA_STAMP_WORN_ON = date(2026, 6, 14)
