"""Marked values of an invented person, and a search that finds them however written.

A value hides in more ways than one: escaped, percent-encoded, in base64 or in the hex
of a database's bytes, with other digits, without its diacritics or its separators, or
behind a hash without a key, which for a number of eleven digits is no secret at all.
The search knows these. ``tests/test_marks.py`` shows it finding each.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote_plus, unquote_plus

from domain.persons import ascii_digits

NAME = "زُبيدة المرقومة"
LATIN_WORD = "zubaydah"
LATIN_HYPHENS = "zubaydah-almarqumah"
NUMBER = "04130977215"
NUMBER_ARABIC = "٠٤١٣٠٩٧٧٢١٥"
NUMBER_APART = "041-3097-7215"
PHONE = "0944817263"
PHONE_WORLD = "+963 944 817 263"
PHONE_ARABIC = "٠٠٩٦٣٩٤٤٨١٧٢٦٣"
ADDRESS = "حارة الزبرجد ٤١٧"
EMAIL = "zubaydah@marqumah.example"
IDENTIFIER = "ZBD-77190"

TYPED: dict[str, str] = {
    "name": NAME,
    "latin word": LATIN_WORD,
    "latin hyphens": LATIN_HYPHENS,
    "number": NUMBER,
    "number in Arabic digits": NUMBER_ARABIC,
    "number apart": NUMBER_APART,
    "phone": PHONE,
    "phone of the world": PHONE_WORLD,
    "phone in Arabic digits": PHONE_ARABIC,
    "address": ADDRESS,
    "e-mail": EMAIL,
    "identifier": IDENTIFIER,
}
"""What is typed into a field, each by a name of its own."""
PERSON = {
    "full_name": NAME,
    "phone": PHONE_WORLD,
    "address": ADDRESS,
    "email": EMAIL,
}
BAD_TEXTS = {
    "too long": f"{NAME} " * 60,
    "lone surrogate": f"{NAME}\ud800",
    "NUL": f"{NAME}\0",
}
"""What no field takes: a refusal must not say what it refused."""

_CORES = {
    "name": ("زبيدة", "المرقومة"),
    "latin": ("zubaydah", "almarqumah"),
    # Without its leading zero: a number that went through an integer.
    "number": ("4130977215",),
    "phone": ("944817263",),
    "address": ("الزبرجد",),
    "e-mail": ("marqumah.example",),
    "identifier": ("zbd-77190", "zbd77190"),
}
"""The part of each value that is searched for, folded."""
_HASHED = {
    "number": (NUMBER, NUMBER_ARABIC, NUMBER.lstrip("0"), f"national_number\0{NUMBER}"),
    "phone": ("+963944817263", "963944817263", PHONE, "phone\0+963944817263"),
    "name": (NAME, unicodedata.normalize("NFKD", NAME), "زبيدة المرقومة"),
    "e-mail": (EMAIL,),
    "address": (ADDRESS,),
    "identifier": (IDENTIFIER, IDENTIFIER.lower()),
    "latin": (LATIN_WORD, LATIN_HYPHENS),
}
_HASHES = ("md5", "sha1", "sha256", "sha512", "blake2b")
_SEPARATORS = re.compile(r"[\s\-_./()+]+")
_ESCAPE = re.compile(r"\\+u\{?([0-9a-fA-F]{4})\}?")
_ENTITY = re.compile(r"&#(x[0-9a-fA-F]+|[0-9]+);")
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}){8,}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{10,}={0,2}")
MOST_BESIDE = 2
"""Hexadecimal digits beside nine others that do not make an id's twelve."""
_DEEPEST = 3
"""Encodings within encodings: a cursor within a percent-encoded link is two."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value that was found: of which kind, how it was written, and where.

    Its text does not repeat the value: a failing test is a log as well.
    """

    kind: str
    how: str
    where: str


def _folded(text: str) -> str:
    """The text without what makes one value look like two."""
    text = _ESCAPE.sub(lambda found: _letter(int(found[1], 16)), text)
    text = _ENTITY.sub(
        lambda found: _letter(
            int(found[1][1:], 16) if found[1][0] == "x" else int(found[1])
        ),
        text,
    )
    if text.isascii():
        return text.casefold()
    text = unicodedata.normalize("NFKD", text)
    kept = (c for c in text if unicodedata.category(c) not in {"Mn", "Cf"})
    return ascii_digits("".join(kept).replace("ـ", "")).casefold()


def _letter(code: int) -> str:
    return chr(code) if code <= 0x10FFFF else ""


