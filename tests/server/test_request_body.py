"""Bodies that are wrong, too large, compressed, late or unwanted: at the socket."""

import asyncio
import gzip
import json
import random
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable

import pytest
import zstandard

from tests.conftest import BEARER, KEY, Proxy, running_proxy
from tests.support.raw_client import RawConnection, RawResponse, connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, completion

pytestmark = pytest.mark.slow

CHAT = "/v1/chat/completions"
JSON = {**BEARER, "Content-Type": "application/json"}
MIB = 1024 * 1024
SECRET = b"canary-of-the-prompt"


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(completion())


def model(value: object, **more: object) -> bytes:
    return json.dumps({"model": value, "content": SECRET.decode(), **more}).encode()


BAD_JSON = {
    "empty": b"",
    "space": b"  \n ",
    "word": SECRET,
    "open": b'{"model":"gpt-4o","content":"' + SECRET,
    "no value": b'{"model":,"content":"' + SECRET + b'"}',
    "trailing comma": b'{"content":"' + SECRET + b'",}',
    "two objects": b'{"model":"gpt-4o"}{"content":"' + SECRET + b'"}',
    "python": b"{'model':'gpt-4o','content':'" + SECRET + b"'}",
    "comment": b'{"model":"gpt-4o"} // ' + SECRET,
    "nan": b'{"model":"gpt-4o","temperature":NaN,"content":"' + SECRET + b'"}',
    "infinity": b'{"model":"gpt-4o","temperature":-Infinity}',
    "control character": b'{"model":"gpt-4o","content":"a\nb"}',
    "bad escape": b'{"model":"gpt-4o","content":"\\x41"}',
    "invalid utf-8": b'{"model":"gpt-4o","content":"' + SECRET + b'\xff"}',
    "cut utf-8": b'{"model":"gpt-4o","content":"\xc3"}',
    "latin-1 model": b'{"model":"gpt-\xe9"}',
    "utf-16": '{"model":"gpt-4o"}'.encode("utf-16"),
    "bom": b"\xef\xbb\xbf" + b'{"model":"gpt-4o","content":"x"}',
    "list": b'["' + SECRET + b'"]',
    "string": b'"' + SECRET + b'"',
    "number": b"12345",
    "null": b"null",
    "true": b"true",
    "deep lists": b'{"model":"gpt-4o","content":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "deep and open": b"[" * 200_000,
    "endless number": b'{"model":"gpt-4o","n":' + b"7" * 10_000 + b"}",
    "model twice": b'{"model":"gpt-4o","model":"' + SECRET + b'"}',
    "stream twice": b'{"stream":true,"model":"gpt-4o","stream":false}',
    "gzip without its header": gzip.compress(b'{"model":"gpt-4o"}'),
    "form": b"model=gpt-4o&content=" + SECRET,
}
BAD_TYPES = {
    "model number": (model(5), "model"),
    "model list": (model(["gpt-4o"]), "model"),
    "model object": (model({"id": "gpt-4o"}), "model"),
    "model true": (model(True), "model"),
    "stream word": (model("gpt-4o", stream="yes"), "stream"),
    "stream number": (model("gpt-4o", stream=1), "stream"),
}


def assert_is_refusal(response: RawResponse, status: int, code: str) -> None:
    """Assert that *response* is the proxy's refusal, and shows nothing of the request's content."""
    assert (response.status, response.error()["code"]) == (status, code)
    assert response.error()["type"] == "invalid_request_error"
    assert set(response.error()) == {"message", "type", "param", "code"}
    assert response.headers["content-type"] == "application/json"
    assert SECRET not in response.body
    assert b"canary" not in response.body
    assert b"<" not in response.body


