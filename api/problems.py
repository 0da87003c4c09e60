"""Problems (RFC 9457): the one place that knows status codes and speaks to people.

Every code has its page under /problems/<code> and in docs/reference/problems. Titles
are Arabic first; nothing that was sent is ever repeated back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from domain.errors import RuleBrokenError, SijilError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2
"""When a 503 may be tried again: about as long as a restart's shortest outage."""
MOST_FAULTS = 50
"""Faults told at once: a body of thousands must not make an answer larger than it."""
_PLAIN_NAME = re.compile(r"[A-Za-z_/~]+")
LONGEST_NAME_TOLD = 64
"""How much of an unknown field's name is told back."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemKind:
    """One kind of problem: status, titles, what it means, and what to do next."""

    status: int
    ar: str
    en: str
    then_ar: str
    then_en: str


def _kind(status: int, ar: str, en: str, then_ar: str, then_en: str) -> ProblemKind:
    return ProblemKind(status=status, ar=ar, en=en, then_ar=then_ar, then_en=then_en)


_READ_AGAIN = (
    "أعد قراءة الطلب ثم أعد المحاولة.",
    "Read the request again, then try again.",
)
_LATER = ("أعد المحاولة بعد قليل.", "Try again shortly.")
_CORRECT = ("صحّح المدخلات ثم أعد الإرسال.", "Correct the input and send it again.")

KINDS: dict[str, ProblemKind] = {
    "unauthenticated": _kind(
        401,
        "يلزم تسجيل الدخول",
        "You are not logged in",
        "أرسل رمز دخول صالحاً في ترويسة Authorization.",
        "Send a valid bearer token in the Authorization header.",
    ),
    "token-expired": _kind(
        401,
        "انتهت مدة الدخول",
        "Your login has expired",
        "سجّل الدخول من جديد.",
        "Log in again.",
    ),
    "login-unavailable": _kind(
        503,
        "لا يمكن التحقق من الدخول الآن",
        "Logins cannot be checked now",
        *_LATER,
    ),
    "role-forbidden": _kind(
        403,
        "ليس هذا الإجراء من صلاحياتك",
        "Your role may not do this",
        "اطلبه ممن يملك الصلاحية.",
        "Ask somebody whose role allows it.",
    ),
    "not-found": _kind(
        404,
        "غير موجود أو خارج نطاق عملك",
        "It does not exist, or is outside your scope",
        "تحقق من الرقم ومن المركز.",
        "Check the number and the centre.",
    ),
    "method-not-allowed": _kind(
        405,
        "طريقة الطلب غير مسموحة هنا",
        "This method is not allowed here",
        "راجع وصف الواجهة.",
        "See the description of the interface.",
    ),
    "malformed-json": _kind(
        400,
        "المحتوى ليس JSON سليماً",
        "The body is not well-formed JSON",
        *_CORRECT,
    ),
    "invalid-value": _kind(422, "قيمة غير صالحة", "A value is not valid", *_CORRECT),
    "idempotency-key-required": _kind(
        400,
        "ينقص مفتاح منع التكرار",
        "The Idempotency-Key is missing or is not a UUID",
        "أرسل معرّفاً فريداً من نوع UUID لكل إجراء.",
        "Send a UUID of its own with each act.",
    ),
    "idempotency-key-reused": _kind(
        422,
        "استُخدم هذا المفتاح لإجراء آخر",
        "This Idempotency-Key was used for something else",
        "استعمل معرّفاً جديداً للإجراء الجديد.",
        "Use a new id for the new act.",
    ),
    "precondition-required": _kind(
        428,
        "ينقص رقم النسخة التي اطلعت عليها",
        "If-Match is missing",
        "أرسل قيمة ETag التي قرأتها في ترويسة If-Match.",
        "Send the ETag you read in the If-Match header.",
    ),
    "stale-version": _kind(
        412,
        "تغيّر الطلب بعد أن قرأته",
        "The request has changed since you read it",
        *_READ_AGAIN,
    ),
    "version-conflict": _kind(
        409,
        "غيّره غيرك في اللحظة نفسها",
        "Somebody else changed it at the same moment",
        *_READ_AGAIN,
    ),
    "body-too-large": _kind(
        413,
        "المحتوى أكبر من المسموح",
        "The body is too large",
        "أرسل محتوى أصغر.",
        "Send a smaller body.",
    ),
    "unsupported-media-type": _kind(
        415,
        "نوع المحتوى غير مقبول",
        "The content type is not accepted",
        "أرسل application/json.",
        "Send application/json.",
    ),
    "rate-limited": _kind(
        429,
        "محاولات كثيرة",
        "Too many tries",
        "انتظر المدة المذكورة ثم أعد المحاولة.",
        "Wait for the time given, then try again.",
    ),
    "internal-error": _kind(
        500,
        "حدث خطأ لدينا",
        "Something went wrong on our side",
        "أعد المحاولة، وأبلغ عن رقم التتبع إن تكرر.",
        "Try again, and report the trace id if it happens again.",
    ),
    "clock-skew": _kind(
        503,
        "ساعة الخادم غير مضبوطة",
        "The server's clock is wrong",
        "أبلغ مشغّل النظام بضبط الساعة.",
        "Tell the operator to set the clock.",
    ),
    "ledger-unavailable": _kind(
        503, "السجل غير متاح الآن", "The ledger cannot be reached now", *_LATER
    ),
    "ledger-busy": _kind(
        503,
        "السجل مشغول الآن",
        "The ledger has too much to do now",
        "لم يُسجَّل شيء. أعد المحاولة بعد قليل بالمعرّف نفسه.",
        "Nothing was stored. Try again shortly, with the same id.",
    ),
    "ledger-returned": _kind(
        503,
        "عاد السجل من نسخة احتياطية ولم يُستأنف القيد فيه",
        "The ledger came back from a backup and is not resumed",
        "القراءة ممكنة. أبلغ مشغّل النظام، ثم أعد إرسال الإجراء بالمعرّف نفسه.",
        "Reading works. Tell the operator, then send the act again with the same id.",
    ),
    "outcome-unknown": _kind(
        503,
        "لم يُعرف بعد هل سُجّل الإجراء",
        "It is not known yet whether the act was stored",
        "أعد إرسال الإجراء نفسه بالمعرّف نفسه: لن يُسجَّل مرتين.",
        "Send the same act again with the same id: it is stored once.",
    ),
    "not-fresh-enough": _kind(
        503,
        "لم تصل القراءة بعد إلى الموضع المطلوب",
        "The view has not reached the position asked for",
        *_LATER,
    ),
    "already-merged": _kind(
        409,
        "الطرفان في سجل واحد من قبل",
        "The two parties are of one record already",
        "لا يلزم أي إجراء آخر.",
        "Nothing more has to be done.",
    ),
    "wrong-state": _kind(
        409,
        "لا يصح هذا الإجراء في حالة الطلب الحالية",
        "The request is not where this act begins",
        *_READ_AGAIN,
    ),
    "stale-claim": _kind(
        409,
        "لم يعد الطلب في عهدتك",
        "Your claim on the request is no longer the current one",
        "راجع من يتولاه الآن.",
        "See who has it now.",
    ),
    "held-by-another": _kind(
        409,
        "الطلب في عهدة موظف آخر",
        "The request is assigned to somebody else",
        "راجع المشرف إن لزم نقله.",
        "Ask the supervisor if it has to be moved.",
    ),
    "not-assigned": _kind(
        409,
        "لم يُسند الطلب إلى أحد بعد",
        "The request is assigned to nobody yet",
        "انتظر الإسناد أو راجع المشرف.",
        "Wait for the assignment, or ask the supervisor.",
    ),
    "fee-unpaid": _kind(
        409,
        "الرسم المستحق لم يُدفع",
        "A due fee is unpaid",
        "استوفِ الرسم أولاً.",
        "Take the fee first.",
    ),
    "wrong-amount": _kind(
        409,
        "المبلغ لا يطابق المستحق",
        "The amount is not the one that is due",
        "استوفِ المبلغ المستحق كاملاً وبوحدته.",
        "Take the whole amount, in its own unit.",
    ),
    "ineligible": _kind(
        409,
        "صفة مقدم الطلب لا تسمح بهذه الخدمة",
        "The applicant may not ask for this service",
        "سجّل عدم القبول مع ذكر السبب.",
        "Decline the request with this reason.",
    ),
    "documents-missing": _kind(
        409,
        "وثائق مطلوبة لم تُبرز",
        "Documents that the service wants were not shown",
        "اطلب الوثائق الناقصة أو سجّل عدم القبول.",
        "Ask for the missing documents, or decline.",
    ),
    "wrong-route": _kind(
        409,
        "هذا الإجراء يخص المسار الآخر",
        "The act belongs to the other route",
        "اتبع مسار الخدمة: مباشر أو بالإحالة.",
        "Follow the service's route: direct, or by reply.",
    ),
    "wrong-agency": _kind(
        409,
        "الخدمة ليست لهذه الجهة",
        "The service is another agency's",
        "أعد الطلب إلى جهته.",
        "Leave the request to its agency.",
    ),
    "unknown-stamp": _kind(
        409,
        "لم يُصدر هذا الختم لهذا المركز",
        "The stamp was not issued to this centre",
        "استعمل ختماً صادراً للمركز.",
        "Use a stamp that was issued to the centre.",
    ),
    "stamp-required": _kind(
        409,
        "يلزم ختم الوثيقة قبل خروجها",
        "The document must be stamped before it leaves",
        "اختم الوثيقة أولاً.",
        "Stamp the document first.",
    ),
    "not-postable": _kind(
        409,
        "تُسلَّم هذه الوثيقة في المركز ولا تُرسل بالبريد",
        "This paper is handed over at the counter, not posted",
        "سلّمها في المركز.",
        "Hand it over at the counter.",
    ),
    "wrong-receiver": _kind(
        409,
        "شرط الاستلام لا يسمح لهذا المستلم",
        "The receipt condition does not allow this receiver",
        "سلّمها لمن يحق له الاستلام.",
        "Hand it to somebody who may receive it.",
    ),
    "not-open": _kind(
        409,
        "الجهة أو المركز غير موجود أو مغلق",
        "The agency or centre is not there, or is closed",
        "انشر الجهة أو افتتح المركز أولاً، أو اختر غيرهما.",
        "Publish the agency or open the centre first, or choose another.",
    ),
    "already-closed": _kind(
        409,
        "أُعلن الإغلاق من قبل",
        "The closing was said before",
        "أعد النشر أو الافتتاح أولاً إن تغيّر الموعد.",
        "Publish or open it again first, if the day has changed.",
    ),
    "already-suspended": _kind(
        409,
        "الخدمة موقوفة في أيام من هذه المدة",
        "The service is suspended on some of these days already",
        "استأنف الخدمة أولاً، أو اختر مدة أخرى.",
        "Resume the service first, or choose other days.",
    ),
    "not-suspended": _kind(
        409,
        "الخدمة غير موقوفة في هذا اليوم",
        "The service is not suspended on that day",
        "تحقق من اليوم في الدليل.",
        "Check the day in the catalogue.",
    ),
    "governorate-fixed": _kind(
        409,
        "لا تتغير محافظة المركز",
        "A centre stays in its governorate",
        "افتتح مركزاً جديداً برمز آخر.",
        "Open a new centre under another code.",
    ),
    "already-away": _kind(
        409,
        "الموظف غائب في أيام من هذه المدة",
        "The clerk is away on some of these days already",
        "سجّل العودة أولاً، أو اختر مدة أخرى.",
        "Record the return first, or choose other days.",
    ),
    "not-away": _kind(
        409,
        "الموظف غير غائب في هذا اليوم",
        "The clerk is not away on that day",
        "تحقق من مدة الغياب.",
        "Check the days of the absence.",
    ),
    "clerk-left": _kind(
        409,
        "انتهى عمل الموظف أو أُعلن موعد انتهائه",
        "The clerk has left, or the day is set",
        "عيّن الموظف من جديد إن عاد.",
        "Appoint the clerk again, if that changed.",
    ),
    "not-responsible": _kind(
        409,
        "الموظف غير مكلّف بهذه الجهة",
        "The clerk is not responsible for this agency",
        "تحقق من الجهات المكلّف بها.",
        "Check which agencies the clerk has.",
    ),
    "stamp-issued": _kind(
        409,
        "هذا الرقم لختم آخر",
        "The serial belongs to another stamp",
        "استعمل رقماً جديداً.",
        "Use a new serial.",
    ),
    "stamp-withdrawn": _kind(
        409,
        "الختم مسحوب من الاستعمال",
        "The stamp is out of use",
        "استعمل ختماً آخر، فالختم المسحوب لا يُعاد إصداره.",
        "Use another stamp; a withdrawn one is never issued again.",
    ),
    "already-settled": _kind(
        409,
        "سُوّيت المسألة من قبل",
        "It was settled before",
        "لا يلزم أي إجراء آخر.",
        "Nothing more has to be done.",
    ),
    "view-not-stopped": _kind(
        409,
        "لم يتوقف العرض عند هذا القيد",
        "The view has not stopped at this entry",
        "انظر أين توقف العرض، ولا تتجاوز إلا القيد الذي توقف عنده.",
        "Look where the view stopped; only that entry can be passed over.",
    ),
    "day-begun": _kind(
        409,
        "يغيّر التصحيح يوماً بدأ أو انقضى",
        "The correction would change a day that has begun or is over",
        "لا تصحّح إلا الأيام التي لم تبدأ بعد.",
        "Correct only days that have not begun.",
    ),
    "date-passed": _kind(
        409,
        "انقضى اليوم المذكور",
        "The day is over",
        "اذكر يوم الإجراء أو يوماً بعده، أو اذكر وقت الحدوث.",
        "Give today or a later day, or say when the act happened.",
    ),
    "effective-time": _kind(
        409,
        "وقت الحدوث غير ممكن",
        "The effective time is not possible",
        "صحّح الوقت، أو اطلب موافقة المشرف.",
        "Correct the time, or ask the supervisor for approval.",
    ),
    "approval-required": _kind(
        409,
        "تلزم لهذا الإجراء موافقة المشرف",
        "This act needs a supervisor's approval",
        "اطلب موافقة المشرف وأرسلها مع الإجراء.",
        "Ask the supervisor for an approval and send it along.",
    ),
    "service-not-offered": _kind(
        409,
        "الخدمة أو المركز أو الموظف غير متاح",
        "The service, centre or clerk is not there",
        "تحقق من الرمز في الدليل.",
        "Check the code in the catalogue.",
    ),
}
"""Every problem there is, by its code."""


def answer(
    request: Request,
    code: str,
    *,
    facts: Mapping[str, Any] | None = None,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The problem document of a code, in the reader's language."""
    kind = KINDS[code]
    is_english = _prefers_english(request.headers.get("Accept-Language", ""))
    document: dict[str, Any] = {
        "type": f"/problems/{code}",
        "title": kind.en if is_english else kind.ar,
        "status": kind.status,
        "detail": kind.then_en if is_english else kind.then_ar,
        "instance": _instance(request),
        "code": code,
        "trace_id": getattr(request.state, "trace_id", ""),
        **({"facts": dict(facts)} if facts else {}),
        **({"errors": [dict(error) for error in errors]} if errors else {}),
    }
    kept = {
        "Content-Language": "en" if is_english else "ar",
        "Vary": "Accept-Language",
        "Cache-Control": "no-store",
        **(headers or {}),
    }
    if kind.status == 401:  # noqa: PLR2004 -- RFC 9110: a 401 says how to log in
        kept["WWW-Authenticate"] = "Bearer"
    if kind.status == 503:  # noqa: PLR2004
        kept.setdefault("Retry-After", str(RETRY_AFTER_S))
    return JSONResponse(
        document, status_code=kind.status, media_type=MEDIA_TYPE, headers=kept
    )


