"""Requests and replies written from Google's documentation, and the recorded exchanges."""

import base64
import json
import math
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from openai.types import CreateEmbeddingResponse

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.embeddings import CHUNK, MAX_INPUTS, EmbeddingsExchange
from tests.support.recordings import MISSING, WIRE, response_of

RECORDED = "llm-gemini__test_embedding_gemini-embedding-001-768__0_8e44b4.json"
RECORDED_ERROR = "pydantic-ai__TestGoogle.test_embed_error__0_60da65.json"


def call(body: object, target_model: str = "gemini-embedding-001") -> Call:
    return Call(
        endpoint="embeddings",
        model="my-embedding",
        target_model=target_model,
        stream=False,
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        id="emb-1",
        created=1_700_000_000,
        now=0.0,
    )


def exchange(input_: object = "hello", **fields: object) -> EmbeddingsExchange:
    return EmbeddingsExchange(call({"model": "my-embedding", "input": input_, **fields}))


def reply(*vectors: list[float], **fields: object) -> bytes:
    return json.dumps({"embeddings": [{"values": vector} for vector in vectors], **fields}).encode()


def refusal(*args: object, **fields: object) -> tuple[int, str | int | None, str | None]:
    with pytest.raises(ProxyError) as caught:
        exchange(*args, **fields)
    return caught.value.status, caught.value.code, caught.value.param


def recorded(name: str) -> Any:
    path = WIRE / "gemini" / name
    if not path.is_file():
        pytest.skip(MISSING)
    return json.loads(path.read_text())


# -- the request -----------------------------------------------------------------------------


def test_a_string_becomes_a_batch_of_one() -> None:
    (request,) = exchange("hello").requests

    assert request.method == "POST"
    assert request.path == "/models/gemini-embedding-001:batchEmbedContents"
    assert request.headers == {"Content-Type": "application/json"}
    assert request.body == (
        b'{"requests":[{"model":"models/gemini-embedding-001",'
        b'"content":{"parts":[{"text":"hello"}]}}]}'
    )


def test_dimensions_and_googles_own_fields_are_said_for_every_input() -> None:
    (request,) = exchange(
        ["a", "b"], dimensions=768, task_type="RETRIEVAL_DOCUMENT", title="T", user="u", other=1
    ).requests
    common = {
        "model": "models/gemini-embedding-001",
        "taskType": "RETRIEVAL_DOCUMENT",
        "title": "T",
        "outputDimensionality": 768,
    }

    assert json.loads(request.body) == {
        "requests": [
            {**common, "content": {"parts": [{"text": "a"}]}},
            {**common, "content": {"parts": [{"text": "b"}]}},
        ]
    }


def test_null_means_absent() -> None:
    nothing = {"dimensions": None, "encoding_format": None, "task_type": None, "title": None}

    assert exchange("a", **nothing).requests == exchange("a").requests


def test_characters_go_through_as_they_are() -> None:
    (request,) = exchange("grüße 😀\u2028\n").requests

    assert json.loads(request.body)["requests"][0]["content"]["parts"] == [
        {"text": "grüße 😀\u2028\n"}
    ]


def test_half_a_surrogate_pair_becomes_the_replacement_character() -> None:
    (request,) = EmbeddingsExchange(call(b'{"input":"cut \\ud83d here"}')).requests

    assert "cut \ufffd here" in request.body.decode()


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(1, [1]), (99, [99]), (100, [100]), (101, [100, 1]), (200, [100, 100]), (2048, [100] * 20)],
)
def test_each_hundred_inputs_is_a_request(count: int, sizes: list[int]) -> None:
    requests = exchange([str(number) for number in range(count)]).requests
    batches = [json.loads(request.body)["requests"] for request in requests]
    texts = [item["content"]["parts"][0]["text"] for batch in batches for item in batch]

    assert [len(batch) for batch in batches][: len(sizes)] == sizes
    assert texts == [str(number) for number in range(count)]


