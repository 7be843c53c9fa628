"""The dialect reads calls and makes their answers."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.adapters import Dialect, ModelFeatures
from jarvis_proxy.canonical.answer import Finish
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.dialects.generate_content.answer import GenerateContentBody
from jarvis_proxy.dialects.generate_content.dialect import GenerateContentDialect, count_tokens
from jarvis_proxy.errors import ProxyError
from tests.dialects.generate_content.requests import user

DIALECT: Dialect = GenerateContentDialect(lambda: "n" * 24)

CONTENTS = [user({"text": "x" * 35})]


def a_call(*, query: str = "", body: object = None, strict: bool = False) -> Call:
    return Call(
        endpoint="streamGenerateContent",
        model="my-model",
        target_model="deepseek-chat",
        stream=True,
        body=json.dumps(body or {"contents": "Hi", "newField": 1}).encode(),
        id="c" * 24,
        created=1_800_000_000,
        now=1.0,
        query=query,
        strict_params=strict,
    )


def stream(query: str) -> bytes:
    answer = DIALECT.read(a_call(query=query), ModelFeatures()).new_answer(stream=True)
    answer.choice(0).finish(Finish(reason="stop"))
    answer.end(None)
    return answer.take()


@pytest.mark.parametrize(("query", "first"), [("alt=sse", b"data: {"), ("", b"[{")])
def test_the_query_decides_the_form_of_a_stream(query: str, first: bytes) -> None:
    assert stream(query).startswith(first)
    assert b'"modelVersion":"my-model","responseId":"cccccccccccccccccccccccc"' in stream(query)


def test_a_whole_answer_is_a_body() -> None:
    found = DIALECT.read(a_call(), ModelFeatures())

    assert isinstance(found.new_answer(stream=False), GenerateContentBody)
    assert found.request.ignored == ("newField",)
    assert json.loads(found.request.body)["messages"] == [{"role": "user", "content": "Hi"}]


def test_strict_calls_are_read_strictly() -> None:
    with pytest.raises(ProxyError) as caught:
        DIALECT.read(a_call(strict=True), ModelFeatures())

    assert caught.value.param == "newField"


def test_thoughts_go_out_to_those_who_ask() -> None:
    body = {
        "contents": "Hi",
        "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
    }
    for asked, expected in ((body, 1), (None, 0)):
        call = a_call(query="alt=sse", body=asked)
        answer = DIALECT.read(call, ModelFeatures()).new_answer(stream=True)
        answer.choice(0).thought("hm")
        assert answer.take().count(b"data: ") == expected


def count(**body: Any) -> int:
    answer = json.loads(count_tokens(json.dumps(body).encode()))
    assert answer.keys() == {"totalTokens"}
    return int(answer["totalTokens"])


def test_contents_cost_their_bytes_and_their_messages() -> None:
    assert count(contents=CONTENTS) == 18
    assert count(contents=[*CONTENTS, user({"text": "x" * 350})]) == 118


def test_a_whole_request_counts_with_its_tools() -> None:
    tools = [{"functionDeclarations": [{"name": "f"}]}]
    asked = {"contents": CONTENTS, "tools": tools, "systemInstruction": "Be brief."}

    assert count(generateContentRequest={**asked, "model": "models/x"}) == count(**asked)
    assert count(generate_content_request=asked) > count(contents=CONTENTS) + 40


def test_what_is_no_request_is_refused() -> None:
    with pytest.raises(ProxyError) as caught:
        count(generateContentRequest={"contents": []})

    assert caught.value.param == "contents"