async def assert_still_usable(proxy: Proxy, connection: RawConnection) -> None:
    """Assert that the connection serves the next request, or that the proxy closed it cleanly."""
    try:
        await connection.post("/health", b"", method="GET")
        status, _ = await asyncio.wait_for(connection.head(), 5)
    except (asyncio.IncompleteReadError, ConnectionError):
        assert (await fetch(proxy.port, "/health", method="GET")).status == 200
    else:
        assert status == 200


@pytest.fixture
async def silent() -> AsyncIterator[tuple[Proxy, RawUpstream]]:
    """Yield a proxy with an upstream that must not be asked."""
    upstream = RawUpstream(answer)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        yield proxy, upstream
        assert upstream.received == []
        assert "canary-of-the-prompt" not in proxy.logged()


@pytest.mark.parametrize("case", BAD_JSON)
async def test_what_is_no_json_object_is_refused(
    case: str, silent: tuple[Proxy, RawUpstream]
) -> None:
    proxy, _ = silent
    async with connect(proxy.port) as connection:
        await connection.post(CHAT, BAD_JSON[case], JSON)
        response = await asyncio.wait_for(connection.response(), 5)

        assert_is_refusal(response, 400, "invalid_json")
        assert response.headers["x-should-retry"] == "false"
        await connection.post(CHAT, b'{"model":"jarvis-echo","messages":[]}', JSON)
        assert (await connection.response()).status == 200


@pytest.mark.parametrize("case", BAD_TYPES)
async def test_wrong_type_names_its_parameter(case: str, silent: tuple[Proxy, RawUpstream]) -> None:
    proxy, _ = silent
    body, param = BAD_TYPES[case]
    response = await fetch(proxy.port, CHAT, body, JSON)

    assert_is_refusal(response, 400, "invalid_type")
    assert response.error()["param"] == param


async def test_position_of_bad_json_is_reported(silent: tuple[Proxy, RawUpstream]) -> None:
    proxy, _ = silent
    response = await fetch(proxy.port, CHAT, b'{"model": oops}', JSON)

    assert "byte 10" in str(response.error()["message"])


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "text/plain; charset=iso-8859-1",
    ],
)
async def test_wrong_charset_is_refused(
    content_type: str, silent: tuple[Proxy, RawUpstream]
) -> None:
    proxy, _ = silent
    async with connect(proxy.port) as connection:
        await connection.post(CHAT, model("gpt-4o"), {**BEARER, "Content-Type": content_type})
        response = await connection.response()

        assert_is_refusal(response, 415, "unsupported_media_type")
        await assert_still_usable(proxy, connection)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": ""},
        {"Content-Type": ";"},
        {"Content-Type": "application/json;charset=UTF-8"},
        {"Content-Type": 'Application/JSON ; Charset="utf-8"'},
        {"Content-Type": "text/json"},
        {"Content-Type": "application/vnd.api+json"},
        {"Content-Type": "application/json; charset=us-ascii"},
        {"Content-Type": "application/json; boundary=x"},
    ],
)
async def test_json_by_any_name_is_taken(headers: dict[str, str]) -> None:
    async with running_proxy() as proxy:
        body = b'{"model":"jarvis-echo","messages":[]}'
        assert (await fetch(proxy.port, CHAT, body, {**BEARER, **headers})).status == 200


OTHER_TYPES = [
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=UTF-8",
    "text/plain",
    "text/plain;charset=UTF-8",
    "text/html",
    "application/xml",
    "application/octet-stream",
    "multipart/mixed; boundary=x",
    "*/*",
    "canary",
]


@pytest.mark.parametrize("content_type", OTHER_TYPES)
async def test_a_body_that_is_json_is_taken_whatever_it_is_called(content_type: str) -> None:
    """And goes on as what it is: an upstream would refuse what the client calls it."""

    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(completion("Hi"))

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        body = model("gpt-4o")
        response = await fetch(proxy.port, CHAT, body, {**BEARER, "Content-Type": content_type})

    assert response.status == 200
    (request,) = upstream.received
    assert (request.body, request.header("Content-Type")) == (body, "application/json")


