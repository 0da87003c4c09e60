"""The form of a record: everything an entry is, and nothing that is not one."""

from __future__ import annotations

from uuid import UUID

import pytest

from consumers import envelope
from consumers.envelope import EnvelopeError

# The test vector of docs/reference/contract.md, "The entry".
BODY = (
    '{"actor":{"id":"clk-0147","kind":"clerk","place":"SY-DR-01"},'
    '"command_id":"019ab1f0-7c00-7a3b-8f21-5d0c9e4b1a77",'
    '"correlation_id":"019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10",'
    '"data":{"kind":"live","officer":"clk-0147","serial":"ختم-DR-000481",'
    '"stamped_digest":'
    '"1f6d0c0e5a3b7c9d1e2f30415263748596a7b8c9d0e1f2031425364758697a8b"},'
    '"effective_at":"2026-11-23T08:14:05.120000Z"}'
).encode()
LEAF = "7d00c9ca03383a03c957da2d6d2caec4287438d25e17beca374d321a51aed61b"
KEY = b"019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"
ROW = (
    48213,
    # Microseconds since 1970, as followers of millions read it.
    1_795_421_645_473_912,
    KEY.decode(),
    7,
    "sijil.request.stamped.v1",
    BODY,
)
SOURCE = envelope.source_of(UUID(int=7)).encode()


def headers(**changed: bytes | None) -> envelope.Headers:
    told = dict(envelope.headers_of(ROW, SOURCE)) | {
        name.replace("_type_", "-type"): value for name, value in changed.items()
    }
    return [(name, value) for name, value in told.items() if value is not None]


def test_the_headers_are_cloudevents_in_binary_mode() -> None:
    told = dict(headers())
    assert told == {
        "content-type": b"application/json",
        "ce_specversion": b"1.0",
        "ce_id": KEY + b"/7",
        "ce_source": b"urn:uuid:00000000-0000-0000-0000-000000000007",
        "ce_type": b"sijil.request.stamped.v1",
        "ce_time": b"2026-11-23T08:14:05.473912Z",
        "ce_subject": KEY,
        "ce_partitionkey": KEY,
        "ce_dataschema": b"urn:sijil:schema:sijil.request.stamped.v1",
        "ce_sequence": b"48213",
        "ce_leafhash": LEAF.encode(),
    }


def test_a_record_is_the_entry_again_with_its_leaf_hash() -> None:
    told = envelope.read(KEY, BODY, headers())
    assert told.entry.position == 48213
    assert told.entry.leaf_hash().hex() == LEAF
    assert told.is_unaltered


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"ce_specversion": b"0.3"}, "headers-malformed"),
        ({"ce_specversion": None}, "header-missing"),
        ({"ce_leafhash": None}, "header-missing"),
        ({"ce_leafhash": b"00"}, "headers-malformed"),
        ({"ce_leafhash": LEAF.upper().encode()}, "headers-malformed"),
        ({"ce_sequence": b"0"}, "headers-malformed"),
        ({"ce_sequence": b"-1"}, "headers-malformed"),
        ({"ce_sequence": b"9" * 19}, "headers-malformed"),
        ({"ce_sequence": "٤".encode()}, "header-not-ascii"),
        ({"ce_time": b"2026-11-23T08:14:05Z"}, "headers-malformed"),
        ({"ce_time": b"2026-13-23T08:14:05.473912Z"}, "headers-malformed"),
        ({"ce_type": b"sijil.request.stamped.v1\n"}, "headers-malformed"),
        ({"ce_type": b"x" * 101}, "headers-malformed"),
        ({"ce_id": KEY + b"/07"}, "headers-malformed"),
        ({"ce_id": KEY.upper() + b"/7"}, "key-is-not-the-aggregate"),
        ({"ce_subject": b"other"}, "subject-is-not-the-aggregate"),
    ],
)
def test_what_is_no_entry_is_refused_by_name(
    changed: dict[str, bytes | None], code: str
) -> None:
    with pytest.raises(EnvelopeError) as refused:
        envelope.read(KEY, BODY, headers(**changed))
    assert refused.value.code == code


def test_an_id_that_is_written_otherwise_is_no_entrys() -> None:
    key = KEY.upper()
    with pytest.raises(EnvelopeError) as refused:
        envelope.read(key, BODY, headers(ce_id=key + b"/7", ce_subject=key))
    assert refused.value.code == "headers-malformed"


def test_a_header_twice_a_tombstone_and_a_foreign_key_are_refused() -> None:
    for key, value, told, code in (
        (KEY, BODY, [*headers(), ("ce_id", KEY + b"/7")], "header-twice"),
        # Kafka's own form of a header lets it have no value at all.
        (KEY, BODY, [*headers(), ("more", None)], "header-without-value"),
        (KEY, None, headers(), "no-value"),
        (b"other", BODY, headers(), "key-is-not-the-aggregate"),
        (None, BODY, headers(), "key-is-not-the-aggregate"),
    ):
        with pytest.raises(EnvelopeError) as refused:
            envelope.read(key, value, told)
        assert refused.value.code == code


@pytest.mark.parametrize(
    "changed",
    [
        {"ce_sequence": b"48214"},
        {"ce_time": b"2026-11-23T08:14:05.473913Z"},
        {"ce_type": b"sijil.request.stamped.v2"},
        {"ce_id": KEY + b"/8"},
    ],
)
def test_a_changed_header_has_another_leaf_hash(changed: dict[str, bytes]) -> None:
    assert not envelope.read(KEY, BODY, headers(**changed)).is_unaltered


def test_a_changed_body_has_another_leaf_hash() -> None:
    body = BODY.replace(b"000481", b"000482")
    assert not envelope.read(KEY, body, headers()).is_unaltered