@pytest.mark.parametrize(
    "tokens", [[1, 2, 3], [[1, 2], [3]], [[]], ["text", [1]], ["text", 1]], ids=str
)
def test_token_arrays_are_a_clear_400(tokens: object) -> None:
    with pytest.raises(ProxyError, match="Gemini models take text, not tokens") as caught:
        exchange(tokens)

    assert caught.value.status == 400
    assert caught.value.code == "unsupported_value"
    assert caught.value.param == "input"


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("value", "code", "param"),
    [
        (None, "missing_required_parameter", "input"),
        ("", "empty_string", "input"),
        ([], "empty_array", "input"),
        (["a", ""], "empty_string", "input[1]"),
        (["a"] * (MAX_INPUTS + 1), "array_above_max_length", "input"),
        (7, "invalid_type", "input"),
        (1.5, "invalid_type", "input"),
        (True, "invalid_type", "input"),
        ({"text": "a"}, "invalid_type", "input"),
        (["a", None], "invalid_type", "input[1]"),
        (["a", True], "invalid_type", "input[1]"),
        (["a", 1.5], "invalid_type", "input[1]"),
        (["a", {}], "invalid_type", "input[1]"),
    ],
)
def test_an_input_that_is_no_text_is_refused(value: object, code: str, param: str) -> None:
    assert refusal(value) == (400, code, param)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("dimensions", 0, "integer_below_min_value"),
        ("dimensions", -1, "integer_below_min_value"),
        ("dimensions", "768", "invalid_type"),
        ("dimensions", 1.5, "invalid_type"),
        ("encoding_format", "binary", "invalid_value"),
        ("encoding_format", 1, "invalid_type"),
        ("task_type", 1, "invalid_type"),
        ("title", [], "invalid_type"),
    ],
)
def test_a_wrong_parameter_is_named(field: str, value: object, code: str) -> None:
    assert refusal("a", **{field: value}) == (400, code, field)


def test_a_missing_input_is_named() -> None:
    with pytest.raises(ProxyError) as caught:
        EmbeddingsExchange(call({"model": "m"}))

    assert (caught.value.code, caught.value.param) == ("missing_required_parameter", "input")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"input":"\xff"}', b'{"input":"a"}x', b'{"input":' + b"[" * 100_000],
    ids=range(5),
)
def test_a_body_that_is_not_json_is_refused_without_repeating_it(body: bytes) -> None:
    with pytest.raises(ProxyError) as caught:
        EmbeddingsExchange(call(body))

    assert (caught.value.status, caught.value.code) == (400, "invalid_json")
    assert caught.value.message.startswith("The body is n")
    assert "input" not in caught.value.message


def test_a_body_that_is_no_object_is_refused() -> None:
    with pytest.raises(ProxyError) as caught:
        EmbeddingsExchange(call([]))

    assert (caught.value.status, caught.value.code) == (400, "invalid_type")


def test_a_call_for_a_stream_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ProxyError) as caught:
        EmbeddingsExchange(replace(call({"input": "a", "stream": True}), stream=True))

    assert (caught.value.status, caught.value.param) == (400, "stream")


def test_streams_and_second_tries_are_refused_and_no_header_is_added() -> None:
    embeddings = exchange()
    with pytest.raises(ProxyError) as caught:
        embeddings.stream_translator()

    assert (caught.value.status, caught.value.code) == (400, "unsupported_value")
    assert caught.value.param == "stream"
    assert embeddings.recover(400, b"{}") is None
    assert embeddings.headers == ()
    assert embeddings.raw is False


# -- the answer ------------------------------------------------------------------------------


def test_vectors_come_back_as_openai_sends_them() -> None:
    embeddings = exchange(["a", "b"])
    metadata = {"promptTokenCount": 7, "promptTokenDetails": [{"modality": "TEXT"}]}

    assert (embeddings.usage, embeddings.partial_usage) == (None, None)
    embeddings.translate_reply(reply([0.5, -0.25], [1, 0], error=None, usageMetadata=metadata))

    assert embeddings.answer() == (
        b'{"object":"list","data":['
        b'{"object":"embedding","index":0,"embedding":[0.5,-0.25]},'
        b'{"object":"embedding","index":1,"embedding":[1.0,0.0]}],'
        b'"model":"my-embedding","usage":{"prompt_tokens":7,"total_tokens":7}}'
    )
    assert embeddings.usage == TokenUsage(prompt=7)


def test_numbers_keep_their_value_to_the_last_digit() -> None:
    values = [-0.01530608, -0.0005849064, 1e-7, 0.1, -0.0]
    embeddings = exchange()
    embeddings.translate_reply(reply(values))

    assert json.loads(embeddings.answer())["data"][0]["embedding"] == values


def test_base64_is_little_endian_float32() -> None:
    embeddings = exchange(["a", "b"], encoding_format="base64")
    embeddings.translate_reply(reply([1.0, -2.0], [0.1]))
    first, second = (item["embedding"] for item in json.loads(embeddings.answer())["data"])

    assert base64.b64decode(first) == b"\x00\x00\x80\x3f\x00\x00\x00\xc0"
    assert base64.b64decode(second) == b"\xcd\xcc\xcc\x3d"