def _instance(request: Request) -> str:
    """The route's template, not the path: what was typed there may be a person's."""
    route = request.scope.get("route")
    return str(getattr(route, "path", "/"))


def _prefers_english(accepted: str) -> bool:
    """Whether English is asked for before Arabic; Arabic is the first language."""
    weights = {"ar": 0.0, "en": 0.0}
    for part in accepted.split(","):
        name, _, parameters = part.strip().partition(";")
        language = name.strip().lower().partition("-")[0]
        if language in weights:
            _, _, quality = parameters.partition("q=")
            try:
                weight = float(quality or 1)
            except ValueError:
                weight = 0.0
            weights[language] = max(weights[language], weight)
    return weights["en"] > weights["ar"]


ASKING = ("unauthenticated", "token-expired", "login-unavailable", "role-forbidden")
"""What whoever asks may be told."""
READING = (*ASKING, "invalid-value", "ledger-unavailable")
"""What every route that reads may answer."""
FRESH = (*READING, "not-fresh-enough")
"""The same, where a view is read."""
APPENDING = ("clock-skew", "ledger-busy", "ledger-returned", "outcome-unknown")
"""What every route that appends to the ledger may answer."""
SENDING = ("malformed-json", "body-too-large", "unsupported-media-type")
"""What every route that takes a body may answer."""


def responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """What a route declares: its problems by status, with their codes."""
    found: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status = KINDS[code].status
        declared = found.setdefault(
            status,
            {
                "description": "",
                "content": {
                    MEDIA_TYPE: {
                        "schema": {"$ref": "#/components/schemas/Problem"},
                        "examples": {},
                    }
                },
            },
        )
        declared["content"][MEDIA_TYPE]["examples"][code] = {
            "value": {
                "type": f"/problems/{code}",
                "title": KINDS[code].ar,
                "status": status,
                "detail": KINDS[code].then_ar,
                "code": code,
            }
        }
        separator = "; " if declared["description"] else ""
        declared["description"] += f"{separator}{KINDS[code].en}"
    return found


PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "A problem as RFC 9457 writes it.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "examples": ["/problems/stale-version"]},
        "title": {"type": "string", "examples": ["تغيّر الطلب بعد أن قرأته"]},
        "status": {"type": "integer", "examples": [412]},
        "detail": {"type": "string", "examples": ["أعد قراءة الطلب ثم أعد المحاولة."]},
        "instance": {"type": "string", "examples": ["/v1/requests/{request_id}"]},
        "code": {"type": "string", "examples": ["stale-version"]},
        "trace_id": {"type": "string", "examples": ["8c0f6a52e0b14c1c"]},
        "facts": {"type": "object", "examples": [{"current": "4"}]},
        "errors": {
            "type": "array",
            "examples": [[{"pointer": "/documents/0", "detail": "string_type"}]],
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string", "examples": ["/documents/0"]},
                    "detail": {"type": "string", "examples": ["string_type"]},
                },
            },
        },
    },
}


