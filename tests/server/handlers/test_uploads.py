"""Uploads: routed by a field of the form, never larger or slower than allowed; held up to it."""

import asyncio
import contextlib
import dataclasses
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from tests.conftest import BEARER, running_proxy
from tests.support.eventually import eventually
from tests.support.raw_client import RawConnection, RawResponse, connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

pytestmark = pytest.mark.slow

SPEECH = "/v1/audio/transcriptions"
TYPE = "multipart/form-data; boundary=xYzZy"
FORM = {**BEARER, "Content-Type": TYPE}
MIB = 1024 * 1024
TEXT = b'{"text":"hello"}'


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(TEXT)


def field(name: str, value: bytes, filename: str | None = None) -> bytes:
    named = f'; filename="{filename}"' if filename else ""
    head = f'Content-Disposition: form-data; name="{name}"{named}\r\n'
    kind = "Content-Type: application/octet-stream\r\n" if filename else ""
    return b"--xYzZy\r\n" + head.encode() + kind.encode() + b"\r\n" + value + b"\r\n"


def form(*fields: bytes) -> bytes:
    return b"".join(fields) + b"--xYzZy--\r\n"


def model(name: str) -> bytes:
    return field("model", name.encode())


def file(size: int) -> bytes:
    return field("file", (bytes(range(256)) * (size // 256 + 1))[:size], "speech.mp3")


async def uploaded(
    body: bytes, path: str = SPEECH, **env: str
) -> tuple[RawResponse, list[Received], str]:
    upstream = RawUpstream(answer)
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        response = await asyncio.wait_for(fetch(proxy.port, path, body, FORM), 10)
        return response, upstream.received, proxy.logged()


@pytest.mark.parametrize(
    "body",
    [
        form(model("whisper-1"), file(5000)),
        form(file(5000), model("whisper-1")),
        form(file(3 * MIB), model("whisper-1")),
        form(field("prompt", b"--xYzZ\r\nname=model"), file(9), model("whisper-1")),
        form(field("response_format", b"json"), file(10)),
    ],
    ids=["model first", "model last", "model after a large file", "lookalikes", "no model"],
)
async def test_form_arrives_byte_for_byte(body: bytes) -> None:
    response, received, log = await uploaded(body)

    (seen,) = received
    assert seen.body == body
    assert seen.header("Content-Type") == TYPE
    assert seen.header("Content-Length") == str(len(body))
    assert (response.status, response.body) == (200, TEXT)
    assert f"bytes_in={len(body)}" in log
    assert ("model=whisper-1" in log) == (b"whisper-1" in body)


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("size", [10, 900_000])
async def test_alias_is_renamed_inside_the_form(size: int, sized: bool) -> None:
    body = form(file(size), model("ears"), field("language", b"en"))
    upstream = RawUpstream(answer)
    env = {"MODEL_ALIASES": "ears=openai/whisper-large-and-long"}
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, **env) as proxy,
        connect(proxy.port) as connection,
    ):
        await send(connection, body, sized=sized)
        assert (await asyncio.wait_for(connection.response(), 10)).status == 200

    (seen,) = upstream.received
    assert seen.body == form(file(size), model("whisper-large-and-long"), field("language", b"en"))
    assert (seen.header("Content-Length") == str(len(seen.body))) == sized


async def send(connection: RawConnection, body: bytes, *, sized: bool = True) -> None:
    """Send a form whole, with its length or in chunks."""
    if sized:
        await connection.post(SPEECH, body, FORM)
        return
    lines = [f"{n}: {v}" for n, v in {"Host": "x", **FORM, "Transfer-Encoding": "chunked"}.items()]
    await connection.send("\r\n".join([f"POST {SPEECH} HTTP/1.1", *lines, "", ""]).encode())
    for at in range(0, len(body), 60_000):
        piece = body[at : at + 60_000]
        await connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    await connection.send(b"0\r\n\r\n")


async def test_form_goes_to_the_upstream_of_its_model() -> None:
    openai, extra = RawUpstream(answer), RawUpstream(answer)
    async with openai.running(), extra.running():
        env = {
            "UPSTREAMS": "groq",
            "GROQ_BASE_URL": extra.base_url,
            "GROQ_API_KEY": "groq-key",
            "GROQ_MODELS": "whisper-large-v3",
        }
        async with running_proxy(openai.base_url, **env) as proxy:
            body = form(file(1000), model("whisper-large-v3"))
            assert (await fetch(proxy.port, SPEECH, body, FORM)).status == 200

    assert openai.received == []
    assert extra.received[0].body == body
    assert extra.received[0].header("Authorization") == "Bearer groq-key"


LATE: dict[str, tuple[str, dict[str, str], str]] = {
    "c6-alias": ("ears", {"MODEL_ALIASES": "ears=openai/whisper-1"}, "whisper-1"),
    "c6-named-upstream": ("openai/whisper-1", {}, "whisper-1"),
    "c6-another-upstream": ("whisper-large-v3", {"GROQ_MODELS": "whisper-large-v3"}, ""),
    "c6-no-key-of-openai": (
        "whisper-large-v3",
        {"GROQ_MODELS": "whisper-large-v3", "OPENAI_API_KEY": ""},
        "",
    ),
    "c6-allowed-model": ("whisper-1", {"KEY_TESTER_MODELS": "whisper-1"}, "whisper-1"),
}


@pytest.mark.parametrize(("name", "env", "sent_as"), LATE.values(), ids=LATE)
@pytest.mark.parametrize("order", ["model first", "file first"])
async def test_c6_form_goes_where_its_model_is_in_either_order(
    name: str, env: dict[str, str], sent_as: str, order: str
) -> None:
    """Nothing of it goes anywhere before."""
    parts = [model(name), file(3 * MIB)]
    renamed = [model(sent_as or name), file(3 * MIB)]
    if order == "file first":
        parts.reverse()
        renamed.reverse()
    openai, groq = RawUpstream(answer), RawUpstream(answer)
    async with openai.running(), groq.running():
        more = {"UPSTREAMS": "groq", "GROQ_BASE_URL": groq.base_url, "GROQ_API_KEY": "groq-key"}
        async with running_proxy(openai.base_url, **{**more, **env}) as proxy:
            response = await asyncio.wait_for(fetch(proxy.port, SPEECH, form(*parts), FORM), 10)

    asked, other = (openai, groq) if sent_as else (groq, openai)
    assert (response.status, response.body) == (200, TEXT)
    assert [seen.body for seen in asked.received] == [form(*renamed)]
    assert other.connections == other.open_connections == 0


async def test_c6_late_model_that_takes_no_forms_is_refused_and_nothing_was_sent() -> None:
    response, received, _ = await uploaded(form(file(3 * MIB), model("jarvis-echo")))

    assert (response.status, response.error()["code"]) == (400, "unsupported_endpoint")
    assert received == []


async def test_c6_what_comes_before_the_model_is_held_and_counted_until_it_goes_on() -> None:
    async with (
        Sink().running() as upstream,
        running_proxy(upstream.base_url) as proxy,
        connect(proxy.port) as connection,
    ):
        body = form(file(3 * MIB), model("whisper-1"), file(MIB))
        guard, end = proxy.context.admission, len(form(file(3 * MIB))) - 20
        await connection.post(SPEECH, body[:end], {**FORM, "Content-Length": str(len(body))})
        await eventually(lambda: guard.bytes_in_flight == end)
        assert upstream.connections == 0
        await connection.send(body[end : end + 200])
        await eventually(lambda: upstream.bytes >= end)
        await eventually(lambda: guard.bytes_in_flight == 0)
        await connection.send(body[end + 200 :])
        response = await asyncio.wait_for(connection.response(), 10)

    assert response.status == 200
    assert upstream.bytes == len(body)


async def test_c6_form_without_room_is_refused_and_nothing_was_sent() -> None:
    body = form(file(MIB - 1000), model("whisper-1"))
    env = {"MAX_BODY_MB": "1", "MAX_INFLIGHT_MB": "1"}
    async with (
        Sink().running() as upstream,
        running_proxy(upstream.base_url, **env) as proxy,
        connect(proxy.port) as first,
        connect(proxy.port) as second,
    ):
        await first.post(SPEECH, body[:700_000], {**FORM, "Content-Length": str(len(body))})
        await eventually(lambda: proxy.context.admission.bytes_in_flight == 700_000)
        await second.post(SPEECH, body[:700_000], {**FORM, "Content-Length": str(len(body))})
        response = await asyncio.wait_for(second.response(), 5)
        await first.send(body[700_000:])
        gone = await asyncio.wait_for(first.response(), 5)

    assert (response.status, response.error()["code"]) == (503, "overloaded")
    assert gone.status == 200
    assert upstream.bytes == len(body)


async def test_c6_form_without_end_is_held_up_to_the_largest_body() -> None:
    async with (
        Sink().running() as upstream,
        running_proxy(upstream.base_url, MAX_BODY_MB="1") as proxy,
        connect(proxy.port) as connection,
    ):
        sending = asyncio.create_task(send(connection, form(file(3 * MIB)), sized=False))
        response = await asyncio.wait_for(connection.response(), 10)
        sending.cancel()
        await asyncio.wait([sending])

    assert (response.status, response.error()["code"]) == (413, "request_too_large")
    assert upstream.connections == 0


async def test_late_model_without_a_key_says_which_setting_would_enable_it() -> None:
    body = form(file(3 * MIB), model("gemini-2.5-flash"))
    response, received, _ = await uploaded(body, GEMINI_API_KEY="")

    assert (response.status, response.error()["code"]) == (404, "model_not_found")
    assert received == []


@pytest.mark.parametrize("size", [100, 3 * MIB])
async def test_key_for_some_models_cannot_smuggle_in_another(size: int) -> None:
    """An upstream might take the second of two fields."""
    body = form(model("whisper-1"), file(size), model("gpt-4o-transcribe"))
    limited, received, _ = await uploaded(body, KEY_TESTER_MODELS="whisper-1")
    assert (limited.status, limited.error()["code"]) == (400, "invalid_multipart")
    assert received == []

    allowed, received, _ = await uploaded(
        form(model("whisper-1"), file(size)), KEY_TESTER_MODELS="whisper-1"
    )
    assert allowed.status == 200
    assert len(received) == 1


async def test_key_may_use_its_models_only() -> None:
    for body in (form(model("gpt-4o-transcribe"), file(9)), form(file(3 * MIB), model("tts-1"))):
        response, received, _ = await uploaded(body, KEY_TESTER_MODELS="whisper-1")

        assert 400 <= response.status < 500
        assert received == []


@pytest.mark.parametrize("path", [SPEECH, "/v1/images/edits", "/v1/audio/translations"])
async def test_model_that_takes_no_forms_says_which_address_serves_it(path: str) -> None:
    response, received, _ = await uploaded(form(model("jarvis-echo"), file(100)), path)

    assert (response.status, response.error()["code"]) == (400, "unsupported_endpoint")
    assert "/v1/chat/completions" in str(response.error()["message"])
    assert received == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", form(model("whisper-1"))),
        ("multipart/form-data; boundary=", form(model("whisper-1"))),
        (TYPE, form(field("model", b"\xff\xfe canary"))),
        (TYPE, form(field("model", b"canary" * 1000))),
        (TYPE, b"--xYzZy\r\n" + b"X-Canary: canary\r\n" * 2000),
    ],
    ids=["no boundary", "empty boundary", "not utf-8", "long model", "endless head"],
)
async def test_broken_form_is_refused(content_type: str, body: bytes) -> None:
    async with running_proxy() as proxy:
        headers = {**BEARER, "Content-Type": content_type}
        response = await asyncio.wait_for(fetch(proxy.port, SPEECH, body, headers), 10)

    assert (response.status, response.error()["code"]) == (400, "invalid_multipart")
    assert b"canary" not in response.body


