"""The dashboard at the socket: who gets what, under which headers, and what is never in it."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from jarvis_proxy.client_guides import CLIENTS
from jarvis_proxy.routing.endpoints import ASSETS
from jarvis_proxy.server.handlers import dashboard
from jarvis_proxy.server.handlers.dashboard_feed import MAX_VIEWERS
from tests.conftest import BEARER, GEMINI_KEY, KEY, OPENAI_KEY, Proxy, running_proxy
from tests.support.eventually import eventually
from tests.support.raw_client import RawConnection, connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, completion

pytestmark = pytest.mark.slow

ADMIN_KEY = "admin-key-canary-0123456789"
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
CHAT = "/v1/chat/completions"
EVENTS = "/dashboard/events"
STATIC = Path(dashboard.__file__).parents[1] / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(completion())


class Viewer:
    """A viewer's connection, read event by event."""

    def __init__(self, connection: RawConnection) -> None:
        self.connection = connection
        self._rest = b""
        self.whole = b""

    async def event(self) -> tuple[str, Any]:
        """Return the next event's name and content."""
        while b"\n\n" not in self._rest:
            chunk = await self.connection.chunk()
            assert chunk, "the stream ended"
            self._rest += chunk
            self.whole += chunk
        block, _, self._rest = self._rest.partition(b"\n\n")
        name, content = block.decode().split("\n")
        return name.removeprefix("event: "), json.loads(content.removeprefix("data: "))

    async def snapshot(self) -> dict[str, Any]:
        """Return the next snapshot."""
        while True:
            name, content = await self.event()
            if name == "snapshot":
                assert isinstance(content, dict)
                return content