@pytest.mark.parametrize("content_type", OTHER_TYPES)
@pytest.mark.parametrize("body", [b"model=gpt-4o&stream=true", b"<x/>", b"Hello", b""])
async def test_what_neither_is_json_nor_says_so_is_a_415(
    content_type: str, body: bytes, silent: tuple[Proxy, RawUpstream]
) -> None:
    proxy, _ = silent
    async with connect(proxy.port) as connection:
        await connection.post(CHAT, body, {**BEARER, "Content-Type": content_type})
        response = await connection.response()

        assert_is_refusal(response, 415, "unsupported_media_type")
        await assert_still_usable(proxy, connection)


async def test_broken_json_is_reported_as_such_whatever_it_is_called() -> None:
    async with running_proxy() as proxy:
        headers = {**BEARER, "Content-Type": "application/x-www-form-urlencoded"}
        response = await fetch(proxy.port, CHAT, b' {"model": oops}', headers)

    assert_is_refusal(response, 400, "invalid_json")
    assert "byte 11" in str(response.error()["message"])


async def test_json_in_a_form_for_uploads_is_still_a_form() -> None:
    async with running_proxy() as proxy:
        headers = {**BEARER, "Content-Type": "multipart/form-data; boundary=x"}
        response = await fetch(proxy.port, CHAT, model("jarvis-echo"), headers)

    assert response.status != 200  # the model is looked for among a form's fields


# Size


async def test_declared_size_is_refused_before_the_body_comes() -> None:
    async with running_proxy(MAX_BODY_MB="1") as proxy, connect(proxy.port) as connection:
        await connection.post(CHAT, b"{", {**JSON, "Content-Length": str(100 * MIB)})
        response = await asyncio.wait_for(connection.response(), 10)

        assert_is_refusal(response, 413, "request_too_large")
        assert "1 MiB" in str(response.error()["message"])
        # The body may come all the same: what follows must not be taken for a request.
        assert response.headers["connection"] == "close"
        assert await asyncio.wait_for(connection.reader.read(), 5) == b""


async def test_body_without_a_declared_size_is_counted() -> None:
    async with running_proxy(MAX_BODY_MB="1") as proxy, connect(proxy.port) as connection:
        head = {**JSON, "Transfer-Encoding": "chunked"}
        lines = [f"{name}: {value}" for name, value in {"Host": "x", **head}.items()]
        await connection.send("\r\n".join([f"POST {CHAT} HTTP/1.1", *lines, "", ""]).encode())
        piece = b"%x\r\n%b\r\n" % (65536, b" " * 65536)
        for _ in range(17):
            await connection.send(piece)
        response = await asyncio.wait_for(connection.response(), 5)

    assert_is_refusal(response, 413, "request_too_large")


async def test_body_of_exactly_the_limit_passes() -> None:
    body = b'{"model":"jarvis-echo","messages":[]}'
    async with running_proxy(MAX_BODY_MB="1") as proxy:
        fitting = await fetch(proxy.port, CHAT, body.ljust(MIB), JSON)
        larger = await fetch(proxy.port, CHAT, body.ljust(MIB + 1), JSON)

    assert (fitting.status, larger.status) == (200, 413)


async def test_client_that_sends_on_reads_its_413() -> None:
    """The answer must survive the bytes that are still on their way."""
    async with running_proxy(MAX_BODY_MB="1") as proxy, connect(proxy.port) as connection:
        await connection.post(CHAT, b" " * (8 * MIB), JSON)
        response = await asyncio.wait_for(connection.response(), 5)

    assert_is_refusal(response, 413, "request_too_large")


