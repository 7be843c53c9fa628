"""Addresses of Google's models; methods are spelled as Google's own SDK spells them."""

import inspect
import re

import google.genai.models
import pytest

from jarvis_proxy.wire.google_verbs import VERBS, asks_for_events, relayed_query


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
def test_a_stream_is_events_or_an_array(query: str, expected: bool) -> None:
    assert asks_for_events(query) is expected


@pytest.mark.parametrize(
    ("query", "crossing"),
    [
        ("", ""),
        ("alt=sse", "alt=sse"),
        ("%24alt=sse&key=secret", "%24alt=sse"),
        (
            "$alt=json;enum-encoding=int&prettyPrint=false",
            "$alt=json;enum-encoding=int&prettyPrint=false",
        ),
        ("quotaUser=me&fields=candidates", "quotaUser=me&fields=candidates"),
        ("$key=secret&access_token=a&oauth_token=b&callback=f", ""),
        ("$httpHeaders=x-goog-api-key:a&$httpMethod=DELETE&uploadType=media", ""),
    ],
)
def test_only_known_parts_of_the_query_cross(query: str, crossing: str) -> None:
    assert relayed_query(query) == crossing
