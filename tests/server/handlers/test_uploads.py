"""Uploads: routed by a field of the form, never larger or slower than allowed; held up to it."""

import asyncio

import pytest

from tests.conftest import BEARER, running_proxy
from tests.server.handlers.forms import (
    FORM,
    MIB,
    SPEECH,
    TEXT,
    TYPE,
    Sink,
    answer,
    field,
    file,
    form,
    model,
    send,
    uploaded,
)
from tests.support.eventually import eventually
from tests.support.raw_client import connect, fetch
from tests.support.raw_upstream import RawUpstream

pytestmark = pytest.mark.slow


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
    "alias": ("ears", {"MODEL_ALIASES": "ears=openai/whisper-1"}, "whisper-1"),
    "named-upstream": ("openai/whisper-1", {}, "whisper-1"),
    "another-upstream": ("whisper-large-v3", {"GROQ_MODELS": "whisper-large-v3"}, ""),
    "no-key-of-openai": (
        "whisper-large-v3",
        {"GROQ_MODELS": "whisper-large-v3", "OPENAI_API_KEY": ""},
        "",
    ),
    "allowed-model": ("whisper-1", {"KEY_TESTER_MODELS": "whisper-1"}, "whisper-1"),
}


@pytest.mark.parametrize(("name", "env", "sent_as"), LATE.values(), ids=LATE)
@pytest.mark.parametrize("order", ["model first", "file first"])
async def test_form_goes_where_its_model_is_in_either_order(
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


async def test_late_model_that_takes_no_forms_is_refused_and_nothing_was_sent() -> None:
    response, received, _ = await uploaded(form(file(3 * MIB), model("jarvis-echo")))

    assert (response.status, response.error()["code"]) == (400, "unsupported_endpoint")
    assert received == []


async def test_what_comes_before_the_model_is_held_and_counted_until_it_goes_on() -> None:
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


async def test_form_without_room_is_refused_and_nothing_was_sent() -> None:
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


async def test_form_without_end_is_held_up_to_the_largest_body() -> None:
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