def _of_sijil(request: Request, error: Exception) -> Response:
    if not isinstance(error, SijilError):
        raise error
    code = error.code if error.code in KINDS else "internal-error"
    if code == "internal-error":
        _log.error("api.unknown_problem", code=error.code)
    if code == "invalid-value":
        facts = error.facts()
        pointer = {"pointer": f"/{facts['field']}", "detail": facts["reason"]}
        return answer(request, code, errors=[pointer])
    headers = {}
    if retry := error.facts().get("retry_after_s"):
        headers["Retry-After"] = retry
    is_telling = isinstance(error, RuleBrokenError) or KINDS[code].status in {412, 503}
    return answer(
        request, code, facts=error.facts() if is_telling else None, headers=headers
    )


def _of_validation(request: Request, error: Exception) -> Response:
    """What is wrong and where; never what stood there."""
    if not isinstance(error, RequestValidationError):
        raise error
    faults = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        return answer(request, "malformed-json")
    headers = [str(f["loc"][-1]).lower() for f in faults if f["loc"][0] == "header"]
    if "idempotency-key" in headers:
        return answer(request, "idempotency-key-required")
    errors = [
        {"pointer": _pointer(_known(fault)), "detail": str(fault["type"])}
        for fault in faults[:MOST_FAULTS]
    ]
    return answer(request, "invalid-value", errors=errors)


