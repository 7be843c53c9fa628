"""A page of another site, with OpenAI's SDK in the browser: what CORS lets it ask and read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.browser.driver import missing, package, play
from tests.conftest import KEY, running_proxy
from tests.support.sdk_upstreams import TEXT, FakeGemini, FakeOpenAI

_SDK = package("openai")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(missing()), reason=f"no browser to test in: {missing()}"),
    pytest.mark.skipif(_SDK is None, reason="openai, a package for Node.js, is not installed"),
]
MODELS = ["gpt-4o", "gemini-3.5-flash", "jarvis-echo"]


@contextlib.asynccontextmanager
async def page() -> AsyncIterator[str]:
    """Serve an empty page with the SDK next to it; yield its address."""

    async def empty(request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>chat</title>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", empty)
    app.router.add_static("/openai", Path(str(_SDK)).parent)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def test_the_sdk_in_a_page_streams_from_every_upstream_and_reads_errors() -> None:
    openai, gemini = FakeOpenAI(), FakeGemini()
    async with (
        openai.upstream.running(),
        gemini.upstream.running(),
        running_proxy(openai.upstream.base_url, gemini.upstream.base_url) as proxy,
        page() as url,
    ):
        found = await play("another_site", url, proxy=proxy.url, key=KEY, models=MODELS)

    assert found["origin"] != proxy.url
    assert found["texts"] == {
        "gpt-4o": TEXT,
        "gemini-3.5-flash": TEXT,
        "jarvis-echo": "How is the weather?",
    }
    assert found["id"].startswith("req_")  # a header that a page reads only where it is exposed
    assert "gemini-3-flash" in found["models"]
    assert found["errors"] == {
        "wrong key": [401, "invalid_api_key"],
        "wrong place": [400, "unsupported_endpoint"],
    }


async def test_a_page_that_is_not_allowed_reads_nothing() -> None:
    async with running_proxy(CORS_ORIGINS="https://chat.example") as proxy, page() as url:
        with pytest.raises(AssertionError, match="Connection error"):
            await asyncio.wait_for(
                play("another_site", url, proxy=proxy.url, key=KEY, models=["jarvis-echo"]), 30
            )