@contextlib.asynccontextmanager
async def viewing(proxy: Proxy, headers: Mapping[str, str] = ADMIN) -> AsyncIterator[Viewer]:
    """Open the events; the answer must be 200."""
    async with asyncio.timeout(20), connect(proxy.port) as connection:
        await connection.post(EVENTS, b"", headers, "GET")
        status, head = await connection.head()
        assert (status, head["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert head["cache-control"] == "no-store, no-transform"
        yield Viewer(connection)


# The page


async def test_page_comes_without_a_key_under_a_strict_policy() -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy:
        response = await fetch(proxy.port, "/dashboard", method="GET")

    assert response.status == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"].startswith(POLICY)
    assert "require-trusted-types-for 'script'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-cache"
    assert response.body == (STATIC / "dashboard.html").read_bytes()


@pytest.mark.parametrize("name", ASSETS)
async def test_every_file_of_the_page_is_served_with_its_type(name: str) -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy:
        response = await fetch(proxy.port, f"/dashboard/{name}", method="GET")

    kinds = {
        ".css": "text/css",
        ".html": "text/html",
        ".js": "text/javascript",
        ".svg": "image/svg+xml",
    }
    expected = kinds[Path(name).suffix]
    assert response.status == 200
    assert response.headers["content-type"] == f"{expected}; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.body == (STATIC / name).read_bytes()


def test_what_the_page_loads_is_what_is_served() -> None:
    html = (STATIC / "dashboard.html").read_text(encoding="utf-8")
    scripts = "".join(path.read_text(encoding="utf-8") for path in STATIC.glob("[a-z]*.js"))
    loaded = set(re.findall(r'(?:src|href)="dashboard/([^"]+)"', html))
    loaded |= set(re.findall(r'from "\./([^"]+)"', scripts))
    loaded |= set(re.findall(r'"dashboard/(errors[^"]*\.html)"', scripts))

    assert loaded == set(ASSETS)
    assert {path.name for path in STATIC.iterdir()} == {*ASSETS, "dashboard.html", "LICENSE-uPlot"}


def test_page_has_no_inline_code_and_no_way_from_text_to_markup() -> None:
    """The policy forbids it; this says so before a browser does."""
    html = "".join(path.read_text(encoding="utf-8") for path in STATIC.glob("*.html"))
    ours = [path for path in STATIC.iterdir() if path.suffix == ".js" and "uPlot" not in path.name]
    forbidden = (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "localStorage",
        "cssText",
        "setAttribute",
        "http://",
        "https://",
    )

    assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", html)
    assert not [
        (path.name, word) for path in ours for word in forbidden if word in path.read_text("utf-8")
    ]


def test_both_languages_have_the_same_words() -> None:
    text = (STATIC / "words.js").read_text(encoding="utf-8")
    english, chinese = (
        re.findall(r"(?:^  |, )(\w+): ", part.partition("\n};")[0], re.MULTILINE)
        for part in text.split("const CHINESE = ")[0:2]
    )
    html = (STATIC / "dashboard.html").read_text(encoding="utf-8")
    used = set(re.findall(r'data-t(?:-placeholder)?="(\w+)"', html))

    assert len(english) > 80
    assert english == chinese
    assert used <= set(english)


async def test_browser_that_has_a_file_gets_a_304_by_its_etag() -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy:
        path = "/dashboard/dashboard.css"
        first = await fetch(proxy.port, path, method="GET")
        etag = first.headers["etag"]
        same = await fetch(proxy.port, path, headers={"If-None-Match": etag}, method="GET")
        listed = {"If-None-Match": f'"other", {etag}'}
        among = await fetch(proxy.port, path, headers=listed, method="GET")
        other = await fetch(proxy.port, path, headers={"If-None-Match": '"other"'}, method="GET")
        page = await fetch(proxy.port, "/dashboard", method="GET")

    assert re.fullmatch(r'"[0-9a-f]{32}"', etag)
    assert [r.status for r in (same, among, other)] == [304, 304, 200]
    assert same.body == b""
    assert same.headers["etag"] == etag
    assert "content-security-policy" in same.headers
    assert page.headers["etag"] != etag


async def test_head_answers_the_length_and_sends_nothing() -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy, connect(proxy.port) as connection:
        await connection.post("/dashboard", b"", {"Connection": "close"}, "HEAD")
        status, headers = await connection.head()
        rest = await connection.reader.read()

    assert (status, rest) == (200, b"")
    assert int(headers["content-length"]) == (STATIC / "dashboard.html").stat().st_size


async def test_page_with_a_slash_behind_leads_to_the_page() -> None:
    """Its files are named in relation to the address without one."""
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy:
        response = await fetch(proxy.port, "/dashboard/", method="GET")

    assert (response.status, response.headers["location"]) == (308, "../dashboard")


@pytest.mark.parametrize("path", ["/dashboard", "/dashboard/", "/dashboard/dashboard.js", EVENTS])
@pytest.mark.parametrize("passthrough", ["inference", "all"])
async def test_without_an_admin_key_there_is_no_page(path: str, passthrough: str) -> None:
    async with running_proxy(PASSTHROUGH=passthrough) as proxy:
        closed = await fetch(proxy.port, path, method="GET")
        opened = await fetch(proxy.port, path, headers=BEARER, method="GET")
        unknown = await fetch(proxy.port, "/nowhere/at/all%", headers=BEARER, method="GET")

    assert proxy.context.live_stats is None
    assert closed.status == 401
    assert (opened.status, opened.error()["code"]) == (404, "unknown_url")
    assert opened.headers.keys() == unknown.headers.keys()


@pytest.mark.parametrize("name", ["LICENSE-uPlot", "dashboard.html", "..%2fdashboard.py", "x.js"])
async def test_no_other_file_is_served(name: str) -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy:
        response = await fetch(proxy.port, f"/dashboard/{name}", headers=BEARER, method="GET")

    assert response.status == 404


# Who may look


@pytest.mark.parametrize(
    "headers",
    [
        {},
        BEARER,
        {"Authorization": "Bearer wrong-key-of-someone"},
        {"Authorization": f"Bearer {ADMIN_KEY}x"},
        {"Authorization": f"Bearer {ADMIN_KEY[:-1]}"},
        {"Authorization": ""},
    ],
    ids=["none", "client's", "wrong", "longer", "shorter", "empty"],
)
async def test_any_other_key_is_refused(headers: dict[str, str]) -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy:
        response = await fetch(proxy.port, EVENTS, headers=headers, method="GET")

    assert (response.status, response.error()["code"]) == (401, "invalid_api_key")
    assert response.headers["www-authenticate"] == "Bearer"
    assert "ADMIN_KEY" in str(response.error()["message"])


async def test_settings_of_clients_are_for_the_admin_only_and_have_no_key() -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy:
        path = "/dashboard/clients?language=zh-CN"
        refused = await fetch(proxy.port, path, headers=BEARER, method="GET")
        response = await fetch(proxy.port, path, headers=ADMIN, method="GET")
        english = await fetch(proxy.port, "/dashboard/clients", headers=ADMIN, method="GET")
    async with running_proxy() as without:
        nowhere = await fetch(without.port, "/dashboard/clients", headers=BEARER, method="GET")

    assert (refused.status, nowhere.status) == (401, 404)
    assert response.status == english.status == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-security-policy"].startswith(POLICY)
    ids = [[guide["id"] for guide in json.loads(each.body)] for each in (response, english)]
    assert ids == [list(CLIENTS)] * 2
    assert response.body != english.body
    for key in (KEY, ADMIN_KEY, OPENAI_KEY, GEMINI_KEY):
        assert key.encode() not in response.body + english.body


async def test_a_key_in_the_address_opens_nothing() -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy:
        response = await fetch(proxy.port, f"{EVENTS}?key={ADMIN_KEY}", method="GET")
        log = proxy.logged()

    assert response.status == 401
    assert ADMIN_KEY not in log


async def test_admin_key_may_be_given_as_its_digest() -> None:
    digest = sha256(ADMIN_KEY.encode()).hexdigest()
    async with running_proxy(ADMIN_KEY=f"sha256:{digest}") as proxy, viewing(proxy) as viewer:
        assert (await viewer.event())[0] == "history"


async def test_admin_key_is_no_client_key() -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy:
        response = await fetch(proxy.port, "/v1/models", headers=ADMIN, method="GET")

    assert response.status == 401


async def test_wrong_keys_again_and_again_are_slowed_down_and_the_right_one_is_not() -> None:
    wrong = {"Authorization": "Bearer wrong-key-of-someone"}
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy:
        statuses = [
            (await fetch(proxy.port, EVENTS, headers=wrong, method="GET")).status for _ in range(12)
        ]
        client = await fetch(proxy.port, "/v1/models", headers=wrong, method="GET")
        async with viewing(proxy) as viewer:
            first, _ = await viewer.event()

    assert statuses == [401] * 10 + [429] * 2
    assert client.status == 429  # both kinds of keys are counted together
    assert first == "history"


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT"])
async def test_events_are_only_read(method: str) -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy, connect(proxy.port) as connection:
        await connection.post(EVENTS, b"", ADMIN, method)
        status, headers = await connection.head()

    assert (status, headers["allow"]) == (405, "GET")


async def test_a_page_elsewhere_cannot_read_the_events() -> None:
    origin = {"Origin": "https://page.example"}
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy, connect(proxy.port) as connection:
        await connection.post(EVENTS, b"", {**ADMIN, **origin}, "GET")
        status, headers = await connection.head()

    assert status == 200
    assert "access-control-allow-origin" not in headers
    assert headers["cross-origin-resource-policy"] == "same-origin"


async def test_there_is_room_for_so_many_viewers_and_again_when_one_has_left() -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy, contextlib.AsyncExitStack() as stack:
        viewers = [await stack.enter_async_context(viewing(proxy)) for _ in range(MAX_VIEWERS)]
        for viewer in viewers:
            await viewer.event()
        refused = await fetch(proxy.port, EVENTS, headers=ADMIN, method="GET")
        viewers[0].connection.writer.close()
        board = proxy.board
        await eventually(lambda: board.viewers < MAX_VIEWERS)
        again = await stack.enter_async_context(viewing(proxy))

        assert (refused.status, refused.error()["code"]) == (503, "overloaded")
        assert refused.headers["x-should-retry"] == "true"
        assert (await again.event())[0] == "history"


async def test_viewers_do_not_hold_up_a_drain() -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy, connect(proxy.port) as connection:
        await connection.post(EVENTS, b"", ADMIN, "GET")
        await connection.head()
        await connection.chunk()
        proxy.context.draining = True
        async with asyncio.timeout(10):
            rest = [chunk async for chunk in _chunks(connection)]

    assert rest[-1] == b""  # a whole body, not a cut one


async def _chunks(connection: RawConnection) -> AsyncIterator[bytes]:
    while (chunk := await connection.chunk()) is not None:
        yield chunk
        if not chunk:
            return


# What is shown


async def test_calls_are_shown_while_they_run_and_when_they_have_ended() -> None:
    go_on = asyncio.Event()

    async def slow(peer: Peer, request: Received) -> None:
        await go_on.wait()
        await peer.reply(completion())

    upstream = RawUpstream(slow)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, ADMIN_KEY=ADMIN_KEY) as proxy,
        viewing(proxy) as viewer,
    ):
        call = asyncio.create_task(fetch(proxy.port, CHAT, {"model": "gpt-4o"}, BEARER))
        await eventually(lambda: len(upstream.received) == 1)
        running = (await viewer.snapshot())["totals"]
        go_on.set()
        await call
        ended = await viewer.snapshot()
        while not ended["calls"]:
            ended = await viewer.snapshot()

    assert running["all"]["open"] == 1
    assert [(row["name"], row["open"]) for row in running["models"]] == [("gpt-4o", 1)]
    assert [(row["name"], row["open"]) for row in running["keys"]] == [("tester", 1)]
    (shown,) = ended["calls"]
    assert (shown["key"], shown["model"], shown["upstream"]) == ("tester", "gpt-4o", "openai")
    assert (shown["status"], shown["outcome"], shown["attempts"]) == (200, "ok", 1)
    assert ended["totals"]["all"]["open"] == 0
    assert ended["totals"]["all"]["calls"] == 1


