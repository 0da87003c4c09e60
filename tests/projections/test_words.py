"""Every event and every code of a closed set has words in both languages."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from domain import errors, requests
from domain.acts import ActorKind
from domain.agencies import AgencyClosedBecause, AgencyScope
from domain.centres import CentreClosedBecause
from domain.clerks import AwayBecause
from domain.dead_letters import DeadBecause, SettledBecause
from domain.errors import RuleBrokenError
from domain.money import FeeKind, Unit
from domain.payments import PaymentSettledBecause, UnmatchedBecause
from domain.reads import Purpose
from domain.records import MergedBecause
from domain.resumptions import ResumedBecause
from domain.services import FeeDue, Relationship, Route, SuspendedBecause
from domain.stamps import StampWithdrawnBecause
from domain.views import SkippedBecause
from projections import codes
from projections.codes import Words
from projections.words import WORDS, in_words
from tests.domain.test_golden_events import stored_topics

GOLDEN = Path("tests/golden")
CODE = re.compile(r"[a-z]+[_-][a-z_-]+")
ARABIC = re.compile(r"[\u0621-\u064a]")
SETS: list[tuple[type[StrEnum], dict[str, Words]]] = [
    (requests.Answer, codes.ANSWERS),
    (requests.Declined, codes.DECLINED),
    (requests.Channel, codes.CHANNELS),
    (requests.Means, codes.MEANS),
    (requests.PaymentChannel, codes.PAYMENT_CHANNELS),
    (requests.Delivery, codes.DELIVERIES),
    (requests.PartyRole, codes.PARTY_ROLES),
    (requests.AssignedBecause, codes.ASSIGNED),
    (requests.ReleasedBecause, codes.RELEASED),
    (requests.RefundedBecause, codes.REFUNDED),
    (requests.MissingFact, codes.MISSING),
    (requests.ReturnedBecause, codes.RETURNED),
    (requests.WithdrawnBecause, codes.WITHDRAWN),
    (requests.ExpiredBecause, codes.EXPIRED),
    (requests.Limit, codes.LIMITS),
    (requests.WarnedWhen, codes.WARNED),
    (requests.CorrectedField, codes.FIELDS),
    (requests.CorrectedBecause, codes.CORRECTED),
    (Route, codes.ROUTES),
    (Relationship, codes.RELATIONSHIPS),
    (FeeDue, codes.FEES_DUE),
    (SuspendedBecause, codes.SUSPENDED),
    (AwayBecause, codes.AWAY),
    (CentreClosedBecause, codes.CENTRE_CLOSED),
    (AgencyClosedBecause, codes.AGENCY_CLOSED),
    (AgencyScope, codes.SCOPES),
    (StampWithdrawnBecause, codes.STAMP_WITHDRAWN),
    (DeadBecause, codes.DEAD),
    (SettledBecause, codes.SETTLED),
    (UnmatchedBecause, codes.UNMATCHED),
    (PaymentSettledBecause, codes.PAYMENT_SETTLED),
    (Purpose, codes.PURPOSES),
    (MergedBecause, codes.MERGED),
    (SkippedBecause, codes.SKIPPED),
    (ResumedBecause, codes.RESUMED),
    (Unit, codes.UNITS),
    (FeeKind, codes.FEE_KINDS),
    (ActorKind, codes.ACTORS),
]


@pytest.mark.parametrize(("kind", "named"), SETS, ids=lambda each: str(each)[:30])
def test_every_code_of_a_closed_set_has_its_words(
    kind: type[StrEnum], named: dict[str, Words]
) -> None:
    assert set(named) == {member.value for member in kind}
    for ar, en in named.values():
        assert ARABIC.search(ar)
        assert en.isascii()


def test_every_rule_that_an_attempt_can_break_has_its_words() -> None:
    broken = {
        kind.code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, RuleBrokenError)
    }
    assert set(codes.BROKEN) == broken


def test_every_topic_has_words_in_both_languages() -> None:
    assert set(WORDS) == stored_topics()
    for ar, en in WORDS.values():
        assert ARABIC.search(ar)
        assert en.isascii()


def golden_events() -> list[tuple[str, dict[str, Any]]]:
    found = []
    for path in sorted(GOLDEN.rglob("sijil.*.json")):
        told = json.loads(path.read_text())
        body = told.get("body", told)
        body = json.loads(body) if isinstance(body, str) else body
        topic, _, _ = path.name.removesuffix(".json").partition("~")
        found.append((topic, body["data"]))
    return found


def test_every_stored_event_is_put_in_words_without_a_code_left_over() -> None:
    seen = golden_events()
    assert len(seen) > 40
    for topic, data in seen:
        ar, en = in_words(topic, data)
        assert ar.startswith(WORDS[topic][0])
        assert en.startswith(WORDS[topic][1])
        assert "{" not in ar + en
        left = CODE.findall(en) + CODE.findall(ar)
        assert not {code for _, named in SETS for code in named if code in left}


@pytest.mark.parametrize(
    ("topic", "data", "said"),
    [
        (
            "sijil.request.forwarded.v1",
            {"agency": "CIV"},
            ("إحالة الطلب إلى الجهة CIV", "Forwarded to the agency CIV"),
        ),
        (
            "sijil.request.agency-responded.v1",
            {"outcome": "issued", "by": "reply"},
            ("ورود رد الجهة: صدرت الوثيقة", "Agency responded: issued"),
        ),
        (
            "sijil.request.fee-paid.v1",
            {"amount": 3005, "unit": "SYP.new", "channel": "cash"},
            (
                "دفع الرسم: 30.05 ليرة سورية جديدة نقداً",
                "Fee paid: 30.05 new Syrian pounds in cash",
            ),
        ),
        (
            "sijil.request.not-accepted.v1",
            {"reason": "documents_missing", "missing": ["photograph", "form-7"]},
            (
                "عدم قبول الطلب: وثائق ناقصة (صورة شخصية، form-7)",
                "Request not accepted: documents missing (photograph, form-7)",
            ),
        ),
        (
            "sijil.payment.settled.v1",
            {"reason": "reported-twice"},
            (
                "تسوية دفعة مصرفية بلا طلب يقابلها: أبلغ المصرف عنها مرتين",
                "Payment settled that no request was waiting for: reported twice",
            ),
        ),
        ("sijil.thing.new.v9", {"x": 1}, ("sijil.thing.new.v9",) * 2),
    ],
)
def test_words_say_the_essential_fact(
    topic: str, data: dict[str, Any], said: tuple[str, str]
) -> None:
    assert in_words(topic, data) == said
