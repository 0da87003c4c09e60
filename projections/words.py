"""Events in words, Arabic and English: what happened, and its essential facts.

Composed from an event's own codes when it is read: better words need no fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from projections import codes
from projections.codes import Words

_NO_CODES: Mapping[str, Words] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Detail:
    """One fact of an event: ``{}`` of both texts stands for its value."""

    field: str
    ar: str = " {}"
    en: str = " {}"
    named: Mapping[str, Words] | None = None

    def words(self, data: Mapping[str, Any]) -> Words:
        """The detail; empty where the event does not have the fact."""
        value = data.get(self.field)
        if value is None or value == []:
            return "", ""
        values = value if isinstance(value, list) else [value]
        known = self.named or _NO_CODES
        words = [known.get(str(each), (str(each), str(each))) for each in values]
        return (
            self.ar.format("، ".join(ar for ar, _ in words)),
            self.en.format(", ".join(en for _, en in words)),
        )


@dataclass(frozen=True, slots=True)
class _Money:
    """The amount and the unit that an event names."""

    def words(self, data: Mapping[str, Any]) -> Words:
        """The detail; amounts are hundredths of their unit."""
        if "amount" not in data:
            return "", ""
        whole, hundredths = divmod(data["amount"], 100)
        ar, en = codes.UNITS.get(data["unit"], (data["unit"],) * 2)
        return f": {whole}.{hundredths:02} {ar}", f": {whole}.{hundredths:02} {en}"


_Said = tuple[str, str, tuple["_Detail | _Money", ...]]


def _why(of: Mapping[str, Words], field: str = "reason") -> _Detail:
    return _Detail(field, ": {}", ": {}", of)


def _also(of: Mapping[str, Words], field: str) -> _Detail:
    return _Detail(field, " ({})", " ({})", of)


_ON = _Detail("on", " اعتباراً من {}", " from {}")
_CODE = _Detail("code")
_EVENTS: dict[str, _Said] = {
    "sijil.request.submitted.v1": (
        "تقديم الطلب",
        "Request submitted",
        (
            _Detail("service", " للخدمة {}", " for the service {}"),
            _Detail("channel", " {}", " {}", codes.CHANNELS),
        ),
    ),
    "sijil.request.accepted.v1": ("قبول الطلب", "Request accepted", ()),
    "sijil.request.not-accepted.v1": (
        "عدم قبول الطلب",
        "Request not accepted",
        (_why(codes.DECLINED), _also(codes.MISSING, "missing")),
    ),
    "sijil.request.assigned.v1": (
        "إسناد الطلب إلى موظف",
        "Assigned to a clerk",
        (_why(_NO_CODES, "clerk"), _also(codes.ASSIGNED, "reason")),
    ),
    "sijil.request.claimed.v1": (
        "تولّي الطلب",
        "Taken in hand by a clerk",
        (_why(_NO_CODES, "clerk"),),
    ),
    "sijil.request.released.v1": (
        "انتهاء تولّي الطلب",
        "Let go by a clerk",
        (_why(_NO_CODES, "clerk"), _also(codes.RELEASED, "reason")),
    ),
    "sijil.request.fee-paid.v1": (
        "دفع الرسم",
        "Fee paid",
        (_Money(), _Detail("channel", " {}", " {}", codes.PAYMENT_CHANNELS)),
    ),
    "sijil.request.fee-refunded.v1": (
        "إعادة الرسم",
        "Fee refunded",
        (
            _Money(),
            _Detail("channel", " {}", " {}", codes.PAYMENT_CHANNELS),
            _also(codes.REFUNDED, "reason"),
        ),
    ),
    "sijil.request.forwarded.v1": (
        "إحالة الطلب إلى الجهة",
        "Forwarded to the agency",
        (_Detail("agency"),),
    ),
    "sijil.request.agency-responded.v1": (
        "ورود رد الجهة",
        "Agency responded",
        (
            _why(codes.ANSWERS, "outcome"),
            _also(_NO_CODES, "reason"),
            _Detail(
                "supersedes",
                "، بدلاً من الرد في النسخة {}",
                ", instead of the answer at version {}",
            ),
        ),
    ),
    "sijil.request.information-requested.v1": (
        "طلب استكمال المعلومات",
        "Missing information requested",
        (_why(codes.MISSING, "missing"),),
    ),
    "sijil.request.information-supplied.v1": (
        "استكمال المعلومات",
        "Missing information supplied",
        (_why(codes.MISSING, "supplied"),),
    ),
    "sijil.request.stamped.v1": (
        "ختم الوثيقة",
        "Document stamped",
        (_Detail("serial", " بالختم {}", " with the stamp {}"),),
    ),
    "sijil.request.mailed.v1": (
        "إرسال الوثيقة بالبريد",
        "Document mailed",
        (
            _Detail("to", " {}", " {}", codes.DELIVERIES),
            _Detail("item", "، رقم البعيثة {}", ", item {}"),
        ),
    ),
    "sijil.request.delivered.v1": (
        "تسليم البعيثة البريدية",
        "Postal item delivered",
        (_Detail("item"), _why(codes.RELATIONSHIPS, "capacity")),
    ),
    "sijil.request.collected.v1": (
        "استلام البعيثة من مكتب البريد",
        "Postal item collected at the post office",
        (_why(_NO_CODES, "item"), _also(codes.RELATIONSHIPS, "capacity")),
    ),
    "sijil.request.returned.v1": (
        "عودة البعيثة إلى المركز",
        "Postal item returned",
        (_why(codes.RETURNED), _also(_NO_CODES, "item")),
    ),
    "sijil.request.handed-over.v1": (
        "تسليم الوثيقة في المركز",
        "Handed over at the counter",
        (_why(codes.RELATIONSHIPS, "capacity"),),
    ),
    "sijil.request.result-told.v1": (
        "إبلاغ المواطن بالنتيجة",
        "Result told",
        (
            _why(codes.ANSWERS, "outcome"),
            _also(codes.MEANS, "means"),
        ),
    ),
    "sijil.request.informed.v1": (
        "إعلام المواطن",
        "Citizen informed",
        (_Detail("means", " {}", " {}", codes.MEANS), _also(_NO_CODES, "message")),
    ),
    "sijil.request.warned.v1": (
        "تنبيه إلى مهلة",
        "Limit warned of",
        (_why(codes.LIMITS, "limit"), _also(codes.WARNED, "when")),
    ),
    "sijil.request.withdrawn.v1": (
        "سحب الطلب",
        "Request withdrawn",
        (_why(codes.WITHDRAWN),),
    ),
    "sijil.request.expired.v1": (
        "انقضاء مهلة الطلب",
        "Request expired",
        (_why(codes.EXPIRED),),
    ),
    "sijil.request.corrected.v1": (
        "تصحيح بيان في الطلب",
        "Request corrected",
        (
            _why(codes.FIELDS, "field"),
            _Detail("party", "، {}", ", {}", codes.PARTY_ROLES),
            _Detail("delivery", " {}", " {}", codes.DELIVERIES),
            _also(codes.CORRECTED, "reason"),
        ),
    ),
    "sijil.attempt.refused.v1": (
        "محاولة مرفوضة",
        "Attempt refused",
        (_why(_NO_CODES, "attempted"), _also(codes.BROKEN, "code")),
    ),
    "sijil.payment.unmatched.v1": (
        "دفعة مصرفية بلا طلب يقابلها",
        "Payment that no request was waiting for",
        (_Money(), _also(codes.UNMATCHED, "reason")),
    ),
    "sijil.payment.settled.v1": (
        "تسوية دفعة مصرفية بلا طلب يقابلها",
        "Payment settled that no request was waiting for",
        (_why(codes.PAYMENT_SETTLED),),
    ),
    "sijil.person.merged.v1": (
        "ضمّ سجلّين لشخص واحد",
        "Two records of one person merged",
        (_why(codes.MERGED),),
    ),
    "sijil.read.looked.v1": (
        "الاطلاع على بيانات طرف",
        "Values of a party looked at",
        (_why(codes.PURPOSES, "purpose"),),
    ),
    "sijil.service.published.v1": ("نشر الخدمة", "Service published", (_CODE,)),
    "sijil.service.suspended.v1": (
        "إيقاف الخدمة مؤقتاً",
        "Service suspended",
        (
            _Detail("first", " اعتباراً من {}", " from {}"),
            _Detail("last", " حتى {}", " to {}"),
            _why(codes.SUSPENDED),
        ),
    ),
    "sijil.service.resumed.v1": ("استئناف الخدمة", "Service resumed", (_ON,)),
    "sijil.agency.published.v1": ("نشر الجهة", "Agency published", (_CODE,)),
    "sijil.agency.closed.v1": (
        "إغلاق الجهة",
        "Agency closed",
        (_ON, _why(codes.AGENCY_CLOSED)),
    ),
    "sijil.centre.opened.v1": (
        "افتتاح المركز",
        "Centre opened",
        (_CODE, _Detail("opens_on", " اعتباراً من {}", " from {}")),
    ),
    "sijil.centre.closed.v1": (
        "إغلاق المركز",
        "Centre closed",
        (_ON, _why(codes.CENTRE_CLOSED)),
    ),
    "sijil.clerk.appointed.v1": (
        "تعيين الموظف",
        "Clerk appointed",
        (_CODE, _Detail("centre", " في المركز {}", " at the centre {}")),
    ),
    "sijil.clerk.made-responsible.v1": (
        "تكليف الموظف بجهة",
        "Clerk made responsible for an agency",
        (_why(_NO_CODES, "agency"),),
    ),
    "sijil.clerk.relieved.v1": (
        "إنهاء تكليف الموظف بجهة",
        "Clerk relieved of an agency",
        (_why(_NO_CODES, "agency"),),
    ),
    "sijil.clerk.away.v1": (
        "غياب الموظف",
        "Clerk away",
        (
            _Detail("first", " اعتباراً من {}", " from {}"),
            _Detail("last", " حتى {}", " to {}"),
            _why(codes.AWAY),
        ),
    ),
    "sijil.clerk.back.v1": ("عودة الموظف إلى العمل", "Clerk back", (_ON,)),
    "sijil.clerk.left.v1": ("انتهاء عمل الموظف", "Clerk left", (_ON,)),
    "sijil.stamp.issued.v1": (
        "إصدار الختم",
        "Stamp issued",
        (_Detail("serial"), _Detail("centre", " للمركز {}", " to the centre {}")),
    ),
    "sijil.stamp.withdrawn.v1": (
        "سحب الختم",
        "Stamp withdrawn",
        (_ON, _why(codes.STAMP_WITHDRAWN)),
    ),
    "sijil.calendar.published.v1": (
        "نشر التقويم الرسمي",
        "Calendar published",
        (_Detail("year", " لعام {}", " of {}"),),
    ),
    "sijil.message.dead-lettered.v1": (
        "تنحية رسالة تعذّر استعمالها",
        "Message set aside that could not be used",
        (_why(codes.DEAD, "cause"), _also(codes.NOT_USED, "code")),
    ),
    "sijil.message.replayed.v1": (
        "إعادة إرسال الرسالة",
        "Message sent again",
        (_Detail("replay", "، المرة {}", ", time {}"),),
    ),
    "sijil.message.settled.v1": (
        "تسوية الرسالة",
        "Message settled",
        (_why(codes.SETTLED),),
    ),
    "sijil.view.skipped.v1": (
        "تجاوز قيد في عرض البيانات",
        "Entry passed over by a view",
        (
            _why(_NO_CODES, "view"),
            _Detail("position", "، القيد {}", ", entry {}"),
            _also(codes.SKIPPED, "reason"),
        ),
    ),
    "sijil.ledger.resumed.v1": (
        "استئناف القيد في سجل مستعاد",
        "Ledger resumed after it came back",
        (
            _Detail("incarnation", "، العهد {}", ", incarnation {}"),
            _also(codes.RESUMED, "reason"),
        ),
    ),
}
WORDS: dict[str, Words] = {topic: (ar, en) for topic, (ar, en, _) in _EVENTS.items()}
"""What each event is called, in Arabic and in English."""


def in_words(topic: str, data: Mapping[str, Any]) -> Words:
    """What happened, with its facts; a topic without words is shown as it stands."""
    said = _EVENTS.get(topic)
    if said is None:
        return topic, topic
    ar, en, details = said
    worded = [detail.words(data) for detail in details]
    return (
        ar + "".join(each for each, _ in worded),
        en + "".join(each for _, each in worded),
    )