async def test_errors_are_shown_by_their_cause() -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy:
        for _ in range(2):
            await fetch(proxy.port, CHAT, {"model": "gpt-4o"}, {"Authorization": "Bearer wrong"})
        await fetch(proxy.port, CHAT, b"{", {**BEARER, "Content-Type": "application/json"})
        async with viewing(proxy) as viewer:
            totals = (await viewer.snapshot())["totals"]

    assert [(c["code"], c["outcome"], c["calls"]) for c in totals["causes"]] == [
        ("invalid_api_key", "refused", 2),
        ("invalid_json", "refused", 1),
    ]
    assert totals["all"]["errors"] == 3


async def test_usage_of_today_is_shown() -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy:
        body = {"model": "jarvis-echo", "messages": [{"role": "user", "content": "hi"}]}
        await fetch(proxy.port, CHAT, dict(body), BEARER)
        async with viewing(proxy) as viewer:
            events = dict([await viewer.event() for _ in range(3)])

    assert [day["calls"] for day in events["usage"]["days"]] == [1]
    assert [key["name"] for key in events["usage"]["keys"]] == ["tester"]


async def test_no_content_no_key_and_no_address_is_in_any_event() -> None:
    async def echo(peer: Peer, request: Received) -> None:
        await peer.reply(completion(), extra=["x-secret: header-canary"])

    upstream = RawUpstream(echo)
    async with upstream.running(), running_proxy(upstream.base_url, ADMIN_KEY=ADMIN_KEY) as proxy:
        body: dict[str, object] = {
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": "prompt-canary"}],
        }
        asked = await fetch(proxy.port, CHAT, body, {**BEARER, "User-Agent": "agent-canary"})
        await fetch(proxy.port, f"/v1/models?key={KEY}&x=query-canary", method="GET")
        async with viewing(proxy) as viewer:
            await viewer.snapshot()
            sent = viewer.whole.decode()
        log = proxy.logged()

    assert asked.status == 200
    assert json.loads(asked.body)["choices"][0]["message"]["content"] not in sent
    for secret in ("canary", KEY, OPENAI_KEY, GEMINI_KEY, ADMIN_KEY, "127.0.0.1"):
        assert secret not in sent
    assert ADMIN_KEY not in log


async def test_a_viewer_is_in_the_log_but_not_in_the_traffic() -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy:
        async with viewing(proxy) as viewer:
            await viewer.event()
        board = proxy.board
        await eventually(lambda: board.viewers == 0)
        live = proxy.context.live_stats
        assert live is not None
        assert live.calls(0) == []
        log = proxy.logged()

    assert "key=admin" in log
    assert "route=/dashboard/events" in log


async def test_a_viewer_who_does_not_read_is_cut_off() -> None:
    env = {"ADMIN_KEY": ADMIN_KEY, "WRITE_STALL_TIMEOUT": "0.1"}
    async with running_proxy(**env) as proxy, connect(proxy.port) as connection:
        await connection.post(EVENTS, b"", ADMIN, "GET")
        await connection.head()
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
        board = proxy.board
        board._latest = b"data: " + b"x" * 50_000_000 + b"\n\n"
        board._publish()
        await eventually(lambda: board.viewers == 0)