def _pattern(core: str) -> str:
    """What finds a core, but digits in the midst of hexadecimal ones.

    Among millions of those the nine of a phone stand by chance: in the last part of an
    id, which is twelve long, and in what is longer. So up to two may stand beside them,
    and any number where what is written before a phone or a number stands there too.
    """
    if not core.isdecimal():
        return re.escape(core)
    one = "[0-9a-fA-F]"
    alone = "|".join(
        f"(?<!{one}{{{before + 1}}}{core})(?!{one}{{{MOST_BESIDE - before + 1}}})"
        for before in range(MOST_BESIDE + 1)
    )
    return f"{core}(?:(?<=0{core})|(?<=963{core})|{alone})"


def _hashes() -> Iterator[tuple[bytes, str, str]]:
    for kind, texts in _HASHED.items():
        for text in texts:
            for name in _HASHES:
                digest = hashlib.new(name, text.encode()).digest()
                yield digest, kind, f"{name} without a key"


_DIGESTS = tuple(_hashes())
# A digest may be kept cut short: its first twelve bytes are enough to know it by.
_DIGEST_HEADS = {digest[:12]: (kind, how) for digest, kind, how in _DIGESTS}
_DIGEST_HEX = re.compile(
    "|".join(re.escape(head.hex()) for head in _DIGEST_HEADS), re.IGNORECASE
)
_DIGEST_RAW = re.compile(b"|".join(re.escape(head) for head in _DIGEST_HEADS))
_BY_CORE = {
    unicodedata.normalize("NFKD", core): kind
    for kind, cores in _CORES.items()
    for core in cores
}
_CORE = re.compile("|".join(map(_pattern, _BY_CORE)))
_RAW = tuple(
    (text.encode(encoding), kind)
    for kind, text in TYPED.items()
    for encoding in ("utf-8", "utf-16-le", "utf-16-be")
)
_BY_RAW = {raw: kind for raw, kind in _RAW if len(raw) > 8}
_RAW_PATTERN = re.compile(b"|".join(map(re.escape, _BY_RAW)))


def stands_in(data: bytes, value: str) -> bool:
    """Whether a value stands in bytes as it is: nothing is decoded."""
    return re.search(_pattern(value).encode(), data) is not None


def search(what: str | bytes, where: str = "") -> set[Found]:
    """Every marked value in a text or in bytes, however it is written there."""
    data = what.encode("utf-8", "surrogatepass") if isinstance(what, str) else what
    found: set[Found] = set()
    _search(data, where, "", 0, found)
    return found


def search_all(whats: Iterable[str | bytes], where: str) -> set[Found]:
    """As ``search``, over many."""
    return set().union(*(search(what, where) for what in whats))


def _search(data: bytes, where: str, via: str, depth: int, into: set[Found]) -> None:
    text = data.decode("utf-8", "replace")
    folded = _folded(text)
    for how, read in (
        ("as it is", folded),
        ("without separators", _SEPARATORS.sub("", folded)),
        ("percent-encoded", _folded(unquote_plus(text)) if "%" in text else ""),
    ):
        for core in set(_CORE.findall(read)):
            into.add(Found(_BY_CORE[core], f"{via}{how}", where))
    for raw in set(_RAW_PATTERN.findall(data)):
        into.add(Found(_BY_RAW[raw], f"{via}as bytes", where))
    for head in set(_DIGEST_RAW.findall(data)):
        kind, how = _DIGEST_HEADS[head]
        into.add(Found(kind, f"{via}{how}", where))
    for hexed in set(_DIGEST_HEX.findall(text)):
        kind, how = _DIGEST_HEADS[bytes.fromhex(hexed)]
        into.add(Found(kind, f"{via}{how}", where))
    if depth == _DEEPEST:
        return
    for run in set(_HEX.findall(data)):
        _search(bytes.fromhex(run.decode()), where, f"{via}hex, ", depth + 1, into)
    for run in set(_BASE64.findall(data)):
        decoded = _from_base64(run)
        if decoded is not None:
            _search(decoded, where, f"{via}base64, ", depth + 1, into)


def _from_base64(run: bytes) -> bytes | None:
    """What a run of letters is in base64, where it says something readable."""
    bare = run.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    if len(bare) % 4 == 1:
        bare = bare[:-1]
    decoded = base64.b64decode(bare + b"=" * (-len(bare) % 4))
    # Most runs are ids and words; what they decode to is noise, not text.
    is_digest = _DIGEST_RAW.search(decoded) is not None
    head = decoded[:24].decode("utf-8", "ignore")
    is_text = len(head.encode()) >= min(len(decoded), 24) - 3 and head.isprintable()
    return decoded if is_text or is_digest else None


def percent(text: str) -> str:
    """The text as a path or a query carries it."""
    return quote_plus(text, errors="replace")
