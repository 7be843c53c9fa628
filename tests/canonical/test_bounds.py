"""Bounds of one request: a small body never becomes gigabytes of objects."""

import json
import tracemalloc
from collections.abc import Callable
from itertools import repeat

import msgspec
import pytest
from msgspec.structs import replace

from jarvis_proxy.canonical.bounds import (
    MAX_LINKS,
    MAX_MESSAGES,
    MAX_PARTS,
    MAX_TOOLS,
    MAX_VALUES,
    check_length,
    check_links,
    check_request,
    check_values,
    decoded_size,
)
from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.errors import ProxyError
from tests.support.translated import gemini
from tests.upstreams.gemini.replies import a_call, ids

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
HEAD = b'{"model":"m","messages":[{"role":"user","content":'


def many(item: bytes, count: int) -> bytes:
    return b"[" + b",".join(repeat(item, count)) + b"]"


def chat(content: bytes) -> bytes:
    return HEAD + content + b"}]}"


def messages(listed: bytes) -> bytes:
    return b'{"model":"m","messages":' + listed + b"}"


def schema(inner: bytes) -> bytes:
    tool = b'{"type":"function","function":{"name":"f","parameters":{"type":"object","default":'
    return HEAD + b'"a"}],"tools":[' + tool + inner + b"}}}]}"


def text(value: bytes) -> bytes:
    return json.dumps(value.decode()).encode()


def called(arguments: bytes, calls: int = 1) -> bytes:
    call = b'{"id":"c","type":"function","function":{"name":"f","arguments":%b}}' % text(arguments)
    return messages(b'[{"role":"user","content":"a"},{"role":"assistant","tool_calls":%b}]'
                    % many(call, calls))  # fmt: skip


def answered(result: bytes) -> bytes:
    return messages(b'[{"role":"user","content":"a"},{"role":"tool","content":%b}]' % text(result))


USER = b'{"role":"user","content":"a"}'
BOMBS: dict[str, bytes] = {
    "parts": chat(many(b'"a"', 1_200_000)),
    "parts that are objects": chat(many(b"{}", MAX_PARTS + 1)),
    "longer parts": chat(many(b'{"type":"text","text":"a"}', 150_000)),
    "messages": messages(many(USER, 100_000)),
    "empty objects in a schema": schema(many(b'{"":0}', 700_000)),
    "empty lists in a schema": schema(many(b"[]", 1_500_000)),
    "numbers in a schema": schema(many(b"1e9", 1_000_000)),
    "tools": HEAD + b'"a"}],"tools":' + many(b'{"type":"x"}', MAX_TOOLS + 1) + b"}",
    "calls": called(b"{}", MAX_PARTS + 1),
    "objects in arguments": called(many(b"{}", 1_000_000)),
    "objects in many arguments": called(many(b"{}", 1_000), 600),
    "objects in a result": answered(many(b'{"":0}', 400_000)),
    "unknown field": HEAD + b'"a"}],"x":' + many(b"{}", 1_000_000) + b"}",
    "any field": HEAD + b'"a"}],"google":' + many(b"{}", 1_000_000) + b"}",
}
LARGE: dict[str, bytes] = {
    "one text": chat(text(b"word, " * 700_000)),
    "brackets in a text": chat(text(b"[{,\\\"" * 1_000_000)),
    "a picture": chat(b'[{"type":"image_url","image_url":{"url":"data:image/png;base64,%b"}}]'
                      % (b"iVBORw0KGgoA" + b"AAAA" * 1_200_000)),
    "a picture in lines": chat(b'[{"type":"image_url","image_url":{"url":"data:image/png;base64,%b"'
                               b"}}]" % (b"iVBORw0KGgoA" + b"AAAA\\n" * 900_000)),
    "parts": chat(many(b'"' + b"a" * 200 + b'"', MAX_PARTS)),
    "messages": messages(many(b'{"role":"user","content":"%b"}' % (b"a" * 200), MAX_MESSAGES)),
    "schema": schema(many(b'"' + b"a" * 20 + b'"', 200_000)),
    "a result": answered(many(b'{"name":"%b"}' % (b"a" * 40), 90_000)),
}  # fmt: skip