@pytest.mark.parametrize("case", ["nothing", "half"])
async def test_body_that_does_not_come_is_given_up(case: str) -> None:
    sent = b"" if case == "nothing" else b'{"mod'
    async with (
        running_proxy(BODY_IDLE_TIMEOUT="0.2") as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post(CHAT, sent, {**JSON, "Content-Length": "100"})
        response = await asyncio.wait_for(connection.response(), 10)

        assert (response.status, response.error()["code"]) == (408, "request_timeout")
        assert response.headers["connection"] == "close"


async def test_body_that_drips_is_given_up() -> None:
    async with (
        running_proxy(BODY_IDLE_TIMEOUT="0.4", BODY_TOTAL_TIMEOUT="0.8") as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post(CHAT, b"", {**JSON, "Content-Length": "100000"})
        dripping = asyncio.create_task(drip(connection))
        response = await asyncio.wait_for(connection.response(), 5)
        dripping.cancel()

    assert (response.status, response.error()["code"]) == (408, "request_timeout")


async def drip(connection: RawConnection) -> None:
    while True:
        await connection.send(b" ")
        await asyncio.sleep(0.05)


# Compression

TEXT = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}'


def deflated(data: bytes) -> bytes:
    return zlib.compress(data)


def zstd(data: bytes) -> bytes:
    return zstandard.compress(data)


ENCODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "loud": ("GZIP", gzip.compress),
    "deflate": ("deflate", deflated),
    "zstd": ("zstd", zstd),
    "identity": ("identity", bytes),
    "empty": ("", bytes),
}


@pytest.mark.parametrize("case", ENCODINGS)
async def test_compressed_body_goes_on_as_plain_json(case: str) -> None:
    name, pack = ENCODINGS[case]
    upstream = RawUpstream(answer)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        response = await fetch(proxy.port, CHAT, pack(TEXT), {**JSON, "Content-Encoding": name})

    assert response.status == 200
    (seen,) = upstream.received
    assert seen.body == TEXT
    assert seen.header("Content-Encoding") is None
    assert seen.header("Content-Length") == str(len(TEXT))


