"""The search for marked values finds each, however it is written."""

from __future__ import annotations

import base64
import hashlib
import json
import unicodedata
from uuid import uuid4

import pytest

from tests.marks import EMAIL, NAME, NUMBER, PHONE, TYPED, percent, search, stands_in

WAYS = {
    "as it is": lambda text: text,
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "compatible": lambda text: unicodedata.normalize("NFKC", text),
    "folded": str.casefold,
    "upper": str.upper,
    "escaped": lambda text: json.dumps({"a": text}),
    "escaped twice": lambda text: json.dumps(json.dumps(text)),
    "in a repr": ascii,
    "hex": lambda text: f"\\x{text.encode().hex()}",
    "hex of JSON": lambda text: json.dumps({"a": text}).encode().hex(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "url base64": lambda text: (
        base64.urlsafe_b64encode(json.dumps([text]).encode()).decode().rstrip("=")
    ),
    "hex of base64": lambda text: base64.b64encode(text.encode()).hex(),
    "percent": percent,
    "utf-16": lambda text: text.encode("utf-16-le"),
    "in the middle": lambda text: f'{uuid4()} "x":{text!r}}}',
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", TYPED)
def test_each_value_is_found_in_each_way(kind: str, way: str) -> None:
    assert search(WAYS[way](TYPED[kind]))


@pytest.mark.parametrize("name", ["md5", "sha1", "sha256"])
@pytest.mark.parametrize("text", [NUMBER, NAME, EMAIL, "+963944817263"])
def test_a_hash_without_a_key_is_found(name: str, text: str) -> None:
    digest = hashlib.new(name, text.encode())
    for written in (
        digest.hexdigest(),
        digest.hexdigest().upper(),
        digest.digest(),
        base64.b64encode(digest.digest()).decode(),
        f'{{"digest":"{digest.hexdigest()[:32]}"}}',
    ):
        assert any("without a key" in found.how for found in search(written))


def test_nothing_is_found_where_nothing_is() -> None:
    noise = [str(uuid4()) for _ in range(2_000)]
    assert search(json.dumps(noise)) == set()
    assert search("تقديم الطلب 2026-11-23T08:14:05.120000Z SY-DI-01") == set()


@pytest.mark.parametrize("number", [NUMBER, PHONE])
def test_digits_in_the_midst_of_hexadecimal_ones_are_no_number(number: str) -> None:
    digits = str(int(number))
    for apart in (f'{{"a":{digits}}}', f"5e{number}5e", f"id{digits}", f"a{digits}b"):
        assert search(apart)
        assert stands_in(apart.encode(), digits)
    for within in (f"5e{digits}5e", f"abc{digits}", f"{digits}def", f"a{digits}be"):
        assert not search(within)
        assert not stands_in(within.encode(), digits)


def test_what_was_found_does_not_repeat_it() -> None:
    found = search(f"{NAME} {NUMBER}", "a log")
    assert not search(repr(found))
    assert {each.where for each in found} == {"a log"}
