"""What the codes of events are called, in Arabic and in English.

Reasons, answers and the like are closed sets of codes; a test holds that every one of
them has its words here. A code from elsewhere is shown as it stands.
"""

from __future__ import annotations

Words = tuple[str, str]
"""Arabic and English."""

_OTHER: Words = ("سبب آخر", "another reason")
ANSWERS: dict[str, Words] = {
    "issued": ("صدرت الوثيقة", "issued"),
    "refused": ("رُفض الطلب", "refused"),
    "information_needed": ("يلزم استكمال معلومات", "more information needed"),
}
DECLINED: dict[str, Words] = {
    "ineligible": ("مقدم الطلب غير مستوفٍ للشروط", "applicant not eligible"),
    "documents_missing": ("وثائق ناقصة", "documents missing"),
}
CHANNELS: dict[str, Words] = {
    "counter": ("في المركز", "at the counter"),
    "online": ("عبر الإنترنت", "online"),
    "post": ("بالبريد", "by post"),
    "email": ("بالبريد الإلكتروني", "by e-mail"),
    "phone": ("بالهاتف", "by phone"),
}
MEANS: dict[str, Words] = {
    **CHANNELS,
    "sms": ("برسالة قصيرة", "by text message"),
}
PAYMENT_CHANNELS: dict[str, Words] = {
    "cash": ("نقداً", "in cash"),
    "bank": ("عبر المصرف", "through the bank"),
}
UNITS: dict[str, Words] = {
    "SYP.new": ("ليرة سورية جديدة", "new Syrian pounds"),
    "SYP.old": ("ليرة سورية قديمة", "old Syrian pounds"),
}
DELIVERIES: dict[str, Words] = {
    "post_office": ("إلى مكتب البريد", "to a post office"),
    "home": ("إلى المنزل", "to the home"),
    "counter": ("للتسليم في المركز", "to be handed over at the counter"),
}
ROUTES: dict[str, Words] = {
    "direct": ("اتصال مباشر", "direct route"),
    "reply": ("مراسلة", "by the agency's reply"),
}
RELATIONSHIPS: dict[str, Words] = {
    "self": ("صاحب العلاقة نفسه", "the person concerned"),
    "first_degree": ("قريب من الدرجة الأولى", "a relative of the first degree"),
    "spouse": ("الزوج أو الزوجة", "the spouse"),
    "representative": ("وكيل أو ممثل قانوني", "a legal representative"),
    "other": ("صلة أخرى", "somebody else"),
}
PARTY_ROLES: dict[str, Words] = {
    "applicant": ("مقدم الطلب", "applicant"),
    "concerned": ("صاحب العلاقة", "person concerned"),
}
ASSIGNED: dict[str, Words] = {
    "responsible": ("بحكم التكليف بالجهة", "responsible for the agency"),
    "supervisor": ("بقرار المشرف", "by the supervisor"),
    "rebalanced": ("إعادة توزيع العمل", "work shared out anew"),
    "clerk_away": ("غياب الموظف السابق", "the former clerk is away"),
}
RELEASED: dict[str, Words] = {
    "given_back": ("أعاده الموظف", "given back"),
    "lease_ended": ("انتهت مدة التولي", "the lease ended"),
    "supervisor": ("بقرار المشرف", "by the supervisor"),
    "clerk_away": ("غياب الموظف", "the clerk is away"),
}
REFUNDED: dict[str, Words] = {
    "withdrawn": ("سُحب الطلب", "the request was withdrawn"),
    "refused": ("رُفض الطلب", "the request was refused"),
    "charged_wrongly": ("استيفاء خاطئ", "charged wrongly"),
}
MISSING: dict[str, Words] = {
    "full_name": ("الاسم الكامل", "full name"),
    "mother_name": ("اسم الأم", "mother's name"),
    "birth_date": ("تاريخ الولادة", "date of birth"),
    "birth_place": ("مكان الولادة", "place of birth"),
    "registry_office": ("أمانة السجل المدني", "registry office"),
    "registry_number": ("رقم القيد", "registry number"),
    "purpose": ("الغرض من الطلب", "purpose"),
    "photograph": ("صورة شخصية", "photograph"),
    "signature": ("التوقيع", "signature"),
    "address": ("العنوان", "address"),
    "presence": ("الحضور الشخصي", "presence in person"),
}
RETURNED: dict[str, Words] = {
    "address_unknown": ("عنوان غير معروف", "address unknown"),
    "receiver_absent": ("غياب المستلم", "receiver absent"),
    "not_collected": ("لم تُستلم من مكتب البريد", "not collected"),
    "reception_refused": ("رُفض استلامها", "reception refused"),
    "receiver_not_allowed": ("المستلم غير مخوّل", "receiver not allowed to receive"),
    "damaged": ("تضررت", "damaged"),
}
WITHDRAWN: dict[str, Words] = {
    "not_needed": ("لم تعد هناك حاجة", "not needed any more"),
    "asked_elsewhere": ("طُلبت من جهة أخرى", "asked for elsewhere"),
    "too_late": ("فات الأوان", "too late"),
    "no_reason_given": ("دون ذكر سبب", "no reason given"),
}
EXPIRED: dict[str, Words] = {
    "not_accepted": ("لم يُبتّ في قبوله ضمن المهلة", "not accepted in time"),
    "not_paid": ("لم يُدفع الرسم ضمن المهلة", "not paid in time"),
}
LIMITS: dict[str, Words] = {
    "first_answer": ("مهلة الرد الأول", "first answer"),
    "completion": ("مهلة الإنجاز", "completion"),
}
WARNED: dict[str, Words] = {
    "before": ("قبل انقضائها", "before it passed"),
    "after": ("بعد انقضائها", "after it passed"),
}
FIELDS: dict[str, Words] = {
    "full_name": ("الاسم الكامل", "full name"),
    "national_number": ("الرقم الوطني", "national number"),
    "other_identifier": ("معرّف آخر", "other identifier"),
    "phone": ("رقم الهاتف", "phone number"),
    "address": ("العنوان", "address"),
    "email": ("البريد الإلكتروني", "e-mail address"),
    "delivery": ("طريقة التسليم", "delivery"),
}
CORRECTED: dict[str, Words] = {
    "typing_error": ("خطأ في الكتابة", "typing error"),
    "read_wrongly": ("خطأ في القراءة", "read wrongly"),
    "document_corrected": ("صُححت الوثيقة الأصلية", "the document was corrected"),
    "changed_since": ("تغيّر لاحقاً", "changed since"),
}
SUSPENDED: dict[str, Words] = {
    "agency_asked": ("بطلب من الجهة", "the agency asked"),
    "system_down": ("تعطل النظام", "system down"),
    "rules_changed": ("تغيير القواعد", "rules changed"),
    "no_supplies": ("نقص المستلزمات", "no supplies"),
    "other": _OTHER,
}
AWAY: dict[str, Words] = {
    "leave": ("إجازة", "leave"),
    "training": ("تدريب", "training"),
    "mission": ("مهمة", "mission"),
    "other": _OTHER,
}
CENTRE_CLOSED: dict[str, Words] = {
    "moved": ("انتقال المركز", "moved"),
    "merged": ("دمج مع مركز آخر", "merged"),
    "works": ("أعمال صيانة", "works"),
    "unsafe": ("دواعي السلامة", "unsafe"),
    "no_staff": ("نقص الموظفين", "no staff"),
    "other": _OTHER,
}
AGENCY_CLOSED: dict[str, Words] = {
    "abolished": ("إلغاء الجهة", "abolished"),
    "merged": ("دمج مع جهة أخرى", "merged"),
    "renamed": ("تغيير التسمية", "renamed"),
    "other": _OTHER,
}
STAMP_WITHDRAWN: dict[str, Words] = {
    "lost": ("فقدان", "lost"),
    "worn": ("اهتراء", "worn"),
    "damaged": ("تلف", "damaged"),
    "misused": ("إساءة استعمال", "misused"),
    "returned": ("إعادة الختم", "returned"),
    "other": _OTHER,
}
PURPOSES: dict[str, Words] = {
    "counter": ("خدمة المواطن", "work at the counter"),
    "export": ("نسخة بيانات الشخص", "export for the person"),
}
MERGED: dict[str, Words] = {
    "identifier-replaced": ("استبدال المعرّف", "identifier replaced"),
    "number-mistyped": ("خطأ في كتابة الرقم", "number mistyped"),
    "registered-twice": ("تسجيل مكرر", "registered twice"),
}
SKIPPED: dict[str, Words] = {
    "entry-malformed": ("قيد غير سليم", "malformed entry"),
    "view-defect": ("خلل في العرض", "defect of the view"),
    "other": _OTHER,
}
DEAD: dict[str, Words] = {
    "no-value": ("رسالة فارغة", "no value"),
    "too-large": ("رسالة أكبر من المسموح", "too large"),
    "unsigned": ("رسالة غير موقّعة", "unsigned"),
    "unknown-key": ("مفتاح توقيع غير معروف", "unknown key"),
    "wrong-signature": ("توقيع غير صحيح", "wrong signature"),
    "wrong-sender": ("مرسل غير مخوّل", "wrong sender"),
    "not-json": ("المحتوى ليس JSON سليماً", "not JSON"),
    "unknown-type": ("نوع رسالة غير معروف", "unknown type"),
    "malformed": ("محتوى غير سليم", "malformed"),
    "refused": ("رُفض الإجراء", "refused"),
    "fault": ("خلل لدينا", "a fault of ours"),
    "other": _OTHER,
}
SETTLED: dict[str, Words] = {
    "done-by-hand": ("أُنجز يدوياً", "done by hand"),
    "sent-again": ("أعاد المرسل إرسالها", "sent again by its sender"),
    "not-ours": ("لا تخصنا", "not ours"),
    "forged": ("مزوّرة", "forged"),
    "out-of-date": ("فات أوانها", "out of date"),
    "other": _OTHER,
}
UNMATCHED: dict[str, Words] = {
    "unknown_number": ("رقم تتبّع غير معروف", "unknown tracking number"),
    "wrong_amount": ("المبلغ لا يطابق المستحق", "not the amount that is due"),
    "nothing_due": ("لا رسم مستحق على الطلب", "nothing was due"),
}
PAYMENT_SETTLED: dict[str, Words] = {
    "returned": ("أعاد المصرف المبلغ إلى الدافع", "given back to the payer"),
    "taken-as-fee": ("قُيّد المبلغ رسماً لطلب", "taken as the fee of a request"),
    "reported-twice": ("أبلغ المصرف عنها مرتين", "reported twice"),
    "other": _OTHER,
}
RESUMED: dict[str, Words] = {
    "restored": ("استعادة من نسخة احتياطية", "restored from a backup"),
    "failed-over": ("انتقال إلى خادم بديل", "failed over to another server"),
    "exercise": ("تمرين على الاستعادة", "restore exercise"),
    "other": _OTHER,
}
SCOPES: dict[str, Words] = {
    "national": ("على مستوى القطر", "national"),
    "governorate": ("في كل محافظة", "one in each governorate"),
}
FEES_DUE: dict[str, Words] = {
    "acceptance": ("عند القبول", "at acceptance"),
    "hand_over": ("عند التسليم", "at hand-over"),
}
FEE_KINDS: dict[str, Words] = {
    "state_fee": ("رسم حكومي", "state fee"),
    "service_charge": ("بدل خدمة", "service charge"),
}
BROKEN: dict[str, Words] = {
    "rule-broken": ("مخالفة قاعدة", "a rule was broken"),
    "already-merged": ("السجلان مضمومان من قبل", "merged already"),
    "wrong-state": ("لا يسمح وضع الطلب بذلك", "not possible as it stood"),
    "stale-claim": ("انتقل الطلب إلى غيره", "the claim was not the latest"),
    "held-by-another": ("الطلب لدى موظف آخر", "held by another"),
    "not-assigned": ("الطلب غير مسند", "not assigned"),
    "fee-unpaid": ("الرسم غير مدفوع", "the fee was unpaid"),
    "wrong-amount": ("مبلغ غير صحيح", "wrong amount"),
    "ineligible": ("الشروط غير مستوفاة", "not eligible"),
    "documents-missing": ("وثائق ناقصة", "documents missing"),
    "wrong-route": ("طريق مخاطبة غير صحيح", "wrong route"),
    "wrong-agency": ("جهة غير صحيحة", "wrong agency"),
    "unknown-stamp": ("ختم غير معروف", "unknown stamp"),
    "stamp-required": ("الختم مطلوب", "a stamp was required"),
    "not-postable": ("لا ترسل بالبريد", "not to be posted"),
    "wrong-receiver": ("المستلم غير مخوّل", "wrong receiver"),
    "not-open": ("غير مفتوح", "not open"),
    "already-closed": ("مغلق من قبل", "closed already"),
    "already-suspended": ("موقوفة من قبل", "suspended already"),
    "not-suspended": ("غير موقوفة", "not suspended"),
    "governorate-fixed": ("المحافظة لا تتغير", "the governorate cannot change"),
    "already-away": ("الموظف غائب من قبل", "away already"),
    "not-away": ("الموظف غير غائب", "not away"),
    "clerk-left": ("انتهى عمل الموظف", "the clerk had left"),
    "not-responsible": ("الموظف غير مكلف بالجهة", "not responsible"),
    "stamp-issued": ("الختم صادر من قبل", "the stamp was issued already"),
    "stamp-withdrawn": ("الختم مسحوب", "the stamp was withdrawn"),
    "already-settled": ("سُوّيت من قبل", "settled already"),
    "view-not-stopped": (
        "لم يتوقف العرض عند هذا القيد",
        "the view had not stopped at this entry",
    ),
    "day-begun": ("بدأ اليوم", "the day had begun"),
    "date-passed": ("مضى التاريخ", "the date had passed"),
    "approval-required": ("تلزم موافقة المشرف", "an approval was required"),
    "effective-time": ("وقت الحدوث غير مقبول", "the time of the act was not possible"),
    "service-not-offered": ("الخدمة غير متاحة", "the service was not offered"),
}
"""The codes of domain.errors.RuleBrokenError: why an attempt was refused."""
NOT_USED: dict[str, Words] = {
    **BROKEN,
    "not-found": ("غير موجود", "not found"),
    "role-forbidden": ("ليس من صلاحية المرسل", "not the sender's to do"),
    "invalid-value": ("قيمة غير صالحة", "a value was not valid"),
    "idempotency-key-reused": ("المعرّف مستعمل من قبل", "the id was used before"),
    "version-conflict": ("تغيّر في اللحظة نفسها", "changed at the same moment"),
}
"""What the office may answer to a message from outside."""
ACTORS: dict[str, Words] = {
    "clerk": ("موظف", "clerk"),
    "supervisor": ("مشرف", "supervisor"),
    "administrator": ("مدير النظام", "administrator"),
    "agency": ("جهة", "agency"),
    "post": ("البريد", "post"),
    "bank": ("المصرف", "bank"),
    "citizen": ("مواطن", "citizen"),
    "auditor": ("مدقق", "auditor"),
    "system": ("النظام", "system"),
    "import": ("استيراد", "import"),
}
