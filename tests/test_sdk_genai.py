"""Google's own SDK has the last word: on Gemini, and on a chat service."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest
from google import genai
from google.genai import errors, types

from tests.conftest import KEY, Proxy, running_proxy
from tests.support.eventually import eventually
from tests.support.google_frames import events, frame, genai_client, google_error
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk
from tests.support.sdk_upstreams import SIGNATURE, TEXT, FakeGemini, FakeOpenAI

pytestmark = [
    pytest.mark.slow,
    # The SDK's own, of its asynchronous client.
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession"),
]

T = TypeVar("T")
GEMINI, CHAT = "gemini-3.5-flash", "deepseek/deepseek-chat"
MODELS = pytest.mark.parametrize("model", [GEMINI, CHAT])


def get_weather(city: str) -> str:
    """Say how the weather is."""
    return f"{city}: sunny"


DECLARED = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather",
            description="Says how the weather is.",
            parameters=types.Schema(
                type=types.Type.OBJECT,
                properties={"city": types.Schema(type=types.Type.STRING, nullable=True)},
            ),
        )
    ]
)
WITH_TOOLS = types.GenerateContentConfig(
    tools=[DECLARED],
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
)


class Scene:
    """A proxy with a Gemini and a chat service behind it, and Google's SDK in front."""

    def __init__(self, proxy: Proxy, gemini: FakeGemini, chat: FakeOpenAI) -> None:
        self.proxy = proxy
        self.gemini = gemini
        self.chat = chat
        self.client = genai_client(proxy.url, KEY)

    async def run(self, job: Callable[[genai.Client], T]) -> T:
        """Run a call of the synchronous client in a thread."""
        return await asyncio.to_thread(job, self.client)

    def conversations(self, model: str) -> list[Any]:
        return (self.gemini if model == GEMINI else self.chat).conversations


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    gemini, chat = FakeGemini(), FakeOpenAI()
    async with (
        gemini.upstream.running(),
        chat.upstream.running(),
        running_proxy(
            gemini=gemini.upstream.base_url,
            UPSTREAMS="deepseek",
            DEEPSEEK_BASE_URL=chat.upstream.base_url,
            DEEPSEEK_API_KEY="sk-deepseek-canary-0123456789",
            DEEPSEEK_MODELS="deepseek-chat",
        ) as proxy,
    ):
        yield Scene(proxy, gemini, chat)


@MODELS
async def test_a_whole_answer(scene: Scene, model: str) -> None:
    answer = await scene.run(lambda sdk: sdk.models.generate_content(model=model, contents="Hi"))

    assert answer.text == TEXT
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.total_token_count


@MODELS
async def test_a_stream(scene: Scene, model: str) -> None:
    chunks = await scene.run(
        lambda sdk: list(sdk.models.generate_content_stream(model=model, contents="Hi"))
    )

    assert "".join(chunk.text or "" for chunk in chunks) == TEXT
    reasons = [chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates]
    assert reasons == [None] * (len(reasons) - 1) + [types.FinishReason.STOP]
    assert (chunks[-1].usage_metadata is not None) == (model == GEMINI)  # as it is reported


@MODELS
async def test_the_asynchronous_client(scene: Scene, model: str) -> None:
    stream = await scene.client.aio.models.generate_content_stream(model=model, contents="Hi")

    assert "".join([chunk.text or "" async for chunk in stream]) == TEXT


@MODELS
async def test_a_tool_loop_with_history(scene: Scene, model: str) -> None:
    """The chat keeps what the model said; signatures and ids come back as they went out."""

    def loop(sdk: genai.Client) -> str | None:
        chat = sdk.chats.create(model=model, config=WITH_TOOLS)
        first = list(chat.send_message_stream("Weather?"))
        calls = [call for chunk in first for call in chunk.function_calls or ()]
        assert calls
        results = [
            types.Part(
                function_response=types.FunctionResponse(
                    id=call.id, name=call.name, response={"output": get_weather("Boston")}
                )
            )
            for call in calls
        ]
        last = list(chat.send_message_stream(results))
        return "".join(chunk.text or "" for chunk in last)

    assert await scene.run(loop) == TEXT
    history = scene.conversations(model)[-1]
    if model == GEMINI:
        parts = [part for content in history["contents"] for part in content["parts"]]
        signatures = {part["thoughtSignature"] for part in parts if "thoughtSignature" in part}
        assert {one.replace("-", "+").replace("_", "/") for one in signatures} == {SIGNATURE}
    else:
        roles = [message["role"] for message in history["messages"]]
        assert roles == ["user", "assistant", "tool"]
        call = history["messages"][1]["tool_calls"][0]
        assert history["messages"][2]["tool_call_id"] == call["id"] == "call_1"
        schema = history["tools"][0]["function"]["parameters"]
        assert schema["properties"]["city"]["type"] == ["string", "null"]


async def test_automatic_calls_of_functions_over_chat(scene: Scene) -> None:
    config = types.GenerateContentConfig(tools=[get_weather])

    answer = await scene.run(
        lambda sdk: sdk.models.generate_content(model=CHAT, contents="Weather?", config=config)
    )

    assert answer.text == TEXT
    assert scene.chat.conversations[-1]["messages"][-1]["content"] == "Boston: sunny"


async def test_tokens_are_counted_over_chat(scene: Scene) -> None:
    counted = await scene.run(lambda sdk: sdk.models.count_tokens(model=CHAT, contents="x" * 35))

    assert counted.total_tokens == 18
    assert scene.chat.conversations == []