def _known(fault: Mapping[str, Any]) -> Sequence[str | int]:
    """Where a fault is. A field that nobody knows is named only by a plain name.

    What was sent in a field's place may be a value: a number, an address.
    """
    path: Sequence[str | int] = fault["loc"][1:]
    is_unknown = fault["type"] == "extra_forbidden" and path
    if is_unknown and not _PLAIN_NAME.fullmatch(str(path[-1])):
        return path[:-1]
    return path


def _pointer(path: Sequence[str | int]) -> str:
    """The JSON pointer (RFC 6901) of a path; a name nobody knows is cut short."""
    parts = [str(part)[:LONGEST_NAME_TOLD] for part in path]
    return "/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in parts)


_BY_STATUS = {
    400: "malformed-json",
    401: "unauthenticated",
    403: "role-forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
    415: "unsupported-media-type",
    422: "invalid-value",
}


def _of_http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = _BY_STATUS.get(error.status_code, "internal-error")
    headers = dict(error.headers or {})
    if code == "method-not-allowed":
        known = request.app.state.addresses.methods(request.url.path)
        # RFC 9110, 10.2.1: all of them, though the framework found one route.
        headers["Allow"] = ", ".join(sorted(known)) or headers.get("Allow", "")
    return answer(request, code, headers=headers)


def install(app: FastAPI) -> None:
    """Answer every error this app foresees as a problem; ``Observed`` has the rest."""
    app.add_exception_handler(SijilError, _of_sijil)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)