def translated(body: bytes, endpoint: str = "chat/completions") -> ProxyError | int:
    """Return the error, or how many bytes the translation took in addition to the body."""
    upstream = gemini(new_id=ids())
    call = replace(a_call(target="gemini-2.5-flash"), body=body, endpoint=endpoint)
    tracemalloc.start()
    try:
        upstream.exchange(call, {}, upstream.needs(call).decoded)
        return tracemalloc.get_traced_memory()[1]
    except ProxyError as error:
        # What it took to refuse is limited likewise.
        assert tracemalloc.get_traced_memory()[1] < 3 * len(body) + 64 * MIB
        return error
    finally:
        tracemalloc.stop()


def as_response(body: bytes) -> bytes:
    fields = json.loads(body)
    return json.dumps({"input": fields.pop("messages"), **fields}).encode()


@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS)
def test_request_of_very_many_small_things_is_refused(body: bytes) -> None:
    error = translated(body)

    assert isinstance(error, ProxyError)
    assert (error.status, error.code) == (400, "array_above_max_length")


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","input":' + many(b'{"role":"user","content":"a"}', 60_000) + b"}",
        b'{"model":"m","input":[{"role":"user","content":' + many(b'"a"', 200_000) + b"}]}",
        b'{"model":"m","input":"a","tools":' + many(b"{}", 300_000) + b"}",
        b'{"model":"m","input":' + many(b"[]", 600_000) + b"}",
    ],
    ids=["items", "parts", "tools", "lists"],
)
def test_so_is_a_response_of_them(body: bytes) -> None:
    error = translated(body, "responses")

    assert isinstance(error, ProxyError)
    assert (error.status, error.code) == (400, "array_above_max_length")
    assert error.param in (None, "input", "tools")


def test_so_are_embeddings_of_them() -> None:
    error = translated(b'{"model":"m","input":' + many(b"[1]", 600_000) + b"}", "embeddings")

    assert isinstance(error, ProxyError)
    assert error.code == "array_above_max_length"


@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_translation_takes_less_than_three_times_the_body_in_addition(body: bytes) -> None:
    """Four times with the body; and 24 MiB for what has a cost of its own, however small."""
    taken = translated(body)

    assert isinstance(taken, int)
    assert taken < 3 * len(body) + 24 * MIB


@pytest.mark.parametrize(
    ("check", "most", "code"),
    [
        (lambda n: check_links(n), MAX_LINKS, "array_above_max_length"),
        (lambda n: check_length("x", n, 3), 3, "array_above_max_length"),
        (lambda n: check_values(many(b"0", n)), MAX_VALUES, "array_above_max_length"),
    ],
    ids=["links", "length", "values"],
)
def test_bounds_are_included(check: Callable[[int], None], most: int, code: str) -> None:
    check(most)
    with pytest.raises(ProxyError) as caught:
        check(most + 1)

    assert caught.value.code == code
    assert str(most) in caught.value.message


def test_decoded_size_grows_with_the_values() -> None:
    assert decoded_size(b"x" * 1000) == 1000
    assert decoded_size("é".encode() * 500) == 2000
    assert decoded_size(b"\\u00e9" * 100 + b"x" * 400) == 2000
    assert decoded_size("🦀".encode() + b"x" * 996) == 4000
    assert decoded_size(b"\\ud83e\\udd80" + b"x" * 988) == 4000
    assert decoded_size(many(b"{}", 1000)) > 200_000


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "JSON"}}]},
        {"role": "assistant", "function_call": {"name": "f", "arguments": "JSON"}},
        {"role": "tool", "content": "JSON"},
        {"role": "tool", "content": [{"type": "text", "text": "JSON"}]},
    ],
    ids=["call", "call of functions", "result", "part of a result"],
)
def test_values_are_counted_in_each_text_that_is_read_as_json(message: object) -> None:
    def request(count: int) -> ChatRequest:
        body = json.dumps({"messages": [message]}).encode()
        listed = many(b"0", count)
        return msgspec.json.decode(body.replace(b"JSON", listed), type=ChatRequest)

    check_request(request(MAX_VALUES // 2))
    with pytest.raises(ProxyError, match="JSON values in the arguments and results"):
        check_request(request(MAX_VALUES + 1))
