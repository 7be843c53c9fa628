"""Lists of models: asked for behind the callers' backs, and kept when an upstream fails."""

import asyncio
import json

import pytest

from jarvis_proxy.routing.model_list import openai_list
from jarvis_proxy.upstream_client.model_refresher import ModelListRefresher
from tests.conftest import BEARER, GEMINI_KEY, OPENAI_KEY, Proxy, running_proxy
from tests.support.eventually import eventually
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

OPENAI_LIST = json.dumps(
    {"object": "list", "data": [{"id": "gpt-9", "object": "model", "created": 7, "owned_by": "o"}]}
).encode()


def gemini_page(name: str, following: str | None = None) -> bytes:
    model = {"name": f"models/{name}", "supportedGenerationMethods": ["generateContent"]}
    return json.dumps({"models": [model], "nextPageToken": following}).encode()


async def openai_answer(peer: Peer, request: Received) -> None:
    await peer.reply(OPENAI_LIST)


def ids(proxy: Proxy) -> set[str]:
    listed = json.loads(openai_list(proxy.context.model_list.models(lambda name: True)))
    return {model["id"] for model in listed["data"]}


async def test_every_upstream_with_a_key_is_asked_with_its_key() -> None:
    openai = RawUpstream(openai_answer, plays_lists=True)

    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(gemini_page("gemini-9"))

    gemini = RawUpstream(play, base_path="/v1beta", plays_lists=True)
    keyless = RawUpstream(openai_answer, plays_lists=True)
    async with openai.running(), gemini.running(), keyless.running():
        env = {"UPSTREAMS": "other", "OTHER_BASE_URL": keyless.base_url}
        async with running_proxy(openai.base_url, gemini.base_url, **env) as proxy:
            await proxy.context.refresher.refresh()
            found = ids(proxy)

    assert {"gpt-9", "gemini-9", "gpt-4o", "jarvis-echo"} <= found
    (asked,) = openai.received
    assert (asked.method, asked.path) == ("GET", "/v1/models")
    assert asked.header("Authorization") == f"Bearer {OPENAI_KEY}"
    (asked,) = gemini.received
    assert asked.path == "/v1beta/models?pageSize=1000"
    assert asked.header("x-goog-api-key") == GEMINI_KEY
    assert keyless.received == []


async def test_pages_are_turned_until_the_last_one() -> None:
    async def play(peer: Peer, request: Received) -> None:
        pages = {
            "": ("gemini-a", "2&x=/"),
            "2%26x%3D%2F": ("gemini-b", "3"),
            "3": ("gemini-c", None),
        }
        name, following = pages[request.path.partition("&pageToken=")[2]]
        await peer.reply(gemini_page(name, following))

    gemini = RawUpstream(play, base_path="/v1beta", plays_lists=True)
    async with gemini.running(), running_proxy(gemini=gemini.base_url) as proxy:
        await proxy.context.refresher.refresh()
        assert {"gemini-a", "gemini-b", "gemini-c"} <= ids(proxy)

    assert len(gemini.received) == 3