async def test_compressed_form_is_refused() -> None:
    async with running_proxy() as proxy:
        headers = {**FORM, "Content-Encoding": "gzip"}
        response = await fetch(proxy.port, SPEECH, form(model("whisper-1")), headers)

    assert (response.status, response.error()["code"]) == (415, "unsupported_encoding")


# Size, pace, memory


class Sink:
    """An upstream that reads requests without keeping them, and notes whether one was cut."""

    def __init__(self) -> None:
        self.bytes = 0
        self.connections = 0
        self.cut = asyncio.Event()
        self.base_url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = head.partition("content-length: ")[2].partition("\r\n")[0]
        left = int(length) if length else 2**40
        with contextlib.suppress(ConnectionError):
            while left and (data := await reader.read(min(left, 65536))):
                left -= len(data)
                self.bytes += len(data)
        if left:
            self.cut.set()
        else:
            writer.write(
                b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(TEXT), TEXT)
            )
        writer.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Sink"]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with server:
            yield self


async def test_upload_that_turns_out_too_large_is_cut_on_both_sides() -> None:
    async with (
        Sink().running() as upstream,
        running_proxy(upstream.base_url, MAX_BODY_MB="2") as proxy,
        connect(proxy.port) as connection,
    ):
        sending = asyncio.create_task(
            send(connection, form(model("whisper-1"), file(5 * MIB)), sized=False)
        )
        response = await asyncio.wait_for(connection.response(), 10)
        sending.cancel()
        await asyncio.wait_for(upstream.cut.wait(), 5)

    assert (response.status, response.error()["code"]) == (413, "request_too_large")
    assert upstream.bytes < 3 * MIB


