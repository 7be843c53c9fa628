"""The header traceparent: what is valid, and what is sent on."""

import pytest

from jarvis_proxy.wire.trace_context import TraceParent, parse_traceparent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{SPAN}-01"


def test_a_header_is_read_and_written_as_it_was() -> None:
    found = parse_traceparent(VALID)

    assert found == TraceParent(int(TRACE, 16), int(SPAN, 16), 1)
    assert str(found) == VALID


def test_a_later_version_may_have_more_fields_and_is_written_as_the_first() -> None:
    assert str(parse_traceparent(f"01-{TRACE}-{SPAN}-00-more")) == f"00-{TRACE}-{SPAN}-00"


def test_another_span_of_the_same_trace() -> None:
    found = parse_traceparent(VALID)

    assert found is not None
    assert str(found.with_span(255)) == f"00-{TRACE}-00000000000000ff-01"


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        f"00-{TRACE}-{SPAN}",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f" {VALID}",
        f"{VALID}\n",
        f"{VALID}, {VALID}",
        "sk-canary",
    ],
)
def test_what_is_not_valid_is_nothing(value: str | None) -> None:
    assert parse_traceparent(value) is None