@pytest.mark.parametrize(("tokens", "pages"), [("same", 2), ("new", 20)])
async def test_pages_that_never_end_are_not_turned_for_ever(tokens: str, pages: int) -> None:
    async def play(peer: Peer, request: Received) -> None:
        number = len(gemini.received)
        token = "again" if tokens == "same" else f"page-{number}"
        await peer.reply(gemini_page(f"gemini-{number}", token))

    gemini = RawUpstream(play, base_path="/v1beta", plays_lists=True)
    async with gemini.running(), running_proxy(gemini=gemini.base_url) as proxy:
        await proxy.context.refresher.refresh()
        assert f"gemini-{pages}" in ids(proxy)

    assert len(gemini.received) == pages


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (500, b"{}", "status_500"),
        (401, b"{}", "status_401"),
        (302, b"", "status_302"),
        (200, b"<html>canary</html>", "upstream_bad_response"),
        (200, b"", "upstream_bad_response"),
        (200, b'{"data":5}', "upstream_bad_response"),
        (200, b"[" + b" " * (9 * 1024 * 1024), "upstream_bad_response"),
    ],
    ids=["500", "401", "302", "html", "empty", "shape", "endless"],
)
async def test_list_that_cannot_be_read_leaves_the_old_one(
    status: int, body: bytes, code: str
) -> None:
    async def play(peer: Peer, request: Received) -> None:
        if len(openai.received) == 1:
            await peer.reply(OPENAI_LIST)
        else:
            await peer.reply(body, status)

    openai = RawUpstream(play, plays_lists=True)
    async with openai.running(), running_proxy(openai.base_url, GEMINI_API_KEY="") as proxy:
        await proxy.context.refresher.refresh()
        await proxy.context.refresher.refresh()
        assert "gpt-9" in ids(proxy)
        assert proxy.context.model_list.failing() == ["openai"]
        response = await fetch(proxy.port, "/v1/models", headers=BEARER, method="GET")
        log = proxy.logged()

    assert response.headers["x-jarvis-warning"] == "models not up to date: openai"
    assert f"warning the model list of openai could not be read: {code}" in log
    assert "canary" not in log


async def test_list_that_is_cut_is_no_list() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head(200, "application/json", length=500)
        await peer.send(OPENAI_LIST)
        peer.close()

    openai = RawUpstream(play, plays_lists=True)
    async with openai.running(), running_proxy(openai.base_url) as proxy:
        await proxy.context.refresher.refresh()
        assert "gpt-9" not in ids(proxy)
        log = proxy.logged()

    assert "could not be read: upstream_truncated" in log


async def test_unreachable_upstream_is_logged_once_and_does_not_affect_others() -> None:
    openai = RawUpstream(openai_answer, plays_lists=True)
    async with openai.running(), running_proxy(openai.base_url) as proxy:
        await proxy.context.refresher.refresh()
        assert "gpt-9" in ids(proxy)
        log = proxy.logged()

    assert log.splitlines()[0].endswith(
        "warning the model list of gemini could not be read: upstream_connect_error"
    )


async def test_upstream_that_never_answers_is_given_up() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.closed()

    openai = RawUpstream(play, plays_lists=True)
    async with openai.running(), running_proxy(openai.base_url) as proxy:
        context = proxy.context
        refresher = ModelListRefresher(context.model_list, context.endpoints, timeout=0.1)
        await asyncio.wait_for(refresher.refresh(), 5)
        log = proxy.logged()

    assert "the model list of openai could not be read: timeout" in log


async def test_lists_are_read_after_the_start_and_again_when_old_and_wanted() -> None:
    openai = RawUpstream(openai_answer, plays_lists=True)
    async with openai.running(), running_proxy(openai.base_url, GEMINI_API_KEY="") as proxy:
        context = proxy.context
        context.refresher = ModelListRefresher(
            context.model_list, context.endpoints, first_after=0.0, stale_after=0.0
        )
        running = asyncio.create_task(context.refresher.run())
        await eventually(lambda: "gpt-9" in ids(proxy))
        assert len(openai.received) == 1
        for path in ("/v1/models", "/v1/models/gpt-9"):
            before = len(openai.received)
            await fetch(proxy.port, path, headers=BEARER, method="GET")
            await eventually(lambda before=before: len(openai.received) > before)  # type: ignore[misc] # mypy's limit
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_fresh_lists_are_not_asked_for_again() -> None:
    openai = RawUpstream(openai_answer, plays_lists=True)
    async with openai.running(), running_proxy(openai.base_url) as proxy:
        await proxy.context.refresher.refresh()
        await fetch(proxy.port, "/v1/models", headers=BEARER, method="GET")
        assert not proxy.context.refresher._wanted.is_set()


async def test_nothing_is_wanted_before_the_first_list_was_asked_for() -> None:
    openai = RawUpstream(openai_answer, plays_lists=True)
    async with openai.running(), running_proxy(openai.base_url) as proxy:
        proxy.context.refresher.wake_if_stale()
        assert not proxy.context.refresher._wanted.is_set()
