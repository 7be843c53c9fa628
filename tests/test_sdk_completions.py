"""The official SDK on /v1/completions, which Gemini and Claude answer as a chat of one turn."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.conftest import KEY, Proxy, running_proxy
from tests.support.google_media import GoogleMedia, frame
from tests.support.messages_service import MODEL as CLAUDE
from tests.support.messages_service import message, proxy_before
from tests.support.raw_upstream import Peer, Received

pytestmark = pytest.mark.slow

Json = dict[str, Any]
MODEL = "gemini-2.5-flash"


class Scene:
    """A proxy with Gemini behind it, and the SDK in front."""

    def __init__(self, proxy: Proxy, google: GoogleMedia) -> None:
        self.proxy = proxy
        self.google = google
        self.client = AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=KEY, max_retries=0)
        self.create: Any = self.client.completions.create


@contextlib.asynccontextmanager
async def a_scene(**env: str) -> AsyncIterator[Scene]:
    google = GoogleMedia(
        frame([{"text": "in a "}], responseId="abc"),
        frame([{"text": "land."}], "STOP", responseId="abc"),
    )
    async with (
        google.upstream.running(),
        running_proxy(gemini=google.upstream.base_url, **env) as proxy,
    ):
        scene = Scene(proxy, google)
        yield scene
        await scene.client.close()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with a_scene() as scene:
        yield scene


def whole(scene: Scene, text: str = "in a land.", finish: str = "STOP") -> None:
    """Have Gemini give all of the text in one answer."""
    scene.google.frames = [frame([{"text": text}], finish, responseId="abc")]


async def test_a_completion_and_what_google_is_asked(scene: Scene) -> None:
    whole(scene)
    said = await scene.client.completions.create(
        model=MODEL, prompt=["Once,"], max_tokens=9, temperature=0.5, stop="!", seed=7, user="me"
    )

    (choice,) = said.choices
    assert (choice.text, choice.finish_reason, choice.index) == ("in a land.", "stop", 0)
    assert (said.id, said.object, said.model) == ("cmpl-abc", "text_completion", MODEL)
    assert said.usage is not None
    assert (said.usage.prompt_tokens, said.usage.completion_tokens) == (11, 111)
    (sent,) = scene.google.sent
    assert sent == {
        "contents": [{"role": "user", "parts": [{"text": "Once,"}]}],
        "generationConfig": {
            "temperature": 0.5,
            "maxOutputTokens": 9,
            "stopSequences": ["!"],
            "seed": 7,
        },
    }
    (line,) = [line for line in scene.proxy.logged().splitlines() if "/v1/completions" in line]
    assert "prompt_tokens=11 completion_tokens=111" in line


async def test_a_stream(scene: Scene) -> None:
    stream = await scene.create(
        model=MODEL, prompt="Once,", stream=True, stream_options={"include_usage": True}
    )
    *chunks, usage = [chunk async for chunk in stream]

    assert [chunk.choices[0].text for chunk in chunks] == ["in a ", "land.", ""]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, "stop"]
    assert {chunk.id for chunk in chunks} == {"cmpl-abc"}
    assert (usage.choices, usage.usage.total_tokens) == ([], 122)


@pytest.mark.parametrize("stream", [True, False])
async def test_an_echo_stands_before_the_answer(scene: Scene, stream: bool) -> None:
    whole(scene)

    assert await text_of(scene, stream=stream, echo=True) == "Once, in a land."


async def text_of(scene: Scene, *, stream: bool, **asked: object) -> str:
    answer = await scene.create(model=MODEL, prompt="Once, ", stream=stream, **asked)
    answers = [chunk async for chunk in answer] if stream else [answer]
    return "".join(one.choices[0].text for one in answers if one.choices)


async def test_several_choices(scene: Scene) -> None:
    whole(scene)
    said = await scene.create(model=MODEL, prompt="Once,", n=2)

    assert [choice.index for choice in said.choices] == [0, 1]
    assert said.usage.total_tokens == 244


@pytest.mark.parametrize(
    ("finish", "reason"), [("MAX_TOKENS", "length"), ("SAFETY", "content_filter")]
)
async def test_reasons(scene: Scene, finish: str, reason: str) -> None:
    whole(scene, finish=finish)

    said = await scene.create(model=MODEL, prompt="Once,")
    assert said.choices[0].finish_reason == reason


async def test_what_a_chat_has_not_is_named(scene: Scene) -> None:
    whole(scene)
    raw = await scene.client.completions.with_raw_response.create(
        model=MODEL, prompt="Once,", logprobs=2, best_of=3, logit_bias={"50256": -100}
    )

    assert raw.headers["x-jarvis-ignored"] == "logprobs, best_of, logit_bias"


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [{}]}, "prompt"),
        ({"suffix": "The end."}, "suffix"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"echo": "yes"}, "echo"),
        ({"model": "gemini-2.5-flash-preview-tts"}, "model"),
    ],
)
async def test_a_wrong_request_is_a_400_that_names_the_param(
    scene: Scene, asked: Json, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await scene.create(**{"model": MODEL, "prompt": "Once,", **asked})

    assert refused.value.param == param
    assert scene.google.sent == []


async def test_googles_refusal_is_openais_error(scene: Scene) -> None:
    scene.google.error = (429, {"code": 429, "message": "Slow.", "status": "RESOURCE_EXHAUSTED"})

    with pytest.raises(openai.RateLimitError):
        await scene.create(model=MODEL, prompt="Once,")


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_breaks_off_is_an_error(scene: Scene, stream: bool) -> None:
    scene.google.cut = True

    with pytest.raises(openai.APIError):
        await text_of(scene, stream=stream)


async def test_what_is_said_is_in_no_log(scene: Scene) -> None:
    whole(scene, "canaryanswer")
    await scene.create(model=MODEL, prompt="canaryprompt")

    logged = scene.proxy.logged()
    assert "/v1/completions" in logged
    assert "canary" not in logged


async def test_claude_goes_on_too() -> None:
    async def script(peer: Peer, request: Received) -> None:
        await peer.reply(message({"type": "text", "text": " in a land."}))

    async with proxy_before(script) as (proxy, service):
        client = AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=KEY, max_retries=0)
        async with client:
            said = await client.completions.create(model=CLAUDE, prompt="Once,", max_tokens=9)

    assert said.choices[0].text == " in a land."
    assert json.loads(service.received[0].body)["max_tokens"] == 9
