"""What citizens are told on the way: which event says what, and in which words.

The words are Arabic, plain and official. They name no person, no service and no
reason: a telephone lies on tables. ``{number}`` is the tracking number, ``{item}`` the
postal item number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.ids import parse_tracking_number
from domain.requests import Answer, CorrectedField
from domain.stages import Stage
from domain.standing import Standing
from office.commands import Message

RESPONDED = "sijil.request.agency-responded.v1"
STAMPED = "sijil.request.stamped.v1"
CORRECTED = "sijil.request.corrected.v1"
MESSAGE_OF: Mapping[str, Message] = {
    "sijil.request.accepted.v1": Message.ACCEPTED,
    "sijil.request.not-accepted.v1": Message.NOT_ACCEPTED,
    "sijil.request.information-requested.v1": Message.MISSING_INFORMATION,
    "sijil.request.mailed.v1": Message.MAILED,
    "sijil.request.returned.v1": Message.RETURNED,
    "sijil.request.withdrawn.v1": Message.WITHDRAWN,
    "sijil.request.expired.v1": Message.EXPIRED,
}
"""Events that always say the same."""
CAUSES = (*MESSAGE_OF, RESPONDED, STAMPED, CORRECTED)
"""Every topic that may have something to tell."""

LONGEST_SMS_UNITS = 134
"""Two segments of UCS-2: 67 code units each, as the third octets join them."""

_ISOLATED = "\N{FIRST STRONG ISOLATE}{}\N{POP DIRECTIONAL ISOLATE}"
_FOOT = "\n\nهذه رسالة آلية من مراكز خدمة المواطن، فلا حاجة إلى الرد عليها."
_WHERE = "برقم التتبع والرمز السري"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The words of one message: for a telephone, and for a mailbox or a letter."""

    sms: str
    subject: str
    text: str