@pytest.mark.parametrize("case", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize(
    "damage", ["cut", "head", "flipped", "trailing", "nothing", "other", "twice"]
)
async def test_damaged_compression_is_refused(
    case: str, damage: str, silent: tuple[Proxy, RawUpstream]
) -> None:
    proxy, _ = silent
    name, pack = ENCODINGS[case]
    # Not compressible, so that the damage hits the data and not only a header.
    noise = random.Random(1).randbytes(600).hex()
    whole = pack(model("gpt-4o", noise=noise))
    damaged = {
        "cut": whole[:-20],
        "head": b"\x00\x00" + whole[2:],
        "flipped": whole[:40] + bytes([whole[40] ^ 0xFF]) + whole[41:],
        "trailing": whole + SECRET,
        "nothing": b"",
        "other": TEXT,
        "twice": pack(whole),
    }[damage]
    response = await fetch(proxy.port, CHAT, damaged, {**JSON, "Content-Encoding": name})

    code = "invalid_json" if damage == "twice" else "invalid_encoding"
    if damage == "flipped" and response.error()["code"] == "invalid_json":
        code = "invalid_json"  # a format without a checksum cannot tell
    assert_is_refusal(response, 400, code)


@pytest.mark.parametrize("case", ["gzip", "deflate", "zstd"])
async def test_bomb_is_refused_by_what_it_unpacks_to(case: str) -> None:
    name, pack = ENCODINGS[case]
    bomb = pack(b" " * (64 * MIB))
    assert len(bomb) < MIB
    async with running_proxy(MAX_BODY_MB="1") as proxy, connect(proxy.port) as connection:
        await connection.post(CHAT, bomb, {**JSON, "Content-Encoding": name})
        response = await asyncio.wait_for(connection.response(), 5)

        assert_is_refusal(response, 413, "request_too_large")
        await assert_still_usable(proxy, connection)


@pytest.mark.parametrize("name", ["br", "compress", "gzip, gzip", "gzip, br", "canary"])
async def test_unknown_compression_is_refused(name: str, silent: tuple[Proxy, RawUpstream]) -> None:
    proxy, _ = silent
    async with connect(proxy.port) as connection:
        await connection.post(CHAT, model("gpt-4o"), {**JSON, "Content-Encoding": name})
        response = await connection.response()

        assert_is_refusal(response, 415, "unsupported_encoding")
        assert response.headers["accept-encoding"] == "gzip, deflate, zstd"
        await assert_still_usable(proxy, connection)


# Expect: 100-continue

EXPECTING = {**JSON, "Expect": "100-continue"}


async def test_body_is_asked_for_only_then() -> None:
    body = b'{"model":"jarvis-echo","messages":[]}'
    async with running_proxy() as proxy, connect(proxy.port) as connection:
        await connection.post(CHAT, b"", {**EXPECTING, "Content-Length": str(len(body))})
        assert await connection.head() == (100, {})
        await connection.send(body)
        assert (await connection.response()).status == 200


NOT_TAKEN = {
    "wrong key": ({"Authorization": "Bearer wrong"}, 401),
    "too large": ({"Content-Length": str(65 * MIB)}, 413),
    "other expectation": ({"Expect": "200-canary"}, 417),
    "two expectations": ({"Expect": "100-continue, 200-canary"}, 417),
}


@pytest.mark.parametrize("case", NOT_TAKEN)
@pytest.mark.parametrize("path", [CHAT, "/v1/audio/transcriptions", "/v1/files", "/v1/a%0Ab"])
async def test_body_that_will_not_be_taken_is_not_asked_for(path: str, case: str) -> None:
    headers, status = NOT_TAKEN[case]
    form = {} if path == CHAT else {"Content-Type": "multipart/form-data; boundary=x"}
    async with running_proxy(PASSTHROUGH="all") as proxy, connect(proxy.port) as connection:
        merged = {**EXPECTING, "Content-Length": "100", **form, **headers}
        await connection.post(path, b"", merged)
        response = await asyncio.wait_for(connection.response(), 5)

    if path == "/v1/a%0Ab" and status != 401:
        status = 404
    assert response.status == status
    assert response.error()["code"]
    assert b"canary" not in response.body
    assert response.headers["connection"] == "close"


async def test_body_in_the_wrong_charset_is_not_asked_for() -> None:
    async with running_proxy() as proxy, connect(proxy.port) as connection:
        merged = {
            **EXPECTING,
            "Content-Length": "100",
            "Content-Type": "text/plain; charset=latin-1",
        }
        await connection.post(CHAT, b"", merged)
        response = await asyncio.wait_for(connection.response(), 5)

    assert (response.status, response.headers["connection"]) == (415, "close")


async def test_client_of_http_1_0_is_not_sent_an_interim_answer() -> None:
    body = b'{"model":"jarvis-echo","messages":[]}'
    async with running_proxy() as proxy, connect(proxy.port) as connection:
        head = (
            f"POST {CHAT} HTTP/1.0\r\nAuthorization: Bearer {KEY}\r\nExpect: 100-continue\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        await connection.send(head.encode() + body)
        assert (await connection.response()).status == 200


ZEROS = b"\0" * 1024 * 1024
BOMB_MIB = 96


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
async def test_bomb_is_not_inflated_past_the_limit(coding: str) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if coding == "gzip" else 15)
    body = b"".join(packer.compress(ZEROS) for _ in range(BOMB_MIB)) + packer.flush()
    if coding == "zstd":
        body = zstandard.ZstdCompressor(write_content_size=False).compress(ZEROS * BOMB_MIB)
    async with running_proxy(MAX_BODY_MB="1") as proxy:
        tracemalloc.start()
        try:
            response = await fetch(proxy.port, CHAT, body, {**JSON, "Content-Encoding": coding})
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert (response.status, response.error()["code"]) == (413, "request_too_large")
    assert peak < 16 * 1024 * 1024