async def test_declared_size_is_refused_before_anything_is_sent_on() -> None:
    upstream = RawUpstream(answer)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, MAX_BODY_MB="1") as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post(SPEECH, b"", {**FORM, "Content-Length": str(2 * MIB)})
        response = await asyncio.wait_for(connection.response(), 2)

    assert (response.status, response.error()["code"]) == (413, "request_too_large")
    assert upstream.connections == 0


@pytest.mark.parametrize(
    "sent",
    [b"", file(9)[:-2], model("whisper-1") + file(999)],
    ids=["nothing", "before the model", "behind the model"],
)
async def test_upload_that_stalls_is_given_up_on_both_sides(sent: bytes) -> None:
    async with (
        Sink().running() as upstream,
        running_proxy(upstream.base_url, BODY_IDLE_TIMEOUT="0.3") as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post(SPEECH, sent, {**FORM, "Content-Length": "100000"})
        response = await asyncio.wait_for(connection.response(), 5)
        if upstream.connections:
            await asyncio.wait_for(upstream.cut.wait(), 5)

    assert upstream.connections == (b"whisper" in sent)
    assert (response.status, response.error()["code"]) == (408, "request_timeout")


@pytest.mark.parametrize("path", [SPEECH, "/v1/files"])
@pytest.mark.parametrize("start", [b"--xYzZy\r\n", model("whisper-1")], ids=["before", "behind"])
async def test_d18_upload_that_drips_is_given_up_on_both_sides(path: str, start: bytes) -> None:
    """It is never silent, and far below the rate that bodies of JSON have to keep."""
    env = {"BODY_IDLE_TIMEOUT": "1", "PASSTHROUGH": "all"}
    async with (
        Sink().running() as upstream,
        running_proxy(upstream.base_url, **env) as proxy,
        connect(proxy.port) as connection,
    ):
        watch = proxy.context.deadline_monitor
        watch.limits = dataclasses.replace(watch.limits, body_grace=0.5)
        await connection.post(path, start, {**FORM, "Content-Length": "100000"})
        answering = asyncio.create_task(connection.response())
        async with asyncio.timeout(10):
            while not answering.done():
                with contextlib.suppress(ConnectionError):
                    await connection.send(b"a")
                await asyncio.sleep(0.05)
        if upstream.connections:
            await asyncio.wait_for(upstream.cut.wait(), 5)

    assert (answering.result().status, answering.result().error()["code"]) == (
        408,
        "request_timeout",
    )


async def test_upload_may_take_longer_than_a_request_of_json() -> None:
    body = form(model("whisper-1"), file(60_000))
    upstream = RawUpstream(answer)
    async with (
        upstream.running(),
        running_proxy(
            upstream.base_url, BODY_IDLE_TIMEOUT="0.5", BODY_TOTAL_TIMEOUT="0.3"
        ) as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post(SPEECH, b"", {**FORM, "Content-Length": str(len(body))})
        for at in range(0, len(body), 6000):
            await connection.send(body[at : at + 6000])
            await asyncio.sleep(0.1)
        response = await asyncio.wait_for(connection.response(), 5)

    assert response.status == 200
    assert [seen.body for seen in upstream.received if seen.method == "POST"] == [body]


async def test_client_that_leaves_cuts_the_upload() -> None:
    async with Sink().running() as upstream, running_proxy(upstream.base_url) as proxy:
        async with connect(proxy.port) as connection:
            body = form(model("whisper-1"), file(100_000))
            await connection.post(SPEECH, body[:50_000], {**FORM, "Content-Length": "999999"})
            await eventually(lambda: upstream.connections)
        await asyncio.wait_for(upstream.cut.wait(), 2)
        await eventually(lambda: "outcome=client_closed" in proxy.log.getvalue())


async def test_refusal_before_the_upload_has_ended_is_passed_on() -> None:
    refusal = b'{"error":{"message":"no such model","code":"model_not_found"}}'

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 404 X\r\nContent-Type: application/json\r\nContent-Length: {len(refusal)}"
        writer.write(head.encode() + b"\r\n\r\n" + refusal)
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        running_proxy(f"http://127.0.0.1:{port}/v1") as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post(
            SPEECH, form(model("x"), file(9)), {**FORM, "Content-Length": "9999999"}
        )
        response = await asyncio.wait_for(connection.response(), 5)

    assert (response.status, response.body) == (404, refusal)
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize("path", [SPEECH, "/v1/files"])
async def test_large_upload_is_never_held(path: str) -> None:
    start = form(model("whisper-1"), field("file", b"", "a"))[:-11]
    size = len(start) + 40 * MIB
    async with (
        Sink().running() as upstream,
        running_proxy(upstream.base_url, PASSTHROUGH="all") as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post(path, start, {**FORM, "Content-Length": str(size)})
        piece = b"\x00" * 65536
        tracemalloc.start()
        for _ in range(40 * MIB // len(piece)):
            await connection.send(piece)
        response = await asyncio.wait_for(connection.response(), 20)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert response.status == 200
    assert upstream.bytes == size
    assert peak < 8 * MIB


async def test_form_without_any_body_is_not_an_upload() -> None:
    response, received, _ = await uploaded(b"")

    assert response.status == 200  # the upstream's to judge
    assert received[0].body == b""


async def test_answer_of_an_upload_may_be_a_stream() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(b'data: {"type":"transcript.text.delta","delta":"he"}\n\n')
        await peer.chunk(b'data: {"type":"transcript.text.done","text":"he"}\n\n')
        await peer.last_chunk()

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        body = form(model("gpt-4o-transcribe"), file(500), field("stream", b"true"))
        response = await fetch(proxy.port, SPEECH, body, FORM)

    assert response.headers["content-type"] == "text/event-stream"
    assert response.body.count(b"data: ") == 2
    assert response.whole
