"""The official SDK for Python has the last word: plain, streamed, with tools, and failing."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.conftest import KEY, Proxy, running_proxy
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.sdk_upstreams import BROKEN, SIGNATURE, TEXT, FakeGemini, FakeOpenAI

pytestmark = pytest.mark.slow

Json = dict[str, Any]
T = TypeVar("T")

MODELS = ["gpt-4o", "gemini-3.5-flash", "deepseek/deepseek-chat"]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


class Scene:
    """A proxy with both upstreams behind it, and both clients in front."""

    def __init__(self, proxy: Proxy, openai: FakeOpenAI, gemini: FakeGemini) -> None:
        self.proxy = proxy
        self.openai = openai
        self.gemini = gemini
        options: Any = {"base_url": f"{proxy.url}/v1", "api_key": KEY, "max_retries": 0}
        self.sync = OpenAI(**options)
        self.client = AsyncOpenAI(**options)

    def conversations(self, model: str) -> list[Json]:
        return (self.gemini if model.startswith("gemini") else self.openai).conversations


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    openai, gemini = FakeOpenAI(), FakeGemini()
    async with (
        openai.upstream.running(),
        gemini.upstream.running(),
        running_proxy(
            openai.upstream.base_url,
            gemini.upstream.base_url,
            UPSTREAMS="deepseek",
            DEEPSEEK_BASE_URL=openai.upstream.base_url,
            DEEPSEEK_API_KEY="sk-deepseek-canary-0123456789",
            DEEPSEEK_MODELS="deepseek-chat",
        ) as proxy,
    ):
        scene = Scene(proxy, openai, gemini)
        yield scene
        await scene.client.close()
        scene.sync.close()


async def in_thread(work: Callable[[], T]) -> T:
    """Run what blocks in a thread: the proxy needs the event loop."""
    return await asyncio.wait_for(asyncio.to_thread(work), 20)


def asking(text: str = "How is the weather?") -> Any:
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]


# Plain and streamed


@pytest.mark.parametrize("model", MODELS)
async def test_plain_answer(scene: Scene, model: str) -> None:
    awaited = await scene.client.chat.completions.create(model=model, messages=asking())
    blocking = await in_thread(
        lambda: scene.sync.chat.completions.create(model=model, messages=asking())
    )

    for answer in (awaited, blocking):
        assert answer.choices[0].message.content == TEXT
        assert answer.choices[0].finish_reason == "stop"
        assert answer.object == "chat.completion"
        assert answer.usage is not None
        assert answer.usage.total_tokens > 0


@pytest.mark.parametrize("model", MODELS)
async def test_streamed_answer(scene: Scene, model: str) -> None:
    stream = await scene.client.chat.completions.create(model=model, messages=asking(), stream=True)
    awaited = [chunk async for chunk in stream]

    def block() -> list[Any]:
        return list(scene.sync.chat.completions.create(model=model, messages=asking(), stream=True))

    for chunks in (awaited, await in_thread(block)):
        assert "".join(c.choices[0].delta.content or "" for c in chunks) == TEXT
        assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == [
            "stop"
        ]
        assert len({c.id for c in chunks}) == 1
        assert len(chunks) > 2


async def test_streaming_helper_gathers_a_translated_answer(scene: Scene) -> None:
    async with scene.client.chat.completions.stream(
        model="gemini-3.5-flash",
        messages=asking(),
        stream_options={"include_usage": True},
    ) as stream:
        answer = await stream.get_final_completion()

    assert answer.choices[0].message.content == TEXT
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (71, 105)
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 93


async def test_built_in_model_needs_no_upstream() -> None:
    async with running_proxy(OPENAI_API_KEY="", GEMINI_API_KEY="") as proxy:
        client = AsyncOpenAI(base_url=proxy.url, api_key=KEY, max_retries=0)
        message: Any = [{"role": "user", "content": "Hello there, proxy"}]
        plain = await client.chat.completions.create(model="jarvis-echo", messages=message)
        stream = await client.chat.completions.create(
            model="jarvis-echo",
            messages=message,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        await client.close()

    assert plain.choices[0].message.content == "Hello there, proxy"
    assert plain.usage is not None
    assert plain.usage.completion_tokens == 3
    text = [c.choices[0].delta.content for c in chunks if c.choices]
    assert "".join(piece or "" for piece in text) == "Hello there, proxy"
    assert chunks[-1].usage is not None


# Tools


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("streamed", [False, True])
async def test_tools_over_two_turns(scene: Scene, model: str, *, streamed: bool) -> None:
    messages = asking()
    message = await in_thread(lambda: _ask(scene.sync, model, messages, streamed=streamed))
    calls = message["tool_calls"]
    assert [json.loads(call["function"]["arguments"])["city"] for call in calls] == (
        ["Boston", "New Delhi"] if model.startswith("gemini") else ["Boston"]
    )
    # Rebuilt from what every framework keeps: id, type and function.
    kept = [{name: call[name] for name in ("id", "type", "function")} for call in calls]
    messages.append({"role": "assistant", "content": None, "tool_calls": kept})
    for call in kept:
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": "sunny"})
    final = await in_thread(lambda: _ask(scene.sync, model, messages, streamed=streamed))

    assert final["content"] == TEXT
    second = scene.conversations(model)[1]
    if not model.startswith("gemini"):
        assert second["messages"] == messages
    else:
        _assert_calls_came_back(second)


def _ask(client: OpenAI, model: str, messages: Any, *, streamed: bool) -> Json:
    if not streamed:
        answer = client.chat.completions.create(model=model, messages=messages, tools=TOOLS)
        return answer.choices[0].message.model_dump()
    with client.chat.completions.stream(model=model, messages=messages, tools=TOOLS) as stream:
        return stream.get_final_completion().choices[0].message.model_dump()


def _assert_calls_came_back(conversation: Json) -> None:
    """Assert that Gemini sees its own ids and signature again, on the first call only."""
    calls, results = conversation["contents"][-2:]
    assert [part["functionCall"]["id"] for part in calls["parts"]] == ["dv8szvqe", "j80tal12"]
    assert [part.get("thoughtSignature") for part in calls["parts"]] == [SIGNATURE, None]
    assert [part["functionResponse"]["id"] for part in results["parts"]] == [
        "dv8szvqe",
        "j80tal12",
    ]


async def test_signature_is_where_google_puts_it(scene: Scene) -> None:
    answer = await scene.client.chat.completions.create(
        model="gemini-3.5-flash", messages=asking(), tools=TOOLS
    )

    calls: Any = answer.choices[0].message.tool_calls
    extra = [call.model_dump().get("extra_content") for call in calls]
    assert extra == [{"google": {"thought_signature": SIGNATURE}}, None]
    assert answer.choices[0].finish_reason == "tool_calls"


# Failures


@pytest.mark.parametrize("model", MODELS)
async def test_stream_that_breaks_off_raises_with_the_proxys_code(scene: Scene, model: str) -> None:
    text = ""
    with pytest.raises(openai.APIError) as caught:  # noqa: PT012 - where in the stream is the point
        async for chunk in await scene.client.chat.completions.create(
            model=model, messages=asking(BROKEN), stream=True
        ):
            text += chunk.choices[0].delta.content or ""

    assert caught.value.code == "upstream_truncated"
    assert text in ("Hel", "Boston: 21 °C, ")


@pytest.mark.parametrize("model", MODELS)
async def test_blocking_stream_that_breaks_off_raises_with_the_proxys_code(
    scene: Scene, model: str
) -> None:
    def read() -> None:
        with scene.sync.chat.completions.create(
            model=model, messages=asking(BROKEN), stream=True
        ) as stream:
            for _ in stream:
                pass

    with pytest.raises(openai.APIError) as caught:
        await in_thread(read)

    assert caught.value.code == "upstream_truncated"


async def test_wrong_key_is_an_authentication_error_and_is_not_tried_again(scene: Scene) -> None:
    wrong = scene.client.with_options(api_key="wrong", max_retries=2)
    with pytest.raises(openai.AuthenticationError) as caught:
        await wrong.chat.completions.create(model="gpt-4o", messages=asking())

    assert caught.value.code == "invalid_api_key"
    assert caught.value.request_id is not None
    assert scene.proxy.logged().count(" call ") == 1


@pytest.mark.parametrize(
    ("model", "error", "code"),
    [
        ("x" * 300, openai.NotFoundError, "model_not_found"),
        (5, openai.BadRequestError, "invalid_type"),
    ],
)
async def test_our_refusals_have_their_classes(
    scene: Scene, model: Any, error: type[openai.APIStatusError], code: str
) -> None:
    with pytest.raises(error) as caught:
        await scene.client.chat.completions.create(model=model, messages=asking())

    assert caught.value.code == code
    assert caught.value.param == "model"


async def test_wrong_address_is_not_found(scene: Scene) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await scene.client.with_options(base_url=f"{scene.proxy.url}/v2").models.list()

    assert caught.value.code == "unknown_url"


@pytest.mark.parametrize(
    ("status", "error", "asked"),
    [
        (400, openai.BadRequestError, 1),
        (403, openai.PermissionDeniedError, 1),
        (404, openai.NotFoundError, 1),
        (422, openai.UnprocessableEntityError, 1),
        (429, openai.RateLimitError, 2),
        (500, openai.InternalServerError, 2),
    ],
)
async def test_upstreams_errors_have_their_classes_and_are_tried_again_by_the_sdk_only(
    status: int, error: type[openai.APIStatusError], asked: int
) -> None:
    body = b'{"error":{"message":"because","type":"t","param":"p","code":"its_code"}}'

    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(body, status, extra=["retry-after-ms: 1", "x-request-id: req_up"])

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        client = AsyncOpenAI(base_url=proxy.url, api_key=KEY, max_retries=1)
        with pytest.raises(error) as caught:
            await client.chat.completions.create(model="gpt-4o", messages=asking())
        await client.close()

    assert (caught.value.code, caught.value.param) == ("its_code", "p")
    assert caught.value.request_id == "req_up"
    assert len(upstream.received) == asked


async def test_upstream_that_is_down_is_a_server_error(unused_tcp_port: int) -> None:
    async with running_proxy(f"http://127.0.0.1:{unused_tcp_port}/v1") as proxy:
        client = AsyncOpenAI(base_url=proxy.url, api_key=KEY, max_retries=0)
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model="gpt-4o", messages=asking())
        await client.close()

    assert (caught.value.status_code, caught.value.code) == (502, "upstream_connect_error")


async def test_heartbeats_do_not_disturb(scene: Scene) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await asyncio.sleep(0.4)
        await scene.openai.play(peer, request)

    upstream = RawUpstream(play)
    env = {"COMMIT_AFTER": "0.1", "HEARTBEAT_INTERVAL": "0.1"}
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        client = AsyncOpenAI(base_url=proxy.url, api_key=KEY, max_retries=0)
        stream = await client.chat.completions.create(
            model="gpt-4o",
            messages=asking(),
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        await client.close()

    text = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(text) == TEXT


# Other addresses


async def test_models_are_listed(scene: Scene) -> None:
    names = {model.id async for model in scene.client.models.list()}
    one = await scene.client.models.retrieve("gemini-3-flash")

    assert {"gpt-4o", "gemini-3-flash", "jarvis-echo"} <= names
    assert one.id == "gemini-3-flash"


async def test_file_goes_up_and_speech_comes_down() -> None:
    async def play(peer: Peer, request: Received) -> None:
        if request.path.endswith("/speech"):
            await peer.reply(b"\xff\xfb" * 5000, 200, "audio/mpeg")
        else:
            assert b"RIFF" in request.body
            await peer.reply(b'{"text":"hello"}')

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        client = AsyncOpenAI(base_url=proxy.url, api_key=KEY, max_retries=0)
        heard = await client.audio.transcriptions.create(
            model="whisper-1", file=("a.wav", io.BytesIO(b"RIFF" + bytes(50_000)))
        )
        spoken = await client.audio.speech.create(model="tts-1", voice="alloy", input="hi")
        await client.close()

    assert heard.text == "hello"
    assert spoken.content == b"\xff\xfb" * 5000


async def test_responses_are_streamed_as_they_come() -> None:
    created: Json = {"type": "response.created", "sequence_number": 0, "response": {"id": "r"}}
    done: Json = {"type": "response.completed", "sequence_number": 1, "response": {"id": "r"}}

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        events = [created] if BROKEN in request.body.decode() else [created, done]
        for event in events:
            name = event["type"].encode()
            await peer.chunk(b"event: " + name + b"\ndata: " + json.dumps(event).encode() + b"\n\n")
        await peer.last_chunk()

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        client = AsyncOpenAI(base_url=proxy.url, api_key=KEY, max_retries=0)
        stream = await client.responses.create(model="gpt-4o", input="hi", stream=True)
        seen = [event.type async for event in stream]
        broken = await client.responses.create(model="gpt-4o", input=BROKEN, stream=True)
        with pytest.raises(openai.APIError) as caught:
            _ = [event async for event in broken]
        await client.close()

    assert seen == ["response.created", "response.completed"]
    assert caught.value.code == "upstream_truncated"