async def test_models_are_listed_and_shown(scene: Scene) -> None:
    names = await scene.run(lambda sdk: [model.name for model in sdk.models.list()])
    one = await scene.run(lambda sdk: sdk.models.get(model="deepseek-chat"))

    assert "models/deepseek-chat" in names
    assert one.name == "models/deepseek-chat"
    assert one.supported_actions == ["generateContent", "countTokens"]


@pytest.mark.parametrize("model", ["gemini-embedding-001", "deepseek/embed"])
async def test_embeddings(scene: Scene, model: str) -> None:
    async def gemini(peer: Peer, request: Received) -> None:
        await peer.reply(b'{"embeddings":[{"values":[0.5]},{"values":[0.25]}]}')

    async def chat(peer: Peer, request: Received) -> None:
        vectors = [{"index": index, "embedding": [0.5 / (index + 1)]} for index in range(2)]
        await peer.reply(json.dumps({"data": vectors, "usage": {"prompt_tokens": 2}}).encode())

    scene.gemini.upstream.script, scene.chat.upstream.script = gemini, chat
    texts: Any = ["Hi", "Ho"]

    found = await scene.run(lambda sdk: sdk.models.embed_content(model=model, contents=texts))

    assert [one.values for one in found.embeddings or ()] == [[0.5], [0.25]]


@MODELS
async def test_errors_have_code_status_and_message(scene: Scene, model: str) -> None:
    async def gemini(peer: Peer, request: Received) -> None:
        await peer.reply(google_error(400, "INVALID_ARGUMENT"), 400)

    async def chat(peer: Peer, request: Received) -> None:
        error = {"error": {"message": "It is wrong.", "type": "invalid_request_error"}}
        await peer.reply(json.dumps(error).encode(), 400)

    scene.gemini.upstream.script, scene.chat.upstream.script = gemini, chat
    for call in (
        lambda sdk: sdk.models.generate_content(model=model, contents="Hi"),
        lambda sdk: list(sdk.models.generate_content_stream(model=model, contents="Hi")),
    ):
        with pytest.raises(errors.ClientError) as caught:
            await scene.run(call)
        assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
        assert (caught.value.message or "").startswith("It is")


async def test_a_wrong_key_is_an_error_of_the_clients(scene: Scene) -> None:
    client = genai_client(scene.proxy.url, "wrong-key-0123456789")
    with pytest.raises(errors.ClientError) as caught:
        await asyncio.to_thread(lambda: client.models.generate_content(model=GEMINI, contents="Hi"))

    assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")


@MODELS
@pytest.mark.parametrize("is_reported", [True, False])
async def test_an_error_in_the_stream_is_raised(
    scene: Scene, model: str, is_reported: bool
) -> None:
    """Whether the upstream says so or breaks off, and however its bytes come."""

    async def gemini(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(
            events(frame("Hel")) + (google_error(503, "UNAVAILABLE") if is_reported else b"")
        )
        await peer.last_chunk()

    async def chat(peer: Peer, request: Received) -> None:
        await peer.head()
        error = b'data: {"error":{"message":"It is over.","code":503}}\n\n' if is_reported else b""
        await peer.chunk(chat_chunk("Hel") + error)
        await peer.last_chunk()

    scene.gemini.upstream.script, scene.chat.upstream.script = gemini, chat
    said: list[str | None] = []

    def read(sdk: genai.Client) -> None:
        for chunk in sdk.models.generate_content_stream(model=model, contents="Hi"):
            said.append(chunk.text)

    with pytest.raises(errors.ServerError) as caught:
        await scene.run(read)

    assert said == ["Hel"]
    assert (caught.value.code, caught.value.status) == (503 if is_reported else 502, "UNAVAILABLE")


@MODELS
async def test_sdk_accepts_heartbeats(model: str) -> None:
    goes_on = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        if request.path.startswith("/v1beta"):
            first, last = events(frame("a")), events(frame("b", finishReason="STOP"))
        else:
            end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
            first = chat_chunk("a")
            last = chat_chunk("b") + b"data: " + json.dumps(end).encode() + b"\n\ndata: [DONE]\n\n"
        await peer.chunk(first)
        await goes_on.wait()
        await peer.chunk(last)
        await peer.last_chunk()

    gemini, chat = RawUpstream(play, base_path="/v1beta"), RawUpstream(play)
    beats = {"HEARTBEAT_INTERVAL": "0.1", "COMMIT_AFTER": "0.1"}
    async with (
        gemini.running(),
        chat.running(),
        running_proxy(
            gemini=gemini.base_url,
            UPSTREAMS="deepseek",
            DEEPSEEK_BASE_URL=chat.base_url,
            DEEPSEEK_API_KEY="sk-deepseek-canary-0123456789",
            ADMIN_KEY="admin-key-0123456789",
            **beats,
        ) as proxy,
    ):
        client = genai_client(proxy.url, KEY)
        stream = await client.aio.models.generate_content_stream(model=model, contents="Hi")
        said = [(await anext(stream)).text]
        live = proxy.context.live_stats
        assert live is not None
        (record,) = live.open.values()
        sent = record.bytes_out
        await eventually(lambda: record.bytes_out >= sent + 3 * len(b"\r\n"))
        goes_on.set()
        said += [chunk.text async for chunk in stream]

    assert [text for text in said if text] == ["a", "b"]