@pytest.mark.parametrize("encoding_format", ["float", "base64"])
def test_shortened_vectors_get_length_one_again(encoding_format: str) -> None:
    embeddings = exchange(dimensions=2, encoding_format=encoding_format)
    embeddings.translate_reply(reply([0.3, -0.4]))
    vector = json.loads(embeddings.answer())["data"][0]["embedding"]
    if encoding_format == "base64":
        vector = struct.unpack("<2f", base64.b64decode(vector))

    assert vector == pytest.approx([0.6, -0.8])


@pytest.mark.parametrize(
    ("fields", "vector"),
    [
        ({}, [0.3, -0.4]),
        ({"dimensions": 2}, [0.0, 0.0]),
        ({"dimensions": 2}, [0.6, 0.8]),
        ({"dimensions": 2}, [0.60001, 0.80001]),
    ],
    ids=["not shortened", "of no length", "of length one", "rounded"],
)
def test_other_vectors_are_left_alone(fields: dict[str, object], vector: list[float]) -> None:
    embeddings = exchange(**fields)
    embeddings.translate_reply(reply(vector))

    assert json.loads(embeddings.answer())["data"][0]["embedding"] == vector


def test_replies_may_come_in_any_order() -> None:
    embeddings = exchange([str(number) for number in range(2 * CHUNK + 1)])
    for index in (2, 0, 1):
        size = 1 if index == 2 else CHUNK
        vectors = [[float(index * CHUNK + number)] for number in range(size)]
        embeddings.translate_reply(reply(*vectors, usageMetadata={"promptTokenCount": 10}), index)
    data = json.loads(embeddings.answer())["data"]

    assert [item["index"] for item in data] == list(range(2 * CHUNK + 1))
    assert [item["embedding"] for item in data] == [[float(n)] for n in range(2 * CHUNK + 1)]
    assert embeddings.usage == TokenUsage(prompt=30)


def test_an_answer_with_a_reply_missing_is_never_given() -> None:
    embeddings = exchange(["a"] * (CHUNK + 1))
    embeddings.translate_reply(reply([1.0]), 1)

    assert embeddings.usage is None
    assert embeddings.partial_usage == TokenUsage(prompt=1)
    with pytest.raises(ProxyError) as caught:
        embeddings.answer()
    assert (caught.value.status, caught.value.code) == (502, "upstream_truncated")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("a", 1), ("abcd", 1), ("abcde", 2), ("Some text goes here", 5), ("日本語", 3), ("😀😀", 2)],
)
@pytest.mark.parametrize(
    "metadata",
    [{}, {"usageMetadata": {}}, {"usageMetadata": "?"}, {"usageMetadata": None}],
    ids=str,
)
def test_tokens_are_estimated_where_google_counts_none(
    text: str, tokens: int, metadata: dict[str, object]
) -> None:
    embeddings = exchange([text, "abcdefgh"])
    embeddings.translate_reply(reply([1.0], [1.0], **metadata))

    assert embeddings.usage == TokenUsage(prompt=tokens + 2)


# -- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{}", "empty_response"),
        (b'{"embeddings":[]}', "empty_response"),
        (b'{"embeddings":null}', "empty_response"),
        (reply([1.0]), "upstream_bad_response"),
        (reply([1.0], [1.0], [1.0]), "upstream_bad_response"),
        (b'{"embeddings":[{"values":[1]},{}]}', "upstream_bad_response"),
        (b'{"embeddings":[{"values":[1]},{"values":["a"]}]}', "upstream_bad_response"),
        (b'{"embeddings":[{"values":[1]},{"values":[1e400]}]}', "upstream_bad_response"),
        (b'{"embeddings":[{"values":[1]},{"values":[0.1', "upstream_bad_response"),
        (b"", "upstream_bad_response"),
        (b"<html>", "upstream_bad_response"),
        (b"\xff", "upstream_bad_response"),
    ],
)
def test_a_reply_without_one_vector_for_each_input_is_a_502(body: bytes, code: str) -> None:
    embeddings = exchange(["a", "b"])
    with pytest.raises(ProxyError) as caught:
        embeddings.translate_reply(body)

    assert (caught.value.status, caught.value.code) == (502, code)


