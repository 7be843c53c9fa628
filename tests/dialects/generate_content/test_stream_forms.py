"""Heartbeats and errors in the two forms of Google's streams."""

import json

import pytest

from jarvis_proxy.dialects.generate_content.errors import error_body
from jarvis_proxy.dialects.generate_content.stream_forms import ArrayForm, EventForm
from jarvis_proxy.errors import ProxyError

ERROR = ProxyError(503, "no", code="overloaded")


def test_g4_e12_an_error_in_events_is_bare_and_ends_its_line() -> None:
    form = EventForm()
    form.passed(b"data: {}\r\n\r\n")

    assert form.failure(ERROR) == error_body(ERROR) + b"\n"
    assert form.content_type == "text/event-stream"
    assert form.error_pause > 0


def test_bug_02_a_beat_is_an_empty_line() -> None:
    assert EventForm().heartbeat(is_long=False, first_events_wait=False) == b"\r\n"


@pytest.mark.parametrize("passed", [b"", b"[{}", b"\r\n"])
def test_g4_e12_an_error_closes_the_array(passed: bytes) -> None:
    form = ArrayForm()
    form.passed(passed)

    beat = form.heartbeat(is_long=False, first_events_wait=False)
    whole = json.loads(beat + passed + beat + form.failure(ERROR))

    assert whole[-1] == json.loads(error_body(ERROR))
    assert form.content_type.startswith("application/json")


def test_bug_05_an_error_of_googles_leaves_its_array() -> None:
    error = ProxyError(503, "no", code="overloaded")
    error.native = b'[{"error":{"code":503}}]'

    assert EventForm().failure(error) == b'{"error":{"code":503}}\n'
    assert ArrayForm().failure(error) == b'[{"error":{"code":503}}]'
