"""Plays rows of the matrix: one upstream, one proxy for each set of limits, all clients. IO."""

import asyncio
import contextlib
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import openai

from tests.conftest import GEMINI_KEY, KEY, OPENAI_KEY, Proxy, running_proxy
from tests.faults import node, others
from tests.faults.addresses import Addresses, opened
from tests.faults.clients import Observed, ask, ask_async, ask_raw
from tests.faults.dialects import DIALECTS, Dialect, Surface
from tests.faults.kinds import ClientKind
from tests.faults.rows import SETTINGS, Limits, Row, Sight
from tests.faults.scripts import Script, Stage, play
from tests.support.eventually import eventually
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.raw_upstream import Script as Player

_AT_ONCE: Final = 24
_RETRYING_AT_ONCE: Final = 3
"""A proxy lets so many calls be retried, however few are in progress (attempts.RetryBudget)."""
_SHARDS: Final = 4
"""Proxies among which the rows with retries are dealt out."""
_PATIENCE: Final = 25.0
_ROOMY: Final = {
    "MAX_STREAMS": "100000",
    "MAX_STREAMS_PER_KEY": "100000",
    "MAX_CONNECTIONS": "100000",
    "MAX_CONNECTIONS_PER_IP": "100000",
}
"""A matrix is a crowd from one address with one key: what limits crowds is tested elsewhere."""

_UNIT: Final = re.compile(r"/u(\d+)[/:-]|gemini-u(\d+):")


@dataclass(repr=False)
class Unit:
    """One row on one surface for one client: an upstream of its own, and what came of it."""

    number: int
    row: Row
    surface: Surface
    client: ClientKind
    requests: int = 0
    sent: bytes = b""
    observed: Observed | None = None
    trouble: str = ""
    on_stage: int = 0

    @property
    def dialect(self) -> Dialect:
        """The form of its answers."""
        return DIALECTS[self.surface]

    @property
    def script(self) -> Script:
        """What its upstream plays."""
        return self.row.cases[self.surface][0]

    @property
    def sight(self) -> Sight:
        """What its client is to see."""
        return self.row.cases[self.surface][1]

    @property
    def model(self) -> str:
        """The model that leads to its script."""
        name = f"u{self.number}"
        return f"gemini-{name}" if self.is_gemini else f"{name}/gpt-4o-mini"

    @property
    def is_gemini(self) -> bool:
        """Whether its upstream is the built-in one."""
        return self.dialect.upstream == "google"

    @property
    def path(self) -> str:
        """Where its upstream's API is, below the address."""
        if self.is_gemini:
            return "gemini"
        return f"u{self.number}" + ("" if self.dialect.upstream == "anthropic" else "/v1")

    @property
    def request(self) -> dict[str, Any]:
        """What its client asks."""
        return self.dialect.request(self.model)

    @property
    def proxy(self) -> str:
        """Name the proxy that it goes through, among those with the same limits."""
        if self.alone:
            return f"own {self.number}"
        return f"shard {self.number % _SHARDS}" if self.row.retried else ""

    @property
    def alone(self) -> bool:
        """Whether it needs a proxy to itself: all of Gemini shares its keys and its breaker."""
        return self.is_gemini and (
            self.row.retried
            or self.row.fresh
            or self.row.keys > 1
            or self.row.address != "scripted"
        )


@dataclass
class Sdks:
    """The SDKs that serve a whole run."""

    node: node.NodeSdk | None
    others: others.OtherSdks


@dataclass(repr=False)
class Run:
    """All units of one run, and everything that was logged."""

    units: dict[tuple[str, Surface, ClientKind], Unit] = field(default_factory=dict)
    log: str = ""


async def run(wanted: Iterable[tuple[Row, Surface, ClientKind]]) -> Run:
    """Play every unit that is wanted and return what was seen."""
    units = [Unit(n, row, surface, client) for n, (row, surface, client) in enumerate(wanted)]
    result = Run({(u.row.name, u.surface, u.client): u for u in units})
    upstream = RawUpstream(_dispatch(units))
    groups: dict[tuple[Limits, str], list[Unit]] = defaultdict(list)
    for unit in units:
        groups[unit.row.limits, unit.proxy].append(unit)
    has_node = any(unit.client.endswith("node") for unit in units)
    async with (
        upstream.running(),
        opened(upstream.port) as addresses,
        node.running() if has_node else contextlib.nullcontext() as in_node,
        others.opened() as in_python,
    ):
        sdks = Sdks(in_node, in_python)
        at_once = asyncio.Semaphore(_AT_ONCE)
        with ThreadPoolExecutor(8) as threads:
            asyncio.get_running_loop().set_default_executor(threads)
            logs = await asyncio.gather(
                *(
                    _play_group(group, limits, addresses, at_once, sdks)
                    for (limits, _), group in groups.items()
                )
            )
        await eventually(lambda: not any(unit.on_stage for unit in units))
    result.log = "".join(logs)
    return result


