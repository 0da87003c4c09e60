"""The words: Arabic, short enough, true, and naming nobody."""

from __future__ import annotations

import re
import unicodedata

import pytest

from domain.errors import InvalidValueError
from domain.services import FeeDue
from domain.stages import Stage
from domain.standing import Standing
from office.commands import Message
from office.messages import (
    CORRECTED,
    LONGEST_SMS_UNITS,
    RESPONDED,
    STAMPED,
    WORDS,
    is_overtaken,
    message_by_standing,
    written,
)

NUMBER = "7KQ2-9MZX-0V4T-1"
ITEM = "RA473124829GB"
ONE_SEGMENT = 70


def valid_number() -> str:
    """A tracking number whose check symbol fits."""
    from uuid import UUID

    from domain.ids import tracking_number

    return tracking_number(UUID("019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"))


def units(text: str) -> int:
    """What a text takes in an SMS that is not plain Latin: UTF-16 code units."""
    return len(text.encode("utf-16-be")) // 2


def test_every_message_has_its_words() -> None:
    assert set(WORDS) == set(Message)


@pytest.mark.parametrize("message", list(Message))
def test_an_sms_has_two_segments_at_most(message: Message) -> None:
    sms = written(message, number=valid_number(), item=ITEM).sms
    assert ONE_SEGMENT < units(sms) <= LONGEST_SMS_UNITS


@pytest.mark.parametrize("message", list(Message))
def test_the_words_are_arabic_and_latin_stands_only_in_its_numbers(
    message: Message,
) -> None:
    words = written(message, number=valid_number(), item=ITEM)
    for text in (words.sms, words.subject, words.text):
        outside = re.sub("\u2068[^\u2069]*\u2069", "", text)
        assert "\u2068" not in outside
        assert "\u2069" not in outside
        letters = [each for each in outside if each.isalpha()]
        assert letters
        assert all(unicodedata.name(each).startswith("ARABIC") for each in letters)
        assert "{" not in text


@pytest.mark.parametrize("message", list(Message))
def test_the_number_stands_isolated_in_each_text(message: Message) -> None:
    words = written(message, number=valid_number(), item=ITEM)
    for text in (words.sms, words.subject, words.text):
        assert text.count(f"\u2068{valid_number()}\u2069") == 1


def test_only_a_mailing_names_the_item() -> None:
    for message in Message:
        words = written(message, number=valid_number(), item=ITEM)
        has_item = f"\u2068{ITEM}\u2069" in words.sms
        assert has_item == (message is Message.MAILED)


@pytest.mark.parametrize("message", list(Message))
def test_a_subject_is_one_line(message: Message) -> None:
    subject = written(message, number=valid_number()).subject
    assert len(subject.splitlines()) == 1


def test_what_is_no_tracking_number_is_not_written() -> None:
    with pytest.raises(InvalidValueError):
        written(Message.ACCEPTED, number="x\r\nBcc: a@example.org")


def standing(**facts: object) -> Standing:
    return Standing(
        **{  # type: ignore[arg-type]
            "stage": Stage.IN_PROGRESS,
            "is_refused": False,
            "is_posted": False,
            **facts,
        }
    )


@pytest.mark.parametrize(
    ("topic", "facts", "message"),
    [
        (RESPONDED, {}, Message.READY),
        (RESPONDED, {"needs_stamp": True}, None),
        (STAMPED, {}, Message.READY),
        (RESPONDED, {"is_posted": True}, None),
        (STAMPED, {"is_posted": True}, None),
        (RESPONDED, {"fee_due": FeeDue.HAND_OVER}, Message.READY),
        (RESPONDED, {"has_paper": False}, Message.ISSUED),
        (STAMPED, {"has_paper": False}, None),
        (RESPONDED, {"stage": Stage.COMPLETED_ISSUED}, None),
    ],
)
def test_an_issued_answer_tells_what_the_citizen_can_do(
    topic: str, facts: dict[str, object], message: Message | None
) -> None:
    assert (
        message_by_standing(topic, {"outcome": "issued"}, standing(**facts)) is message
    )


def test_a_refusal_is_told_and_a_request_for_information_is_not_an_answer() -> None:
    refused = standing(is_refused=True)
    assert (
        message_by_standing(RESPONDED, {"outcome": "refused"}, refused)
        is Message.REFUSED
    )
    unanswered = standing(is_refused=None)
    needed = {"outcome": "information_needed"}
    assert message_by_standing(RESPONDED, needed, unanswered) is None


def test_a_paper_that_shall_be_fetched_after_all_is_ready_at_once() -> None:
    for field, message in (("delivery", Message.READY), ("phone", None)):
        assert message_by_standing(CORRECTED, {"field": field}, standing()) is message
    posted = standing(is_posted=True)
    assert message_by_standing(CORRECTED, {"field": "delivery"}, posted) is None
    unanswered = standing(is_refused=None)
    assert message_by_standing(CORRECTED, {"field": "delivery"}, unanswered) is None


def test_whoever_has_it_is_not_asked_to_come_for_it() -> None:
    assert is_overtaken(Message.READY, Stage.COMPLETED_ISSUED)
    assert is_overtaken(Message.REFUSED, Stage.COMPLETED_REFUSED)
    assert not is_overtaken(Message.READY, Stage.IN_PROGRESS)
    assert not is_overtaken(Message.MAILED, Stage.COMPLETED_ISSUED)
    assert not is_overtaken(Message.ACCEPTED, Stage.COMPLETED_ISSUED)
