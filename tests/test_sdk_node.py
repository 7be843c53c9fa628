"""The official SDK for Node has a word too: its streams end, and fail, in ways of their own."""

import asyncio
import gzip
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import KEY, Proxy, running_proxy
from tests.faults.node import Missing, home
from tests.support.chat_service import MODEL, proxy_before
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion
from tests.support.sdk_upstreams import SIGNATURE, TEXT, FakeGemini, FakeOpenAI
from tests.support.strict_chat import ANSWER, StrictChat
from tests.support.strict_gemini import StrictGemini
from tests.test_tool_loops import FAMILIES

pytestmark = pytest.mark.node

Json = dict[str, Any]

NODE = Path(__file__).resolve().parent / "node"
MODELS = ["gpt-4o", "gemini-3.5-flash"]


@pytest.fixture(scope="session")
def installed() -> Path:
    """Return a folder with the SDKs in it: the one next to the script, or a fresh one."""
    try:
        return home()
    except Missing as exc:
        pytest.skip(str(exc))


class Node:
    """Runs scenarios of sdk.mjs against a proxy."""

    def __init__(self, folder: Path, proxy: Proxy) -> None:
        self._folder = folder
        self._proxy = proxy

    async def run(self, scenario: str, model: str, key: str = KEY, path: str = "/v1") -> Json:
        process = await asyncio.create_subprocess_exec(
            "node",
            str(NODE / "sdk.mjs"),
            f"{self._proxy.url}{path}",
            key,
            scenario,
            model,
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0, err.decode()
        outcome = json.loads(out)
        assert isinstance(outcome, dict)
        return outcome


class Scene:
    """A proxy with both upstreams behind it, and Node in front."""

    def __init__(self, node: Node, openai: FakeOpenAI, gemini: FakeGemini) -> None:
        self.node = node
        self.openai = openai
        self.gemini = gemini


@pytest.fixture
async def scene(installed: Path) -> AsyncIterator[Scene]:
    openai, gemini = FakeOpenAI(), FakeGemini()
    async with (
        openai.upstream.running(),
        gemini.upstream.running(),
        running_proxy(openai.upstream.base_url, gemini.upstream.base_url) as proxy,
    ):
        yield Scene(Node(installed, proxy), openai, gemini)


async def test_plain_and_streamed_answers(scene: Scene) -> None:
    scenarios = [(name, model) for name in ("plain", "streamed") for model in MODELS]
    outcomes = await asyncio.gather(*(scene.node.run(*one) for one in scenarios))

    assert outcomes == [
        {"text": TEXT, "finish": "stop"},
        {"text": TEXT, "finish": "stop"},
        {"text": TEXT, "finish": ["stop"]},
        {"text": TEXT, "finish": ["stop"]},
    ]


async def _odd(peer: Peer, request: Received) -> None:
    """Answer as each model is scripted, whatever the request says."""
    good = chat_chunk("Hi") + chat_chunk(None, "stop")
    match json.loads(request.body)["model"]:
        case "gpt-whole":
            await peer.reply(completion("Hi"))
        case "gpt-error":
            await peer.reply(b'{"error":{"message":"Busy.","code":503}}')
        case "gpt-packed":
            packed = gzip.compress(good + b"data: [DONE]\n\n")
            await peer.reply(packed, 200, "text/html", ["Content-Encoding: gzip"])
        case "gpt-junk":
            await peer.head()
            await peer.chunk(good + b"data: junk\n\n")
            peer.reset()
        case _:
            await peer.reply(b"Slow down.", 429, "text/plain", ["Retry-After: 7200"])


async def test_answers_that_are_not_what_was_asked_for(installed: Path) -> None:
    """``retries`` would not end if the SDK slept for as long as the last one asks to wait."""
    upstream = RawUpstream(_odd)
    runs = [("streamed", f"gpt-{name}") for name in ("whole", "packed", "junk")]
    runs += [("refused", "gpt-error"), ("retries", "gpt-slow")]
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        node = Node(installed, proxy)
        *good, error, slow = await asyncio.gather(*(node.run(*run) for run in runs))

    assert good == [{"text": "Hi", "finish": ["stop"]}] * 3
    assert (error["error"], error["status"]) == ("InternalServerError", 503)
    assert (slow["error"], slow["status"]) == ("RateLimitError", 429)


async def test_built_in_model(scene: Scene) -> None:
    outcome = await scene.node.run("streamed", "jarvis-echo", path="")

    assert outcome == {"text": "How is the weather?", "finish": ["stop"]}


async def test_tools_over_two_turns(scene: Scene) -> None:
    openai, gemini = await asyncio.gather(*(scene.node.run("tools", m) for m in MODELS))

    assert openai == {"arguments": ['{"city":"Boston"}'], "text": TEXT}
    assert [json.loads(one)["city"] for one in gemini["arguments"]] == ["Boston", "New Delhi"]
    assert gemini["text"] == TEXT
    calls, results = scene.gemini.conversations[1]["contents"][-2:]
    assert [part.get("thoughtSignature") for part in calls["parts"]] == [SIGNATURE, None]
    assert [part["functionResponse"]["id"] for part in results["parts"]] == [
        "dv8szvqe",
        "j80tal12",
    ]


async def test_stream_that_breaks_off_raises_with_the_proxys_code(scene: Scene) -> None:
    outcomes = await asyncio.gather(*(scene.node.run("broken", model) for model in MODELS))

    assert outcomes == [
        {
            "text": text,
            "error": "APIError",
            "isAPIError": True,
            "status": None,
            "code": "upstream_truncated",
        }
        for text in ("Hel", "Boston: 21 °C, ")
    ]


async def test_three_steps_of_tools_pass_a_strict_gemini_on_every_family(installed: Path) -> None:
    gemini = StrictGemini()
    upstream = gemini.running()
    async with upstream.running(), running_proxy(gemini=upstream.base_url) as proxy:
        outcome = await Node(installed, proxy).run("loops", ",".join(FAMILIES))

    assert gemini.refusals == []
    assert outcome == {family: [[2, 1]] * 3 for family in FAMILIES}


async def test_a_response_is_streamed_with_tools_and_fails_with_the_proxys_code(
    scene: Scene,
) -> None:
    # One after the other: the last conversation is the one that is looked at.
    broken = await scene.node.run("brokenResponse", MODELS[1])
    outcome = await scene.node.run("responses", MODELS[1])

    assert (outcome["text"], outcome["turn"]) == (TEXT, 1)
    assert {"response.function_call_arguments.done", "response.output_text.delta"} <= set(
        outcome["kinds"]
    )
    calls = scene.gemini.conversations[-1]["contents"][-2:]
    assert [part.get("thoughtSignature") for part in calls[0]["parts"]] == [SIGNATURE, None]
    assert broken["last"] == "response.output_text.delta"
    assert (broken["isAPIError"], broken["code"]) == (True, "upstream_truncated")


async def test_a_response_is_streamed_from_a_service_that_has_chat_only(installed: Path) -> None:
    service = StrictChat([[("get_weather", {"city": "Köln"}), ("get_weather", {"city": "Oslo"})]])
    async with proxy_before(service) as proxy:
        outcome = await Node(installed, proxy).run("responses", MODEL)

    assert (outcome["text"], outcome["turn"]) == (ANSWER, 1)
    assert {"response.function_call_arguments.done", "response.completed"} <= set(outcome["kinds"])
    results = [m["content"] for m in service.bodies[-1]["messages"] if m["role"] == "tool"]
    assert results == ["sunny", "sunny"]


SLOW_ITEM: Json = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
}
SLOW_PLACE = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
SLOW_EVENTS: list[tuple[str, Json]] = [
    ("response.created", {"response": {"id": "resp_1", "status": "in_progress", "output": []}}),
    ("response.output_item.added", {"output_index": 0, "item": {**SLOW_ITEM, "content": []}}),
    (
        "response.content_part.added",
        {**SLOW_PLACE, "part": {"type": "output_text", "text": "", "annotations": []}},
    ),
    ("response.output_text.delta", {**SLOW_PLACE, "delta": "Hel"}),
    ("response.output_text.delta", {**SLOW_PLACE, "delta": "lo"}),
    ("response.output_item.done", {"output_index": 0, "item": SLOW_ITEM}),
    (
        "response.completed",
        {"response": {"id": "resp_1", "status": "completed", "output": [SLOW_ITEM]}},
    ),
]


