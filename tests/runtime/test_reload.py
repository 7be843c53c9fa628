"""Settings that change in mid-flight: new calls get the new ones, the others keep the old."""

import asyncio
import contextlib
import io
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from jarvis_proxy.accounting.usage_sqlite import SqliteUsageStore
from jarvis_proxy.canonical.translation import TranslatedUpstream
from jarvis_proxy.config.settings import Settings, SettingsError
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.observability.logging import ThreadedLineWriter, configure_logging
from jarvis_proxy.runtime.reload import ConfigReloader, restart_required
from tests.conftest import KEY
from tests.support.eventually import eventually
from tests.support.raw_client import RawResponse, connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk

pytestmark = pytest.mark.slow

OTHER_KEY = "other-key-0123456789abcdef"
CHAT = "/v1/chat/completions"
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


def settings(**env: str) -> Settings:
    nowhere = {"STATE_DIR": ""}
    return Settings.from_env({"PROXY_API_KEYS": KEY, "HOST": "127.0.0.1", **nowhere, **env})


@dataclass
class Served:
    """Generations that serve on a port, and their log."""

    reloader: ConfigReloader
    port: int
    log: io.StringIO
    writer: ThreadedLineWriter

    async def models(self, key: str) -> RawResponse:
        return await fetch(self.port, "/v1/models", headers={"x-api-key": key}, method="GET")

    async def stream(self, key: str = KEY, model: str = "gpt-4o") -> RawResponse:
        body: dict[str, object] = {"model": model, "messages": [], "stream": True}
        return await fetch(self.port, CHAT, body, {"x-api-key": key})


@contextlib.asynccontextmanager
async def serving(**env: str) -> AsyncIterator[Served]:
    stream = io.StringIO()
    first = settings(**env)
    writer, log = configure_logging(first.log_format, first.log_level, stream)
    reloader = ConfigReloader(first, log)
    await reloader.start()
    site = web.TCPSite(reloader.runner, "127.0.0.1", 0, ssl_context=reloader.tls)
    await site.start()
    try:
        yield Served(reloader, reloader.runner.addresses[0][1], stream, writer)
    finally:
        await reloader.close()
        writer.close()


