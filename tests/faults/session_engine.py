"""Plays the faults of sessions: an upstream's end for each, and all clients at once. IO."""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Literal

from jarvis_proxy.runtime.serve import _shutting_down
from tests.conftest import Proxy, running_proxy
from tests.faults.session_clients import NodeSessions, node_sessions, see_async, see_raw, see_sync
from tests.faults.session_rows import LIMIT, Seen, SessionRow
from tests.server.handlers.realtime_scene import USED
from tests.support.both_ends import OFFENCES, Arrival, BothEnds, die, dying_part
from tests.support.eventually import eventually
from tests.support.measured_proxy import ROOMY
from tests.support.raw_upstream import Peer
from tests.support.raw_websocket import CLOSE, RawSocket, accept

SessionClient = Literal["async", "sync", "node", "raw"]
CLIENTS: Final[tuple[SessionClient, ...]] = ("async", "sync", "node", "raw")
_PATIENCE: Final = 200.0
_FLOODED: Final = 0.5
"""Seconds after which a flood has filled every buffer on its way."""
SETTINGS: Final = {
    **ROOMY,
    "LOG_LEVEL": "info",
    "MAX_BODY_MB": "1",
    "WRITE_STALL_TIMEOUT": str(LIMIT),
    # A busy machine may not answer handshakes at once.
    "CONNECT_TIMEOUT": str(_PATIENCE),
    "FIRST_BYTE_TIMEOUT": str(_PATIENCE),
    "IDLE_TIMEOUT": str(LIMIT),
    "STREAM_TOTAL_TIMEOUT": str(LIMIT),
}


@dataclass
class Session:
    """One row for one client: an upstream of its own, and what came of it."""

    number: int
    row: SessionRow
    client: SessionClient
    seen: Seen | None = None
    upstream: int | None = None
    trouble: str = ""
    is_reached: bool = False

    @property
    def model(self) -> str:
        """The model that leads to its upstream."""
        return f"end{self.number}/gpt-realtime"

    @property
    def group(self) -> str:
        """Sessions of one group share a proxy."""
        if self.row.env:
            return f"own {self.number}"
        return f"drain {self.row.drains}" if self.row.drains else ""


async def run(wanted: Iterable[tuple[SessionRow, SessionClient]]) -> list[Session]:
    """Play every session that is wanted; return what was seen."""
    sessions = [Session(n, row, client) for n, (row, client) in enumerate(wanted)]
    ends = BothEnds()
    groups: dict[str, list[Session]] = defaultdict(list)
    for session in sessions:
        groups[session.group].append(session)
    has_node = any(session.client == "node" for session in sessions)
    with ThreadPoolExecutor(len(sessions)) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        async with (
            ends.upstream.running(),
            node_sessions() if has_node else contextlib.nullcontext() as in_node,
        ):
            await asyncio.gather(*(_play_group(group, ends, in_node) for group in groups.values()))
    return sessions


async def _play_group(
    sessions: list[Session], ends: BothEnds, in_node: NodeSessions | None
) -> None:
    base = ends.upstream.base_url.removesuffix("/v1")
    env = {**SETTINGS, **sessions[0].row.env}
    env["UPSTREAMS"] = ",".join(f"end{session.number}" for session in sessions)
    for number in (session.number for session in sessions):
        env[f"END{number}_BASE_URL"] = f"{base}/end{number}/v1"
        env[f"END{number}_API_KEY"] = "any-word"
    async with running_proxy(**env) as proxy:
        try:
            async with asyncio.timeout(_PATIENCE), asyncio.TaskGroup() as tasks:
                for session in sessions:
                    tasks.create_task(_play(session, ends, proxy, in_node))
                if sessions[0].row.drains:
                    await eventually(lambda: all(one.is_reached for one in sessions), _PATIENCE)
                    proxy.context.deadline_monitor.cancel_all(_shutting_down)
        except TimeoutError:
            for session in sessions:
                session.trouble = session.trouble or ("" if session.seen else "it does not end")


async def _play(
    session: Session, ends: BothEnds, proxy: Proxy, in_node: NodeSessions | None
) -> None:
    url, model, act = f"{proxy.url}/v1", session.model, session.row.act
    async with ends.arrival(session.number) as arrival:
        playing = asyncio.create_task(_act(session, arrival))
        try:
            match session.client:
                case "async":
                    session.seen = await see_async(url, model, act)
                case "sync":
                    session.seen = await asyncio.to_thread(see_sync, url, model, act)
                case "raw":
                    session.seen = await see_raw(proxy.port, model, act)
                case "node":
                    assert in_node is not None
                    session.seen = await in_node.see(url, model, act)
            await playing
        except Exception as exc:
            session.trouble = f"{type(exc).__name__}: {exc}"
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)


async def _act(session: Session, arrival: Arrival) -> None:
    """Play the upstream's end of *session*."""
    peer, request = await arrival
    row = session.row
    session.is_reached = row.drains == "handshake"
    if row.play == "refuses":
        await peer.reply(b"{}", 503)
    elif row.drains == "handshake":
        await peer.closed()
    elif row.death is not None and row.death.state == "handshake":
        die(peer.writer, row.death.way)
    else:
        offered = request.header("sec-websocket-protocol") or ""
        socket = await accept(peer, request, "realtime" if "realtime" in offered else None)
        created = {"type": "realtime", "object": "realtime.session", "id": "sess_1"}
        await socket.event(type="session.created", event_id="event_1", session=created)
        await _act_open(session, socket, peer)


async def _act_open(session: Session, socket: RawSocket, peer: Peer) -> None:
    row = session.row
    if row.death is not None:
        if row.death.state == "not reading":
            socket.pause()
            await asyncio.sleep(_FLOODED)
        elif row.death.state == "closing":
            await socket.until_close()
        else:
            await socket.receive()
            peer.writer.write(dying_part(row.death, mask=False))
        die(peer.writer, row.death.way)
        return
    if row.act != "sends too much":
        await socket.receive()
        session.is_reached = True
    if row.play == "offends":
        peer.writer.write(OFFENCES[row.offence](False))
    elif row.play == "spends" or row.play == "is slow":
        await socket.event(**_done())
    _, session.upstream = await socket.until_close()
    with contextlib.suppress(ConnectionError):
        await socket.send(CLOSE)


def _done() -> dict[str, object]:
    done = {"object": "realtime.response", "id": "r", "status": "completed", "output": []}
    used = json.loads(json.dumps(USED))
    return {**used, "event_id": "e", "response": {**done, **used["response"]}}
