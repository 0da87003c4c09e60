"""What is told of a person, and how it is written so that it can be found again.

Values pass through here on their way to the vault; no error, log or repr repeats one.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum

from domain.errors import InvalidValueError

LONGEST_NAME = 200
LONGEST_ADDRESS = 400
LONGEST_IDENTIFIER = 40
LONGEST_EMAIL = 254
"""RFC 5321, 4.5.3.1.3: a path of 256 octets, of which two are its brackets."""
_LONGEST_LOCAL_PART = 64
"""RFC 5321, 4.5.3.1.1."""


class PersonField(StrEnum):
    """What is kept of a person, and may be corrected."""

    FULL_NAME = "full_name"
    NATIONAL_NUMBER = "national_number"
    OTHER_IDENTIFIER = "other_identifier"
    PHONE = "phone"
    ADDRESS = "address"
    EMAIL = "email"


FOUND_BY = (
    PersonField.NATIONAL_NUMBER,
    PersonField.OTHER_IDENTIFIER,
    PersonField.PHONE,
)
"""What a person is found by through a keyed digest, without opening a seal.

Names are not among it: they are not written in one way.
"""
_NATIONAL_NUMBER = re.compile(r"[0-9]{11}")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_SYRIAN_MOBILE = re.compile(r"9[0-9]{8}")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = re.compile(
    rf"(?P<local>{_ATOM}(?:\.{_ATOM})*)@(?P<domain>{_LABEL}(?:\.{_LABEL})+)"
)
_SEPARATORS = re.compile(r"[\s\-().]+")
_DIGITS = {
    ord(digit): str(value)
    for digits in ("٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹")
    for value, digit in enumerate(digits)
}
_FOLDED = {
    **dict.fromkeys(map(ord, "أإآٱٲٳٵ"), "ا"),
    **dict.fromkeys(map(ord, "ؤٶ"), "و"),
    # Alef maqsura and hamza on it, and the yeh of Persian and Urdu keyboards.
    **dict.fromkeys(map(ord, "ئىیېٸ"), "ي"),
    # Ta marbuta, and the forms of heh that the same keyboards type.
    **dict.fromkeys(map(ord, "ةھہۀۂۃە"), "ه"),
    **dict.fromkeys(map(ord, "کڪ"), "ك"),
    # Hamza alone, high hamza, tatweel.
    **dict.fromkeys(map(ord, "ءٴـ"), None),
}
_JOINED = frozenset({"عبد"})
"""Written with the name after it or apart from it: one name either way."""


def ascii_digits(text: str) -> str:
    """The text with Arabic-Indic and Persian digits written as ASCII ones."""
    return text.translate(_DIGITS)


def national_number(text: str) -> str:
    """Eleven digits as text. Leading zeros matter; no check digit is known."""
    digits = _SEPARATORS.sub("", ascii_digits(text))
    if not _NATIONAL_NUMBER.fullmatch(digits):
        raise InvalidValueError(field="national_number", reason="eleven-digits")
    return digits


def phone(text: str) -> str:
    """A phone in E.164, as ``+963944123456``.

    Syrian mobiles (nine digits from 9) may be written 09…, 9…, 00963… or +963….
    """
    digits = _SEPARATORS.sub("", ascii_digits(text))
    if digits.startswith("00"):
        digits = f"+{digits[2:]}"
    if not digits.startswith("+"):
        digits = f"+963{digits.removeprefix('0')}"
    national = digits.removeprefix("+963")
    if not _PHONE.fullmatch(digits) or (
        national != digits
        and national.startswith("9")
        and not _SYRIAN_MOBILE.fullmatch(national)
    ):
        raise InvalidValueError(field="phone", reason="shape")
    return digits


def email(text: str) -> str:
    """An address as mail servers take it, its domain in lower case.

    ASCII only, no quoted part, no comment, so that none can carry a line of its own
    into a header. What comes before the ``@`` is its server's affair and stays.
    """
    matched = _EMAIL.fullmatch(text.strip())
    if (
        matched is None
        or len(text.strip()) > LONGEST_EMAIL
        or len(matched["local"]) > _LONGEST_LOCAL_PART
    ):
        raise InvalidValueError(field="email", reason="shape")
    return f"{matched['local']}@{matched['domain'].lower()}"


def folded(text: str) -> str:
    """The text as Arabic search wants it: words with one space between them.

    Hamza, alef forms, alef maqsura, ta marbuta, tatweel, diacritics, presentation
    forms, digits and case are folded; invisible marks of direction and joining are
    dropped; punctuation separates words.
    """
    decomposed = unicodedata.normalize("NFKD", text.translate(_FOLDED)).casefold()
    # Once more: what folds case may compose anew, and what decomposes may fold.
    plain = unicodedata.normalize("NFKD", decomposed).translate(_FOLDED)
    return " ".join("".join(map(_folded_letter, ascii_digits(plain))).split())


def _folded_letter(letter: str) -> str:
    category = unicodedata.category(letter)
    if unicodedata.combining(letter) or category in {"Mn", "Me", "Cf", "Cs"}:
        return ""
    return " " if category[0] in "PSZC" else letter


def name_words(name: str) -> list[str]:
    """The folded words of a name, ``عبد`` joined to what follows."""
    return _joined(folded(name).split())


def _joined(apart: list[str]) -> list[str]:
    words: list[str] = []
    for word in apart:
        if words and words[-1] in _JOINED:
            words[-1] += word
        else:
            words.append(word)
    return words


def is_named(name: str, words: list[str]) -> bool:
    """Whether every word (of ``name_words``) begins a word of the name."""
    apart = folded(name).split()
    candidates = [*_joined(apart), *apart]
    return all(
        any(candidate.startswith(word) for candidate in candidates) for word in words
    )


def _checked(name: str, text: str, longest: int) -> str:
    kept = unicodedata.normalize("NFC", text).strip()
    if not kept or len(kept) > longest:
        raise InvalidValueError(field=name, reason="length")
    if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in kept):
        raise InvalidValueError(field=name, reason="control-character")
    return kept


def normalised(name: PersonField, text: str) -> str:
    """One value as it is kept. Raises InvalidValueError for the wrong shape."""
    match name:
        case PersonField.FULL_NAME:
            return _checked(name, text, LONGEST_NAME)
        case PersonField.NATIONAL_NUMBER:
            return national_number(text)
        case PersonField.OTHER_IDENTIFIER:
            return _checked(name, ascii_digits(text), LONGEST_IDENTIFIER)
        case PersonField.PHONE:
            return phone(text)
        case PersonField.ADDRESS:
            return _checked(name, text, LONGEST_ADDRESS)
        case PersonField.EMAIL:
            return email(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonDetails:
    """What one person told one request, normalised. Its repr shows no value.

    Raises InvalidValueError when a value has the wrong shape, or when there is
    neither a national number nor another identifier.
    """

    full_name: str = field(repr=False)
    national_number: str | None = field(default=None, repr=False)
    other_identifier: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    address: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in PersonField:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, normalised(name, value))
        if self.national_number is None and self.other_identifier is None:
            raise InvalidValueError(field="national_number", reason="missing")