class Held:
    """An upstream whose answers wait until the test releases them."""

    def __init__(self) -> None:
        self.upstream = RawUpstream(self.play)
        self.may_end = asyncio.Event()

    async def play(self, peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(chat_chunk("first"))
        await self.may_end.wait()
        await peer.chunk(chat_chunk(finish="stop") + b"data: [DONE]\n\n")
        await peer.last_chunk()

    @property
    def calls(self) -> int:
        return sum(r.path.endswith("completions") for r in self.upstream.received)

    def env(self) -> dict[str, str]:
        return {"OPENAI_API_KEY": "sk-upstream", "OPENAI_BASE_URL": self.upstream.base_url}


def whole(response: RawResponse) -> bool:
    return response.whole and response.body.endswith(b"data: [DONE]\n\n")


def gone() -> ProxyError:
    return ProxyError(503, "Gone.", code="server_shutdown")


async def test_new_requests_find_the_new_settings_on_open_connections_too() -> None:
    async with serving() as served, connect(served.port) as kept:
        await kept.post("/v1/models", b"", {"x-api-key": KEY}, "GET")
        assert (await kept.response()).status == 200
        await served.reloader.replace(settings(PROXY_API_KEYS=OTHER_KEY))
        await kept.post("/v1/models", b"", {"x-api-key": OTHER_KEY}, "GET")
        assert (await kept.response()).status == 200

        assert (await served.models(KEY)).status == 401
        assert (await served.models(OTHER_KEY)).status == 200


async def test_a_call_in_progress_ends_where_it_began_and_then_the_doors_are_closed() -> None:
    old, new = Held(), Held()
    async with (
        old.upstream.running(),
        new.upstream.running(),
        serving(**old.env()) as served,
    ):
        first = asyncio.create_task(served.stream())
        await eventually(lambda: old.calls == 1)
        await served.reloader.replace(settings(PROXY_API_KEYS=OTHER_KEY, **new.env()))
        second = asyncio.create_task(served.stream(OTHER_KEY))
        await eventually(lambda: new.calls == 1)
        assert len(served.reloader) == 2

        old.may_end.set()
        assert whole(await first)
        await eventually(lambda: old.upstream.open_connections == 0)
        new.may_end.set()
        assert whole(await second)
        assert (old.calls, new.calls) == (1, 1)
        await eventually(lambda: len(served.reloader) == 0)


async def test_a_removed_upstream_serves_its_last_call() -> None:
    held = Held()
    async with (
        held.upstream.running(),
        serving(
            UPSTREAMS="extra",
            EXTRA_BASE_URL=held.upstream.base_url,
            EXTRA_API_KEY="sk-extra",
            EXTRA_MODELS="extra-model",
        ) as served,
    ):
        asked = asyncio.create_task(served.stream(model="extra-model"))
        await eventually(lambda: held.calls == 1)
        await served.reloader.replace(settings())
        held.may_end.set()
        assert whole(await asked)
        assert (await served.stream(model="extra-model")).status == 404


async def test_every_generation_is_ended_and_drained() -> None:
    held = Held()
    async with held.upstream.running(), serving(**held.env()) as served:
        first = asyncio.create_task(served.stream())
        await eventually(lambda: held.calls == 1)
        await served.reloader.replace(settings(**held.env()))
        second = asyncio.create_task(served.stream())
        await eventually(lambda: held.calls == 2)
        served.reloader.drain()
        ready = await fetch(served.port, "/ready", method="GET")
        served.reloader.cancel_all(gone)

        for answer in (await first, await second):
            assert b'"code":"server_shutdown"' in answer.body
        assert ready.status == 503


async def test_settings_that_come_in_a_drain_do_not_end_it() -> None:
    async with serving() as served:
        served.reloader.drain()
        await served.reloader.replace(settings())

        assert (await fetch(served.port, "/ready", method="GET")).status == 503


async def test_what_clients_build_on_outlives_a_change() -> None:
    async with serving(GEMINI_API_KEY="AIza-upstream") as served:
        before = served.reloader.context
        await served.reloader.replace(settings(GEMINI_API_KEY="AIza-other"))
        after = served.reloader.context

        assert after is not before
        assert after.admission.limiter is before.admission.limiter
        stores = []
        for context in (before, after):
            upstream = context.endpoints["gemini"].api.upstream
            assert isinstance(upstream, TranslatedUpstream)
            stores.append(vars_of(upstream.adapter)["_signatures"])
        assert stores[0] is stores[1]


def vars_of(thing: object) -> dict[str, object]:
    """Return an object's attributes, slots or not."""
    slots = [s for c in type(thing).__mro__ for s in getattr(c, "__slots__", ())]
    return {**getattr(thing, "__dict__", {}), **{s: getattr(thing, s) for s in slots}}


async def test_limits_on_connections_change_too() -> None:
    async with serving() as served, connect(served.port) as first:
        await first.send(HEALTH)
        await first.response()
        await served.reloader.replace(settings(MAX_CONNECTIONS="1"))
        async with connect(served.port) as second:
            assert (await second.response()).status == 503
        await served.reloader.replace(settings(TRUSTED_PROXIES="127.0.0.0/8"))
        async with connect(served.port) as third:
            await third.send(HEALTH)
            assert (await third.response()).status == 200
            assert served.reloader.runner.server.keepalive_timeout == 130


async def test_level_and_form_of_the_log_change_too() -> None:
    async with serving() as served:
        await fetch(served.port, "/health", method="GET")
        await served.reloader.replace(settings(LOG_LEVEL="debug", LOG_FORMAT="json"))
        await fetch(served.port, "/health", method="GET")
        served.writer.close()
        lines = [line for line in served.log.getvalue().splitlines() if "/health" in line]

    (line,) = lines  # at "info" the first one is not worth a line
    assert line.startswith('{"time":')


# The certificate


def write_certificate(folder: Path, authority: trustme.CA, name: str) -> None:
    issued = authority.issue_cert(name)
    (folder / "cert.pem").write_bytes(issued.cert_chain_pems[0].bytes())
    (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())


async def served_name(port: int, authority: trustme.CA) -> str:
    """Return the name in the certificate that a new connection is shown."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.check_hostname = False
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    certificate = writer.get_extra_info("peercert")
    writer.close()
    return str(certificate["subjectAltName"][0][1])


async def test_the_certificate_is_read_again_and_a_broken_one_changes_nothing(
    tmp_path: Path,
) -> None:
    authority = trustme.CA()
    write_certificate(tmp_path, authority, "first.example")
    env = {
        "TLS_CERT_FILE": str(tmp_path / "cert.pem"),
        "TLS_KEY_FILE": str(tmp_path / "key.pem"),
    }
    async with serving(**env) as served:
        assert await served_name(served.port, authority) == "first.example"
        (tmp_path / "key.pem").write_text("broken")
        before = served.reloader.context
        with pytest.raises(SettingsError):
            await served.reloader.replace(settings(PROXY_API_KEYS=OTHER_KEY, **env))
        assert served.reloader.context is before
        assert await served_name(served.port, authority) == "first.example"

        write_certificate(tmp_path, authority, "second.example")
        await served.reloader.replace(settings(**env))
        assert await served_name(served.port, authority) == "second.example"


async def test_https_cannot_be_turned_on_or_off_while_it_runs(tmp_path: Path) -> None:
    write_certificate(tmp_path, trustme.CA(), "a.example")
    files = {"TLS_CERT_FILE": str(tmp_path / "cert.pem"), "TLS_KEY_FILE": str(tmp_path / "key.pem")}
    async with serving() as served:
        await served.reloader.replace(settings(**files))
        assert (await fetch(served.port, "/health", method="GET")).status == 200

    assert restart_required(settings(), settings(**files)) == ["TLS_CERT_FILE"]


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({}, []),
        ({"HOST": "127.0.0.2"}, ["HOST"]),
        ({"PORT": "9001"}, ["PORT"]),
        ({"WORKERS": "2", "REDIS_URL": "redis://127.0.0.1/0"}, ["WORKERS", "REDIS_URL"]),
        ({"STATE_DIR": "elsewhere"}, ["STATE_DIR"]),
        ({"HOST": "::1", "PORT": "1"}, ["HOST", "PORT"]),
        ({"PROXY_API_KEYS": OTHER_KEY, "MAX_BODY_MB": "1", "IDLE_TIMEOUT": "1"}, []),
    ],
)
def test_what_only_a_restart_can_change_is_named(env: dict[str, str], named: list[str]) -> None:
    assert restart_required(settings(), settings(**env)) == named


async def test_an_application_that_cannot_start_leaves_the_one_that_runs() -> None:
    broken = replace(settings(), model_aliases=None)  # type: ignore[arg-type]  # a mistake in the code
    async with serving() as served:
        before = served.reloader.context
        with pytest.raises((TypeError, AttributeError)):
            await served.reloader.replace(broken)

        assert served.reloader.context is before
        assert (await served.models(KEY)).status == 200


async def test_closing_ends_what_is_in_progress_everywhere() -> None:
    held = Held()
    async with held.upstream.running():
        async with serving(**held.env()) as served:
            asked = asyncio.create_task(served.stream())
            await eventually(lambda: held.calls == 1)
            await served.reloader.replace(settings(**held.env()))
        answer = await asyncio.wait_for(asked, 5)
        assert not whole(answer)
        held.may_end.set()
        await eventually(lambda: held.upstream.open_connections == 0)


async def test_what_keys_used_is_counted_on_across_a_change(tmp_path: Path) -> None:
    held = Held()
    async with held.upstream.running():
        env = {**held.env(), "STATE_DIR": str(tmp_path)}
        async with serving(**env) as served:
            streaming = asyncio.create_task(served.stream())
            await eventually(lambda: held.calls == 1)
            await served.reloader.replace(settings(**env))
            held.may_end.set()
            await streaming
            await served.stream()
            metrics = served.reloader.context.metrics
    stored = await SqliteUsageStore(tmp_path).load("")
    counted = {family.name: family.samples for family in metrics.families()}

    assert stored is not None
    assert [row.totals.calls for row in stored] == [2]
    assert sum(counted["jarvis_upstream_calls"].values()) == 2


async def test_budgets_change_with_the_settings() -> None:
    key = {"PROXY_API_KEYS": f"laptop:{KEY}"}
    body: dict[str, object] = {
        "model": "jarvis-echo",
        "messages": [{"role": "user", "content": "Hi"}],
    }
    async with serving(**key) as served:
        before = await fetch(served.port, CHAT, body, {"x-api-key": KEY})
        await served.reloader.replace(settings(**key, KEY_LAPTOP_BUDGET="1token/day"))
        after = await fetch(served.port, CHAT, body, {"x-api-key": KEY})

    assert (before.status, after.status) == (200, 429)
