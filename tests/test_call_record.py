"""The record of a call and its two log lines: complete, one line each, no content."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jarvis_proxy.call_record import CallRecord, as_json, as_text, ascii_json
from jarvis_proxy.wire.text import printable

_PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^ "]*)(?: |$)')
ANY_TEXT = st.text(st.characters())  # lone surrogates too


def full_record() -> CallRecord:
    return CallRecord(
        request_id="req_1",
        started_at=10.0,
        timestamp=1_700_000_000.0,
        method="POST",
        route="/v1/chat/completions",
        key_name="laptop",
        model="gpt-4o",
        upstream_model="gpt-4o",
        upstream="openai",
        status=200,
        first_byte_sent_at=10.25,
        ended_at=11.5,
        bytes_in=120,
        bytes_out=3400,
        prompt_tokens=7,
        completion_tokens=0,
        attempts=1,
        streamed=True,
        user_agent="OpenAI/Python 2.54.0",
        client_ip="192.0.2.7",
    )


def parsed(line: str) -> dict[str, str]:
    """Return a text line's pairs, quotes undone."""
    head, _, pairs = line.partition(" call ")
    assert " " not in head
    found = {}
    at = 0
    while match := _PAIR.match(pairs, at):
        value = match[2]
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        found[match[1]] = value
        at = match.end()
    assert at == len(pairs), "a value broke out of its pair"
    return found


def test_fields_come_in_the_order_of_the_log_line() -> None:
    assert list(full_record().fields()) == [
        "id",
        "key",
        "ip",
        "method",
        "route",
        "model",
        "upstream",
        "target",
        "status",
        "outcome",
        "code",
        "attempts",
        "ttfb_ms",
        "duration_ms",
        "bytes_in",
        "bytes_out",
        "prompt_tokens",
        "completion_tokens",
        "cached_tokens",
        "reasoning_tokens",
        "cache_write_tokens",
        "agent",
    ]


def test_times_are_milliseconds_since_the_start() -> None:
    fields = full_record().fields()

    assert fields["ttfb_ms"] == 250.0
    assert fields["duration_ms"] == 1500.0


def test_call_that_never_answered_has_no_time_to_first_byte() -> None:
    record = full_record()
    record.first_byte_sent_at = None

    assert record.fields()["ttfb_ms"] is None
    assert "ttfb_ms" not in as_text(record, "now")


def test_tokens_of_several_answers_add_up() -> None:
    record = CallRecord(request_id="req_1", started_at=0.0, timestamp=0.0)

    record.add_tokens(3, 2, 1, 0)
    assert record.cache_write_tokens is None
    record.add_tokens(10, 0, 0, 4, 5)
    record.add_tokens(0, 0, 0, 0, 2, 1)

    counts = (record.prompt_tokens, record.completion_tokens)
    assert (*counts, record.cached_tokens, record.reasoning_tokens) == (13, 2, 1, 4)
    written: tuple[object, object] = (record.cache_write_tokens, record.cache_write_1h_tokens)
    assert written == (7, 1)


def test_overhead_is_before_the_upstream_request_and_after_its_answer() -> None:
    record = full_record()
    record.body_received_at, record.upstream_asked_at = 10.001, 10.003
    record.upstream_first_byte_at, record.first_byte_sent_at = 10.249, 10.25

    assert record.overhead() == pytest.approx(0.003)


def test_a_head_that_went_out_first_is_no_time_saved() -> None:
    record = full_record()
    record.body_received_at, record.upstream_asked_at = 10.001, 10.003
    record.upstream_first_byte_at = 10.75

    assert record.overhead() == pytest.approx(0.002)


@pytest.mark.parametrize(
    "unknown",
    ["body_received_at", "upstream_asked_at", "upstream_first_byte_at", "first_byte_sent_at"],
)
def test_overhead_is_unknown_where_a_moment_is(unknown: str) -> None:
    record = full_record()
    record.body_received_at = record.upstream_asked_at = record.upstream_first_byte_at = (
        record.first_byte_sent_at
    ) = 10.1
    setattr(record, unknown, None)

    assert record.overhead() is None


def test_text_line_leaves_out_what_is_unknown_but_keeps_zero() -> None:
    expected = (
        "2023-11-14T22:13:20Z call id=req_1 key=laptop ip=192.0.2.7 method=POST "
        "route=/v1/chat/completions model=gpt-4o upstream=openai target=gpt-4o status=200 "
        "outcome=ok attempts=1 ttfb_ms=250.0 duration_ms=1500.0 bytes_in=120 bytes_out=3400 "
        'prompt_tokens=7 completion_tokens=0 agent="OpenAI/Python 2.54.0"'
    )

    assert as_text(full_record(), "2023-11-14T22:13:20Z") == expected


def test_json_line_has_every_field() -> None:
    line = json.loads(as_json(full_record(), "2023-11-14T22:13:20Z"))

    assert line == {
        "time": "2023-11-14T22:13:20Z",
        "event": "call",
        **full_record().fields(),
    }


@pytest.mark.parametrize(
    "hostile",
    [
        "a\nb",
        "a\r\nstatus=200",
        'x" status=200 "',
        "\\",
        'a\\" b',
        "model=other",
        "\x1b[31mred",
        "\x85next\u2028line\u2029",
        "é",
        "\udcff",
        "x" * 10_000,
    ],
)
@pytest.mark.parametrize("field", ["model", "upstream_model", "user_agent", "code"])
def test_hostile_value_stays_one_value_of_one_line(field: str, hostile: str) -> None:
    """Models and agents come from clients, codes from upstreams: none may forge a log line."""
    record = full_record()
    setattr(record, field, hostile)
    name = {"user_agent": "agent", "upstream_model": "target"}.get(field, field)

    text, line = as_text(record, "now"), as_json(record, "now")

    assert text.isascii()
    assert text.isprintable()
    assert parsed(text)[name] == record.fields()[name] == json.loads(line)[name]
    assert parsed(text)["status"] == "200"
    assert len(record.fields()[name]) <= 64
    assert line.isascii()
    assert len(line.splitlines()) == 1


@settings(deadline=None)
@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_any_text_makes_exactly_one_line_that_reads_back(model: str, agent: str, code: str) -> None:
    record = full_record()
    record.model, record.user_agent, record.code = model, agent, code

    read = parsed(as_text(record, "now"))

    for name in ("model", "agent", "code"):
        value = record.fields()[name]
        assert read.get(name, "") == ("" if value == "-" else value)


@settings(deadline=None)
@given(ANY_TEXT)
def test_json_line_is_ascii_and_reads_back(text: str) -> None:
    line = ascii_json({"message": text})

    assert line.isascii()
    assert len(line.splitlines()) <= 1
    assert json.loads(line) == {"message": text}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("a b", "a b"),
        ("naïve", "na?ve"),
        ("a\tb\n", "a?b?"),
        ("x" * 65, "x" * 64),
        ("é" * 100, "?" * 64),
    ],
)
def test_printable_keeps_64_characters_of_ascii(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_line_has_every_count_that_is_known() -> None:
    record = full_record()
    record.cached_tokens, record.reasoning_tokens, record.code = 3, 0, "odd code"
    record.cache_write_tokens = 8
    pairs = parsed(as_text(record, "now"))
    fields = record.fields()

    shown = {name: str(value) for name, value in fields.items() if value not in (None, "", "-")}
    assert pairs == shown

    record.prompt_tokens = record.completion_tokens = record.cached_tokens = None
    record.reasoning_tokens = record.cache_write_tokens = None
    assert "tokens" not in as_text(record, "now")
