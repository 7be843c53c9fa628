"""The methods of Google's models are spelled as Google's own SDK spells them."""

import inspect
import re

import google.genai.models
import pytest

from jarvis_proxy.wire.google_verbs import VERBS, asks_for_events


@pytest.mark.parametrize("verb", VERBS)
def test_googles_sdk_calls_the_method(verb: str) -> None:
    assert re.search(rf"\{{model\}}:{verb}['?]", inspect.getsource(google.genai.models))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("alt=sse", True),
        ("%24alt=sse", True),
        ("$alt=SSE", True),
        ("alt=sse;enum-encoding=int", True),
        ("alt=json", False),
        ("alt=sse&alt=json", False),
        ("", False),
        ("key=sse", False),
    ],
)
def test_g4_p8_a_stream_is_events_or_an_array(query: str, expected: bool) -> None:
    assert asks_for_events(query) is expected
