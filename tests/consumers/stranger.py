"""Who reads the topics with another client and knows nothing but what is published.

librdkafka is another implementation of the protocol, of transactions and of headers;
the AsyncAPI document in docs/reference says what a record of each topic has to be.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import Any

import kafka
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from jsonschema import Draft7Validator

from consumers.partitions import settled_ends
from tests.docs.pages import REFERENCE

READ_TIMEOUT_S = 30.0
Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record as it stands on a topic; a tombstone has no value.

    ``place`` is ``<topic>/<partition>/<offset>``.
    """

    place: str
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def told(self) -> dict[str, str]:
        """The headers as texts, each of which stands once."""
        return texts_of(self.headers)

    @property
    def said(self) -> Any:
        """What the value says."""
        assert self.value is not None, "a tombstone"
        return json.loads(self.value)


def texts_of(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """Headers as texts, each of which stands once."""
    pairs = list(headers)
    told = {name: text.decode("ascii") for name, text in pairs}
    assert len(told) == len(pairs), "a header stands twice"
    return told


def read_all(
    options: dict[str, Any], topic: str, level: str = "read_committed"
) -> list[Record]:
    """Every record of a topic, from its beginning to its end now."""
    consumer = Consumer(
        {
            "bootstrap.servers": ",".join(options["bootstrap_servers"]),
            "group.id": "another-client",
            "isolation.level": level,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    with closing(consumer):
        told = consumer.list_topics(topic, timeout=READ_TIMEOUT_S).topics[topic]
        open_ = set(told.partitions)
        # A transaction ends in one partition after the other, and is seen so.
        settled_ends(options, [kafka.TopicPartition(topic, each) for each in open_])
        consumer.assign(
            [TopicPartition(topic, each, OFFSET_BEGINNING) for each in open_]
        )
        records = []
        while open_:
            record = consumer.poll(READ_TIMEOUT_S)
            assert record is not None, "nothing comes"
            error = record.error()
            if error is None:
                records.append(
                    Record(
                        place=f"{topic}/{record.partition()}/{record.offset()}",
                        key=record.key(),
                        value=record.value(),
                        headers=tuple(record.headers() or ()),
                    )
                )
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error
                open_.discard(record.partition())
    return records


@cache
def schema_of(name: str) -> Draft7Validator:
    """A schema in the repository, by the name of its file."""
    schema = json.loads((REFERENCE / "schemas" / f"{name}.json").read_bytes())
    assert schema["$id"] == f"urn:sijil:schema:{name}"
    return Draft7Validator(schema)


@cache
def document() -> dict[str, Any]:
    """The AsyncAPI document in the repository."""
    found: dict[str, Any] = json.loads((REFERENCE / "asyncapi.json").read_bytes())
    return found


def _schema_in(message: dict[str, Any], part: str) -> Draft7Validator:
    path = message[part]["schema"]["$ref"]
    return schema_of(path.removeprefix("schemas/").removesuffix(".json"))


def must_fit(record: Record, channel: str, name: str) -> None:
    """Hold a record against a message that a channel has by the document.

    Raises ValidationError.
    """
    document_ = document()
    assert name in document_["channels"][channel]["messages"]
    message = document_["components"]["messages"][name]
    key = None if record.key is None else record.key.decode()
    Draft7Validator(message["bindings"]["kafka"]["key"]).validate(key)
    if "headers" in message:
        _schema_in(message, "headers").validate(record.told)
    else:
        assert not record.headers, "headers that nothing tells of"
    if "payload" in message:
        _schema_in(message, "payload").validate(record.said)
