"""Anthropic's and Google's official SDKs for Node, over each kind of upstream, at the socket."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import KEY, Proxy, running_proxy
from tests.faults.node import Missing, home
from tests.support.sdk_upstreams import SIGNATURE, TEXT, FakeAnthropic, FakeGemini, FakeOpenAI

pytestmark = pytest.mark.node

Json = dict[str, Any]
Outcomes = dict[str, list[Json]]
SCRIPT = Path(__file__).resolve().parent / "node" / "apis.mjs"
CHAT, CLAUDE, GEMINI = "gpt-4o", "claude-sonnet-5", "gemini-3.5-flash"
SAID = {CHAT: "Hel", CLAUDE: TEXT, GEMINI: "Boston: 21 °C, "}
"""What comes before each upstream breaks off."""
CITIES = {CHAT: ["Boston"], CLAUDE: ["Boston"], GEMINI: ["Boston", "New Delhi"]}


class Scene:
    """A proxy before three kinds of upstream."""

    def __init__(
        self, proxy: Proxy, openai: FakeOpenAI, gemini: FakeGemini, claude: FakeAnthropic
    ) -> None:
        self._proxy = proxy
        self.openai = openai
        self.gemini = gemini
        self.claude = claude

    async def play(self, sdk: str, models: list[str], key: str = KEY) -> Outcomes:
        """Return what an SDK saw in each scenario, by model in the order given."""
        process = await asyncio.create_subprocess_exec(
            *("node", str(SCRIPT), self._proxy.url, key, sdk, ",".join(models)),
            cwd=home(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 40)
        assert process.returncode == 0, err.decode()
        outcomes: Outcomes = json.loads(out)
        return outcomes


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    try:
        home()
    except Missing as exc:
        pytest.skip(str(exc))
    openai, gemini, claude = FakeOpenAI(), FakeGemini(), FakeAnthropic()
    async with (
        openai.upstream.running(),
        gemini.upstream.running(),
        claude.upstream.running(),
        running_proxy(
            openai.upstream.base_url,
            gemini.upstream.base_url,
            ANTHROPIC_BASE_URL=claude.upstream.base_url,
            ANTHROPIC_API_KEY="sk-ant-canary-0123456789",
        ) as proxy,
    ):
        yield Scene(proxy, openai, gemini, claude)


async def test_anthropics_sdk_on_claude_on_a_chat_service_and_on_gemini(scene: Scene) -> None:
    models = [CLAUDE, CHAT, GEMINI]
    seen = await scene.play("anthropic", models)

    assert seen["whole"] == seen["streamed"] == [{"text": TEXT, "finish": "end_turn"}] * 3
    assert seen["tools"] == [{"cities": CITIES[model], "text": TEXT} for model in models]
    cut = {"error": "APIError", "isAPIError": True, "status": None, "type": "api_error"}
    assert seen["broken"] == [{"text": SAID[model], **cut} for model in models]
    refused = {"error": "RateLimitError", "status": 429, "type": "rate_limit_error"}
    assert seen["refused"] == [{"text": "", "isAPIError": True, **refused}] * 3
    _check_history(scene)


async def test_googles_sdk_on_gemini_on_a_chat_service_and_on_claude(scene: Scene) -> None:
    models = [GEMINI, CHAT, CLAUDE]
    seen = await scene.play("google", models)

    assert seen["whole"] == seen["streamed"] == [{"text": TEXT, "finish": "STOP"}] * 3
    assert seen["tools"] == [{"cities": CITIES[model], "text": TEXT} for model in models]
    assert [one["text"] for one in seen["broken"]] == [SAID[model] for model in models]
    # On a loaded machine it reads the last frame and the error at once, and says less.
    assert {one["error"] for one in seen["broken"]} <= {"ApiError", "Error"}
    named = [one for one in seen["broken"] if one["isAPIError"]]
    assert all((one["status"], one["type"]) == (502, "UNAVAILABLE") for one in named)
    refused = {"error": "ApiError", "status": 429, "type": "RESOURCE_EXHAUSTED"}
    assert seen["refused"] == [{"text": "", "isAPIError": True, **refused}] * 3
    _check_history(scene)


def _check_history(scene: Scene) -> None:
    """Check that ids and signatures came back to the upstream that gave them."""
    gemini, chat, claude = (
        next(body for body in fake.conversations if "sunny" in json.dumps(body))
        for fake in (scene.gemini, scene.openai, scene.claude)
    )
    parts = [part for content in gemini["contents"] for part in content["parts"]]
    signed = [part.get("thoughtSignature") for part in parts if "functionCall" in part]
    results = [part["functionResponse"]["id"] for part in parts if "functionResponse" in part]
    assert signed == [SIGNATURE, None]
    assert results == ["dv8szvqe", "j80tal12"]
    assert chat["messages"][-1]["tool_call_id"] == "call_1"
    assert claude["messages"][-1]["content"][0]["tool_use_id"] == "toolu_1"


@pytest.mark.parametrize(
    ("sdk", "error", "kind"),
    [
        ("anthropic", "AuthenticationError", "authentication_error"),
        ("google", "ApiError", "UNAUTHENTICATED"),
    ],
)
async def test_a_wrong_key_has_its_class(scene: Scene, sdk: str, error: str, kind: str) -> None:
    seen = await scene.play(sdk, [CHAT], key="wrong-key-0123456789")

    (refused,) = seen["refused"]
    assert (refused["error"], refused["status"], refused["type"]) == (error, 401, kind)
    assert scene.openai.conversations == []