def test_a_number_that_float32_cannot_hold_is_a_502() -> None:
    embeddings = exchange(encoding_format="base64")
    with pytest.raises(ProxyError) as caught:
        embeddings.translate_reply(reply([1e39]))

    assert (caught.value.status, caught.value.code) == (502, "upstream_bad_response")


@pytest.mark.parametrize("form", [b"%s", b"[%s]"])
def test_an_error_inside_a_200_keeps_its_class(form: bytes) -> None:
    error = b'{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}'
    with pytest.raises(ProxyError) as caught:
        exchange().translate_reply(form % error)

    assert (caught.value.status, caught.value.code) == (429, "rate_limit_exceeded")


def test_an_unknown_model_is_named_as_the_client_named_it() -> None:
    body = b'{"error":{"code":404,"message":"models/x is not found","status":"NOT_FOUND"}}'
    error = exchange().translate_error(404, {}, body)

    assert (error.status, error.code) == (404, "model_not_found")
    assert "my-embedding" in error.message


def test_how_long_to_wait_is_read_from_the_headers_too() -> None:
    body = b'{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}'

    assert exchange().translate_error(429, {"retry-after": "7"}, body).retry_after == 7


# -- recorded traffic, and any bytes -----------------------------------------------------------


@pytest.mark.parametrize("encoding_format", ["float", "base64"])
def test_the_recorded_exchange_gives_what_openais_types_accept(encoding_format: str) -> None:
    record = recorded(RECORDED)
    text = record["request"]["body"]["requests"][0]["content"]["parts"][0]["text"]
    embeddings = exchange(text, dimensions=768, encoding_format=encoding_format)
    embeddings.translate_reply(response_of(record)[0])
    answer = json.loads(embeddings.answer())
    if encoding_format == "base64":
        packed = base64.b64decode(answer["data"][0]["embedding"])
        answer["data"][0]["embedding"] = list(struct.unpack("<768f", packed))
    typed = CreateEmbeddingResponse.model_validate(answer, strict=True)
    vector = typed.data[0].embedding
    original = record["response"]["body"]["embeddings"][0]["values"]

    assert json.loads(embeddings.requests[0].body) == record["request"]["body"]
    assert math.hypot(*vector) == pytest.approx(1)
    scale = math.hypot(*original)
    assert [value * scale for value in vector] == pytest.approx(original, rel=1e-6)
    assert typed.usage.prompt_tokens == typed.usage.total_tokens == 5


def test_the_recorded_error_is_reported_in_openais_words() -> None:
    record = recorded(RECORDED_ERROR)
    body, _ = response_of(record)
    error = exchange().translate_error(record["response"]["status"], {}, body)

    assert (error.status, error.code) == (404, "model_not_found")


def test_our_own_golden_answer_is_what_openais_types_accept() -> None:
    embeddings = exchange(["a", "b"])
    embeddings.translate_reply(reply([0.5, -0.25], [1.0, 0.0]))
    typed = CreateEmbeddingResponse.model_validate_json(embeddings.answer(), strict=True)

    assert [item.index for item in typed.data] == [0, 1]
    assert typed.object == "list"


VALUES = st.recursive(
    st.none() | st.booleans() | st.text() | st.floats() | st.integers(), st.lists, max_leaves=5
)
JSON = VALUES.map(lambda value: json.dumps(value).encode())


def outcome(action: Callable[[], object]) -> int:
    """Return the status that *action* comes to; anything but a ProxyError is a bug."""
    try:
        action()
    except ProxyError as error:
        return error.status
    return 200


@given(st.binary() | JSON | JSON.map(lambda value: b'{"input":%s}' % value))
def test_any_request_gives_an_exchange_or_a_client_error(body: bytes) -> None:
    assert outcome(lambda: EmbeddingsExchange(call(body))) in (200, 400)


@given(
    st.binary()
    | JSON
    | JSON.map(lambda value: b'{"error":%s}' % value)
    | JSON.map(lambda value: b'{"embeddings":%s}' % value)
    | JSON.map(lambda value: b'{"embeddings":[{"values":%s}]}' % value)
)
def test_any_reply_gives_an_answer_or_an_upstreams_error(body: bytes) -> None:
    embeddings = exchange(encoding_format="base64", dimensions=1)

    assert outcome(lambda: embeddings.translate_reply(body)) in (200, 502)


def test_an_exchange_weighs_what_its_bodies_do() -> None:
    made = exchange(["a"] * 101)

    assert made.weight == sum(len(request.body) for request in made.requests) > 101