def _dispatch(units: list[Unit]) -> Player:
    async def script(peer: Peer, request: Received) -> None:
        if request.method == "GET":
            # A connection left behind in the pool would change what some rows meet.
            await peer.reply(
                b'{"object":"list","data":[],"models":[]}', extra=["Connection: close"]
            )
            peer.close()
            return
        found = _UNIT.search(request.path)
        assert found is not None
        unit = units[int(found[1] or found[2])]
        stage = Stage(peer, unit.dialect, unit.requests)
        unit.requests += 1
        unit.on_stage += 1
        try:
            await play(unit.script, stage)
        finally:
            unit.on_stage -= 1
            unit.sent = bytes(stage.sent)

    return script


async def _play_group(
    units: list[Unit],
    limits: Limits,
    addresses: Addresses,
    at_once: asyncio.Semaphore,
    sdks: Sdks,
) -> str:
    env = {**_ROOMY, **SETTINGS[limits]}
    gemini = addresses.base_url("scripted", "gemini")
    for unit in units:
        keys = ",".join([OPENAI_KEY, *(f"{OPENAI_KEY}-{n}" for n in range(1, unit.row.keys))])
        base = addresses.base_url(unit.row.address, unit.path)
        if unit.is_gemini:
            env["GEMINI_API_KEY"] = keys.replace(OPENAI_KEY, GEMINI_KEY)
            gemini = base if unit.alone else gemini
        else:
            door = "ANTHROPIC_URL" if unit.dialect.upstream == "anthropic" else "BASE_URL"
            env[f"U{unit.number}_{door}"], env[f"U{unit.number}_API_KEY"] = base, keys
    env["UPSTREAMS"] = ",".join(f"u{u.number}" for u in units if not u.is_gemini)
    async with running_proxy(gemini=gemini, **env) as proxy:
        for unit in units:
            await _lead_to(addresses, proxy, unit)
        await _play_all(units, proxy, at_once, sdks)
        return proxy.logged()


async def _lead_to(addresses: Addresses, proxy: Proxy, unit: Unit) -> None:
    """Give the way to a unit's upstream the names and the trust that its row asks for."""
    transport = addresses.transport(unit.row.address, unit.path)
    if transport is not None:
        place = proxy.context.endpoints["gemini" if unit.is_gemini else f"u{unit.number}"]
        replaced, place.api.transport = place.api.transport, transport
        await replaced.close()


async def _play_all(
    units: list[Unit], proxy: Proxy, at_once: asyncio.Semaphore, sdks: Sdks
) -> None:
    url = f"{proxy.url}/v1"
    few = asyncio.Semaphore(_RETRYING_AT_ONCE)
    options = {"base_url": url, "api_key": KEY, "max_retries": 0, "timeout": _PATIENCE}
    with openai.OpenAI(**options) as sync_client:  # type: ignore[arg-type]
        async with openai.AsyncOpenAI(**options) as async_client:  # type: ignore[arg-type]

            async def once(unit: Unit) -> Observed:
                match unit.client:
                    case "sync":
                        return await asyncio.to_thread(ask, sync_client, unit.dialect, unit.request)
                    case "async":
                        return await ask_async(async_client, unit.dialect, unit.request)
                    case "node" | "anthropic-node" | "google-node":
                        assert sdks.node is not None
                        base = url if unit.client == "node" else proxy.url
                        return await sdks.node.ask(base, unit.surface, unit.request)
                    case "anthropic-python":
                        return await sdks.others.ask_anthropic(proxy.url, unit.request)
                    case "google-python":
                        return await sdks.others.ask_google(proxy.url, unit.request)
                    case _:
                        return await ask_raw(proxy.port, unit.dialect, unit.request)

            async def one(unit: Unit) -> None:
                async with few if unit.row.retried else contextlib.nullcontext(), at_once:
                    await _times(unit, once)

            await asyncio.gather(*map(one, units))


async def _times(unit: Unit, once: Callable[[Unit], Awaitable[Observed]]) -> None:
    try:
        async with asyncio.timeout(_PATIENCE):
            for _ in range(unit.row.times):
                unit.observed = await once(unit)
    except Exception as exc:
        unit.trouble = f"{type(exc).__name__}: {exc}"