WORDS: Mapping[Message, Words] = {
    Message.ACCEPTED: Words(
        sms=(
            "مراكز خدمة المواطن: قُبل طلبكم رقم {number} وبدأ العمل عليه."
            " يمكنكم متابعته بالرمز السري."
        ),
        subject="قُبل طلبكم رقم {number}",
        text=(
            "قُبل طلبكم رقم {number} وبدأ العمل عليه.\n\n"
            f"يمكنكم متابعته {_WHERE}. وإن كان عليه رسم لم يُدفع بعد،"
            " فنرجو دفعه قبل انقضاء مهلته كي لا يُغلق الطلب."
        ),
    ),
    Message.NOT_ACCEPTED: Words(
        sms=(
            "مراكز خدمة المواطن: لم يُقبل طلبكم رقم {number}."
            " السبب في صفحة التتبع أو لدى المركز."
        ),
        subject="لم يُقبل طلبكم رقم {number}",
        text=(
            "لم يُقبل طلبكم رقم {number}.\n\n"
            f"تجدون السبب في صفحة التتبع {_WHERE}، أو لدى المركز."
            " ويمكنكم تقديم طلب جديد متى استوفيتم الشروط."
        ),
    ),
    Message.MISSING_INFORMATION: Words(
        sms=(
            "مراكز خدمة المواطن: طلبكم رقم {number} تنقصه معلومات."
            " نرجو الاطلاع عليها في صفحة التتبع أو لدى المركز."
        ),
        subject="طلبكم رقم {number} تنقصه معلومات",
        text=(
            "طلبكم رقم {number} تنقصه معلومات، ولا يُستكمل قبل وصولها.\n\n"
            f"تجدون المطلوب في صفحة التتبع {_WHERE}، أو لدى المركز."
        ),
    ),
    Message.REFUSED: Words(
        sms=(
            "مراكز خدمة المواطن: رُفض طلبكم رقم {number}."
            " السبب في صفحة التتبع أو لدى المركز."
        ),
        subject="رُفض طلبكم رقم {number}",
        text=(
            "رفضت الجهة المختصة طلبكم رقم {number}.\n\n"
            f"تجدون السبب في صفحة التتبع {_WHERE}، أو لدى المركز."
        ),
    ),
    Message.READY: Words(
        sms=(
            "مراكز خدمة المواطن: وثيقة طلبكم رقم {number} جاهزة للتسليم في المركز."
            " نرجو إحضار الهوية."
        ),
        subject="وثيقة طلبكم رقم {number} جاهزة",
        text=(
            "وثيقة طلبكم رقم {number} جاهزة للتسليم في المركز الذي يتابع الطلب.\n\n"
            "نرجو إحضار الهوية الشخصية."
        ),
    ),
    Message.ISSUED: Words(
        sms=(
            "مراكز خدمة المواطن: صدرت نتيجة طلبكم رقم {number} بالموافقة."
            " التفاصيل لدى المركز."
        ),
        subject="صدرت نتيجة طلبكم رقم {number}",
        text=(
            "صدرت نتيجة طلبكم رقم {number} بالموافقة.\n\n"
            f"تجدون التفاصيل في صفحة التتبع {_WHERE}، أو لدى المركز."
        ),
    ),
    Message.MAILED: Words(
        sms=(
            "مراكز خدمة المواطن: أُرسلت وثيقة طلبكم رقم {number} بالبريد."
            " رقم البعيثة {item}."
        ),
        subject="أُرسلت وثيقة طلبكم رقم {number} بالبريد",
        text=(
            "أُرسلت وثيقة طلبكم رقم {number} بالبريد. رقم البعيثة {item}.\n\n"
            "نرجو إبراز الهوية الشخصية عند الاستلام."
        ),
    ),
    Message.RETURNED: Words(
        sms=(
            "مراكز خدمة المواطن: أعاد البريد وثيقة طلبكم رقم {number} إلى المركز."
            " نرجو مراجعته."
        ),
        subject="أعاد البريد وثيقة طلبكم رقم {number}",
        text=(
            "أعاد البريد وثيقة طلبكم رقم {number} إلى المركز دون تسليم.\n\n"
            "نرجو مراجعة المركز لاستلامها، أو لطلب إرسالها مرة أخرى."
        ),
    ),
    Message.WITHDRAWN: Words(
        sms=(
            "مراكز خدمة المواطن: سُحب طلبكم رقم {number}."
            " إن لم تطلبوا ذلك فنرجو مراجعة المركز."
        ),
        subject="سُحب طلبكم رقم {number}",
        text=(
            "سُحب طلبكم رقم {number} ولم يعد قيد العمل.\n\n"
            "إن لم تطلبوا ذلك فنرجو مراجعة المركز."
        ),
    ),
    Message.EXPIRED: Words(
        sms=(
            "مراكز خدمة المواطن: أُغلق طلبكم رقم {number} لانقضاء مهلته."
            " يمكنكم تقديم طلب جديد."
        ),
        subject="أُغلق طلبكم رقم {number} لانقضاء مهلته",
        text=(
            "أُغلق طلبكم رقم {number} لانقضاء مهلته.\n\nيمكنكم تقديم طلب جديد في أي وقت."
        ),
    ),
}

_ONLY_WHILE_IN_PROGRESS = frozenset({Message.READY, Message.ISSUED, Message.REFUSED})
"""Whoever has the paper, or was told, need not be asked to come for it."""


def message_by_standing(
    topic: str, data: Mapping[str, Any], standing: Standing
) -> Message | None:
    """What an answer, a stamp or another delivery tells, by what is next after it.

    None where the citizen has nothing to do yet: the stamp or the post comes first.
    """
    if topic == RESPONDED and data.get("outcome") == Answer.REFUSED:
        return Message.REFUSED
    if topic == CORRECTED and data.get("field") != CorrectedField.DELIVERY:
        return None
    if standing.stage is not Stage.IN_PROGRESS or standing.is_refused is not False:
        return None
    if not standing.has_paper:
        return Message.ISSUED if topic == RESPONDED else None
    if standing.needs_stamp or standing.is_posted:
        return None
    return Message.READY


def is_overtaken(message: Message, stage: Stage) -> bool:
    """Whether the message would be untrue by now."""
    return message in _ONLY_WHILE_IN_PROGRESS and stage is not Stage.IN_PROGRESS


def written(message: Message, *, number: str, item: str | None = None) -> Words:
    """The message's words, its numbers apart so that no reading order mixes them.

    Raises InvalidValueError for what is no tracking number.
    """
    facts = {
        "number": _ISOLATED.format(parse_tracking_number(number)),
        "item": _ISOLATED.format(item or ""),
    }
    words = WORDS[message]
    return Words(
        sms=words.sms.format(**facts),
        subject=words.subject.format(**facts),
        text=words.text.format(**facts) + _FOOT,
    )
