"""Requests that Gemini refuses and takes when changed: whole, streamed, with several choices."""

import asyncio
import json
import re
from typing import Any, NamedTuple

import pytest

from jarvis_proxy.upstreams.gemini.request.signature_lookup import PLACEHOLDER
from tests.conftest import BEARER, running_proxy
from tests.server.refusing_gemini import (
    BARE,
    DONE,
    FORMS,
    SDK,
    Gemini,
    Json,
    Rule,
    answer,
    ask,
    chat,
    no_budget,
    signatures,
)
from tests.support.raw_client import connect
from tests.support.raw_upstream import Peer, RawUpstream, Received

pytestmark = pytest.mark.slow


def nested(levels: int) -> Json:
    schema: Json = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def tool(schema: Json, **more: Any) -> Json:
    return {"type": "function", "function": {"name": "f", "parameters": schema, **more}}


LIST: Json = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {}, "maxItems": 900}},
}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ANSWERED = [
    {"role": "user", "content": "q"},
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "r"},
]
PREFILLED = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
ALLOWED = {
    "type": "allowed_tools",
    "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "n", "schema": LIST}}
PARAMETERS = r"tools\[0\]\.function\.parameters"


class Case(NamedTuple):
    """A request, what is refused of it, and what is then named as ignored."""

    body: Json
    rules: tuple[str, ...]
    named: str
    tries: int = 2


CASES = {
    "limits of a tool": Case(chat(tools=[tool(LIST)]), ("limits",), PARAMETERS),
    "limits of the answer": Case(chat(response_format=FORMAT), ("limits",), "response_format.*"),
    "any": Case(chat(tools=[tool(LIST)], tool_choice="required"), ("any",), ".*tool_choice.*"),
    "named": Case(
        chat(tools=[tool({})], tool_choice={"type": "function", "function": {"name": "f"}}),
        ("any",),
        "tool_choice",
    ),
    "named, no grammar": Case(
        chat(tools=[tool({})], tool_choice={"type": "function", "function": {"name": "f"}}),
        ("any", "validated"),
        "tool_choice",
        3,
    ),
    "allowed": Case(
        chat(tools=[tool({})], tool_choice=ALLOWED), ("any", "validated"), "tool_choice"
    ),
    "strict": Case(chat(tools=[tool(LIST, strict=True)]), ("validated",), r".*tools\.strict.*"),
    "depth": Case(chat(tools=[tool(nested(9))]), ("depth",), PARAMETERS),
    "states": Case(chat(tools=[tool(LIST)]), ("states",), PARAMETERS),
    "effort": Case(chat(reasoning_effort="high"), ("not thinking",), "reasoning_effort"),
    "none": Case(
        chat(model="gemini-2.5-flash", reasoning_effort="none"),
        ("always thinking",),
        "reasoning_effort",
    ),
    "disable": Case(
        chat(model="gemini-2.5-flash", reasoning_effort="disable"),
        ("always thinking",),
        "reasoning_effort",
    ),
    "2.5": Case(chat(model="gemini-2.5-flash", messages=ANSWERED), ("signature",), ""),
    "2.0": Case(chat(model="gemini-2.0-flash-001", messages=ANSWERED), ("signature",), ""),
    "prefill": Case(
        chat(model="gemini-2.5-flash", messages=PREFILLED),
        ("model turn",),
        r"messages\[1\]\.prefill",
    ),
    "behind results": Case(
        chat(messages=[*ANSWERED, {"role": "user", "content": "and"}]),
        ("behind results",),
        r"messages\.order",
    ),
    "several": Case(
        chat(
            model="gemini-2.5-flash",
            messages=[*ANSWERED, {"role": "assistant", "content": "a"}],
            tools=[tool(nested(9))],
            tool_choice="required",
            reasoning_effort="none",
        ),
        ("signature", "model turn", "always thinking", "depth", "any"),
        ".*",
        6,
    ),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_refused_request_is_changed_and_answered(case: Case, form: Json) -> None:
    gemini = Gemini(*case.rules)

    response = await ask(
        gemini, {**case.body, **form}, headers=SDK, prepare=no_budget, SHOW_THOUGHTS="never"
    )

    assert response.status == 200, response.body
    if form.get("stream"):
        assert response.body.endswith(DONE)
    else:
        texts = [choice["message"]["content"] for choice in json.loads(response.body)["choices"]]
        assert texts == ["Hi"] * form.get("n", 1)
    assert re.fullmatch(case.named, response.headers.get("x-jarvis-ignored", ""))
    assert response.headers["x-jarvis-attempts"] == str(case.tries)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_refusal_behind_status_200_is_one(form: Json) -> None:
    case = CASES["several"]
    gemini = Gemini(*case.rules, status=200)

    response = await ask(gemini, {**case.body, **form}, prepare=no_budget)

    assert response.status == 200
    assert response.headers["x-jarvis-attempts"] == str(case.tries)
    assert response.body.count(b'"Hi"') == form.get("n", 1)


def as_response(body: Json) -> Json:
    """Return the same request for /v1/responses, as far as the cases go."""
    return {
        "model": body["model"],
        "input": "q",
        "tools": [{"type": "function", **item["function"]} for item in body.get("tools", [])],
        "tool_choice": body.get("tool_choice", "auto"),
        "reasoning": {"effort": body.get("reasoning_effort")},
    }


RESPONSES = {
    name: (CASES[name], named)
    for name, named in {
        "limits of a tool": r"tools\[0\]\.parameters",
        "any": ".*tool_choice.*",
        "depth": r"tools\[0\]\.parameters",
        "effort": r"reasoning\.effort",
        "none": r"reasoning\.effort",
    }.items()
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("case", "named"), RESPONSES.values(), ids=RESPONSES)
async def test_refused_response_is_changed_and_answered(
    case: Case, named: str, stream: bool
) -> None:
    body = {**as_response(case.body), "stream": stream}

    response = await ask(Gemini(*case.rules), body, "/v1/responses", SHOW_THOUGHTS="never")

    assert response.status == 200, response.body
    assert b'"Hi"' in response.body
    assert re.fullmatch(named, response.headers.get("x-jarvis-ignored", ""))


@pytest.mark.parametrize(
    ("body", "tries"),
    [
        pytest.param(chat(), 1, id="nothing to relax"),
        pytest.param(chat(tools=[tool(LIST)]), 2, id="limits"),
        pytest.param(chat(tools=[tool(LIST)], tool_choice="required"), 2, id="limits and any"),
    ],
)
async def test_bare_refusal_is_final_after_one_more_try(body: Json, tries: int) -> None:
    gemini = Gemini()
    gemini.rules = [Rule(lambda body: True, BARE)]

    response = await ask(gemini, body)

    assert response.status == 400
    assert response.error()["message"] == BARE
    assert len(gemini.bodies) == tries


@pytest.mark.parametrize("rule", ["not thinking", "thoughts"])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_only_the_proxy_asks_for_makes_no_call_fail(rule: str, stream: bool) -> None:
    gemini = Gemini(rule)

    response = await ask(gemini, chat(model="gemini-next", stream=stream), SHOW_THOUGHTS="always")

    assert response.status == 200
    assert ["generationConfig" in body for body in gemini.bodies] == [True, False]
    assert "x-jarvis-ignored" not in response.headers


async def test_thoughts_for_a_client_that_counts_events_make_no_call_fail() -> None:
    gemini = Gemini("not thinking")

    response = await ask(gemini, chat(model="gemini-next", stream=True), headers=SDK)

    assert response.status == 200
    assert len(gemini.bodies) == 2


async def test_model_turn_is_followed_by_a_turn_of_the_users() -> None:
    gemini = Gemini("model turn")

    await ask(gemini, CASES["prefill"].body)

    assert gemini.bodies[-1]["contents"][-1] == {"role": "user", "parts": [{"text": "Continue."}]}


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.0-flash-001"])
async def test_placeholder_is_sent_to_models_of_any_family(model: str) -> None:
    gemini = Gemini("signature")

    response = await ask(gemini, chat(model=model, messages=ANSWERED))

    assert response.status == 200
    assert [signatures(body) for body in gemini.bodies] == [[None], [PLACEHOLDER]]


async def test_strict_parameters_leave_the_refusal() -> None:
    gemini = Gemini("model turn")

    response = await ask(gemini, CASES["prefill"].body, STRICT_PARAMS="true")

    assert (response.status, len(gemini.bodies)) == (400, 1)
    assert "model turn" in str(response.error()["message"])


class Hesitant(Gemini):
    """Refuses, or answers with nothing, only after *may_answer* is set."""

    def __init__(self, *rules: str) -> None:
        super().__init__(*rules)
        self.may_answer = asyncio.Event()

    async def __call__(self, peer: Peer, request: Received) -> None:
        await self.may_answer.wait()
        if not self.rules and not self.bodies:
            self.bodies.append({})
            await answer(peer, request, None, "STOP")
        else:
            await super().__call__(peer, request)


@pytest.mark.parametrize("rule", [("model turn",), ()], ids=["refused", "empty"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
async def test_stream_whose_head_is_out_is_asked_for_again(
    rule: tuple[str, ...], path: str
) -> None:
    gemini = Hesitant(*rule)
    body = CASES["prefill"].body | {"stream": True}
    body["input"] = body["messages"]
    upstream = RawUpstream(gemini, base_path="/v1beta")
    async with (
        upstream.running(),
        running_proxy(gemini=upstream.base_url, COMMIT_AFTER="0.1") as proxy,
        connect(proxy.port) as client,
    ):
        await client.post(path, json.dumps(body).encode(), BEARER)
        status, _ = await client.head()
        gemini.may_answer.set()
        events = b""
        while chunk := await client.chunk():
            events += chunk

    assert (status, len(gemini.bodies)) == (200, 2)
    assert b'"Hi"' in events
    assert b"error" not in events.replace(b'"error":null', b"")