async def _slow(peer: Peer, request: Received) -> None:
    """Pause before the answer and within it: two pieces of text, as a response or as chunks."""
    if request.path.endswith("/responses"):
        events = [
            f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': n, **rest})}\n\n"
            for n, (kind, rest) in enumerate(SLOW_EVENTS)
        ]
        halves = ["".join(events[:4]).encode(), "".join(events[4:]).encode()]
    else:
        halves = [chat_chunk("Hel"), chat_chunk("lo", "stop") + b"data: [DONE]\n\n"]
    await peer.head()
    for half in halves:
        await asyncio.sleep(0.7)
        await peer.chunk(half)
    await peer.last_chunk()


@pytest.mark.parametrize("model", ["gpt-4o", "slow-1"], ids=["relayed", "translated"])
async def test_signs_of_life_within_a_response_leave_it_whole(installed: Path, model: str) -> None:
    upstream = RawUpstream(_slow)
    env: Any = {"UPSTREAMS": "slow", "SLOW_MODELS": "slow-*", "SLOW_API_KEY": "none"}
    fast: Any = {"COMMIT_AFTER": "0.2", "HEARTBEAT_INTERVAL": "0.2", "SLOW_APIS": "chat"}
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, SLOW_BASE_URL=upstream.base_url, **env, **fast) as proxy,
    ):
        outcome = await Node(installed, proxy).run("responses", model)

    assert outcome["text"] == "Hello"
    assert {"response.in_progress", "keepalive"} <= set(outcome["kinds"])


async def test_refusals_have_their_classes(scene: Scene) -> None:
    wrong, missing = await asyncio.gather(
        scene.node.run("refused", "gpt-4o", key="wrong"),
        scene.node.run("refused", "gpt-4o", path="/v2"),
    )

    assert (wrong["error"], wrong["status"], wrong["code"]) == (
        "AuthenticationError",
        401,
        "invalid_api_key",
    )
    assert (missing["error"], missing["code"]) == ("NotFoundError", "unknown_url")


async def test_wait_of_hours_ends_at_once(installed: Path) -> None:
    """The SDK would sleep for as long as a header asks, without a word."""

    async def play(peer: Peer, request: Received) -> None:
        body = b'{"error":{"message":"quota","type":"tokens","code":"insufficient_quota"}}'
        await peer.reply(body, 429, extra=["Retry-After: 7200"])

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        outcome = await Node(installed, proxy).run("retries", "gpt-4o")

    assert (outcome["error"], outcome["code"]) == ("RateLimitError", "insufficient_quota")
    assert len([seen for seen in upstream.received if seen.method == "POST"]) == 1


async def test_models_are_listed(scene: Scene) -> None:
    outcome = await scene.node.run("models", "-")

    assert {"gpt-4o", "gemini-3-flash", "jarvis-echo"} <= set(outcome["ids"])
