"""What kind of answer came: by its label, its first bytes, and what was asked."""

import pytest

from jarvis_proxy.upstreams.answer_kinds import (
    ANSWERS_JSON,
    First,
    Kind,
    first_bytes,
    is_json_under_another_label,
    is_looked_at,
    kind_of,
    streams_events,
)
from jarvis_proxy.wire.chat_types import INFERENCE

SSE, JSON, PAGE, TEXT = "text/event-stream", "application/json", "text/html", "text/plain"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"data: {", "events"),
        (b"data\n", "events"),
        (b"event: x", "events"),
        (b": hi", "events"),
        (b"id:1", "events"),
        (b"retry:\r", "events"),
        (b"\xef\xbb\xbf\r\n\ndata:", "events"),
        (b'{"a"', "json"),
        (b" \n[", "json"),
        (b"\xef\xbb\xbf{", "json"),
        (b"<html>", "markup"),
        (b"\n<?xml", "markup"),
        (b"dataset", "other"),
        (b"Data: x", "other"),
        (b"hello", "other"),
        (b"\xff\xfb\x90", "other"),
        (b"identity", "other"),
        (b"\n" * 4096, "other"),
        (b"", None),
        (b"\xef", None),
        (b"\xef\xbb\xbf", None),
        (b"\n\r\n", None),
        (b"d", None),
        (b"event", None),
    ],
)
def test_first_bytes_tell(data: bytes, expected: First | None) -> None:
    assert first_bytes(data) == expected


@pytest.mark.parametrize(
    "start", [b"data: x", b"event: x", b"id: x", b"retry: 1", b"\xef\xbb\xbf:"]
)
def test_a_beginning_is_never_misread(start: bytes) -> None:
    for end in range(len(start)):
        assert first_bytes(start[:end]) in (None, "events")


CHAT, SPEECH, TEXTS, FILE = "chat/completions", "audio/speech", "audio/transcriptions", "files/x"


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("first", "label", "endpoint", "asked", "expected"),
    [
        ("events", SSE, CHAT, True, "events"),
        ("events", JSON, CHAT, True, "events"),
        ("events", PAGE, CHAT, False, "events"),
        ("events", "", CHAT, True, "events"),
        ("events", JSON, TEXTS, False, "events"),
        ("events", TEXT, TEXTS, False, "whole"),
        ("json", SSE, CHAT, True, "whole"),
        ("json", PAGE, CHAT, True, "whole"),
        ("json", "x/y", CHAT, True, "whole"),
        ("markup", PAGE, CHAT, True, "page"),
        ("markup", TEXT, CHAT, False, "page"),
        ("markup", SSE, CHAT, True, "page"),
        ("markup", PAGE, FILE, False, "page"),
        ("markup", PAGE, "files/x/content", False, "copy"),
        ("markup", TEXT, TEXTS, False, "whole"),
        ("other", "", CHAT, True, "events"),
        ("other", PAGE, CHAT, True, "page"),
        ("other", TEXT, CHAT, False, "page"),
        ("other", PAGE, TEXTS, False, "copy"),
        ("other", TEXT, TEXTS, False, "whole"),
        ("other", SSE, SPEECH, False, "copy"),
        ("other", JSON, FILE, False, "whole"),
        (None, SSE, CHAT, True, "events"),
        (None, "", CHAT, True, "events"),
        (None, JSON, CHAT, True, "whole"),
        (None, TEXT, TEXTS, False, "whole"),
    ],
)
def test_an_answer_is_relayed_by_what_it_is(
    first: First | None, label: str, endpoint: str, asked: bool, expected: Kind
) -> None:
    assert kind_of(first, f"{label}; charset=utf-8", endpoint, asked=asked) == expected


@pytest.mark.parametrize(
    ("label", "endpoint", "asked", "expected"),
    [
        ("audio/mpeg", SPEECH, False, False),
        ("", FILE, False, False),
        ("", CHAT, False, True),
        ("x/y", CHAT, True, True),
        (SSE, SPEECH, False, True),
        (JSON, FILE, False, True),
        (TEXT, TEXTS, False, True),
    ],
)
def test_sound_and_files_are_not_looked_into(
    label: str, endpoint: str, asked: bool, expected: bool
) -> None:
    assert is_looked_at(label, endpoint, asked=asked) is expected


@pytest.mark.parametrize(
    ("first", "label", "endpoint", "expected"),
    [
        ("json", JSON, CHAT, False),
        ("json", "application/problem+json", CHAT, False),
        ("json", TEXT, CHAT, True),
        ("json", "", CHAT, True),
        ("json", PAGE, FILE, True),
        ("json", TEXT, TEXTS, False),
        ("other", TEXT, CHAT, False),
    ],
)
def test_json_is_labelled_so_where_sdks_need_it(
    first: First, label: str, endpoint: str, expected: bool
) -> None:
    assert is_json_under_another_label(first, label, endpoint) is expected


def test_speech_is_no_stream_of_events() -> None:
    assert streams_events(CHAT)
    assert streams_events("responses")
    assert not streams_events(SPEECH)
    assert not streams_events("embeddings")
    assert {e for e in INFERENCE if not e.startswith("audio/")} <= ANSWERS_JSON
