"""A session: frames both ways as they came, until one side ends it. IO.

Each direction is one task that sends a frame before it reads the next one, so a side that does
not read stops the other side from being read. Every end is passed on within a second.
"""

import asyncio
import contextlib
import secrets
from dataclasses import dataclass
from typing import Final, Literal

from aiohttp import WSCloseCode, WSMsgType

from jarvis_proxy.aiohttp_ext.websockets import (
    NO_CODE,
    Frame,
    PeerBroken,
    PeerLost,
    WebSocketPeer,
    close_frame,
)
from jarvis_proxy.dialects.realtime.events import error_event
from jarvis_proxy.errors import LimitExceeded, ProxyError
from jarvis_proxy.server.relay.realtime_observer import SessionObserver

_LAST_SECOND: Final = 1.0
"""Seconds for all that is sent after an end."""
_GOOD: Final = (WSCloseCode.OK, WSCloseCode.GOING_AWAY, NO_CODE)
Side = Literal["client", "upstream"]


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """Why a session ended: *side* closed with *code*, was lost, or was refused with *error*."""

    side: Side | Literal["proxy"]
    frame: Frame | None = None
    broken: int = 0
    """The close code for a side that sent what is no WebSocket."""
    error: ProxyError | None = None

    @property
    def is_good(self) -> bool:
        """Whether the session ended as planned."""
        return self.frame is not None and (self.side == "client" or self.frame.close_code in _GOOD)


class RealtimeSession:
    """Relays between *client* and *upstream*; *observer* sees every frame."""

    __slots__ = ("_client", "_down", "_observer", "_up", "_upstream", "end")

    def __init__(
        self, client: WebSocketPeer, upstream: WebSocketPeer, observer: SessionObserver
    ) -> None:
        self._client = client
        self._upstream = upstream
        self._observer = observer
        self._up: asyncio.Task[SessionEnd]
        self._down: asyncio.Task[SessionEnd]
        self.end: SessionEnd | None = None
        """Why it ended; None while it goes on."""

    async def run(self) -> SessionEnd:
        """Relay until the end, which both sides know then; return it.

        A cancellation leaves both sides open, for ``stop`` and ``leave``.
        """
        self._up = asyncio.create_task(self._from_client(), name="realtime up")
        self._down = asyncio.create_task(self._from_upstream(), name="realtime down")
        both = (self._up, self._down)
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        # If both have ended, a close frame says more than a lost connection.
        ends = [task.result() for task in both if task.done()]
        self.end = next((end for end in ends if end.frame is not None), ends[0])
        await self._pass_on(self.end)
        return self.end

    async def _from_client(self) -> SessionEnd:
        while True:
            end, frame = await _next(self._client, "client")
            if end is not None:
                return end
            try:
                frame = self._observer.from_client(frame)
                if not await _sent(self._upstream, frame):
                    return SessionEnd("upstream")
            except ProxyError as error:  # this concerns one event only
                if not await _sent(self._client, _error_frame(error)):
                    return SessionEnd("client")

    async def _from_upstream(self) -> SessionEnd:
        while True:
            end, frame = await _next(self._upstream, "upstream")
            if end is not None:
                return end
            if not await _sent(self._client, self._observer.from_upstream(frame)):
                return SessionEnd("client")
            try:
                self._observer.check_budget()
            except LimitExceeded as error:
                return SessionEnd("proxy", error=error)

    async def _pass_on(self, end: SessionEnd) -> None:
        """Tell the other side, or both, how it ended."""
        if end.frame is not None:
            await self._pass_close(end.side, end.frame)
        elif end.side == "proxy" and end.error is not None:
            await self.stop(end.error, WSCloseCode.POLICY_VIOLATION)
        elif end.side == "upstream":
            code = end.broken if end.broken == WSCloseCode.MESSAGE_TOO_BIG else 0
            await self.stop(upstream_lost(end), code or WSCloseCode.INTERNAL_ERROR, end.broken)
        elif end.broken:
            await self.stop(_client_broke(end), end.broken)
        else:
            await self.leave()

    async def _pass_close(self, side: Side | Literal["proxy"], frame: Frame) -> None:
        """Pass a close frame on, and the answer to it back."""
        source, other, answers = self._client, self._upstream, self._down
        if side == "upstream":
            source, other, answers = self._upstream, self._client, self._up
            frame = self._observer.without_keys(frame)
        answer = frame
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECOND):
                await other.send_last(frame)
                end = await asyncio.shield(answers)
                answer = end.frame or frame
        await self._finish((source, answer), wait=False)

    async def stop(self, error: ProxyError, code: int, upstream_code: int = 0) -> None:
        """End the session with *error* for the client, and close codes for both."""
        reason = "" if error.code is None else str(error.code)
        gone = upstream_code or WSCloseCode.GOING_AWAY
        await self._finish(
            (self._client, _error_frame(error)),
            (self._client, close_frame(code, reason)),
            (self._upstream, close_frame(gone)),
        )

    async def leave(self) -> None:
        """Close the upstream after a client that is gone."""
        await self._finish((self._upstream, close_frame(WSCloseCode.GOING_AWAY)))

    async def _finish(self, *last: tuple[WebSocketPeer, Frame], wait: bool = True) -> None:
        """Send the *last* frames, and close both connections; *wait* for the sides' answers."""
        try:
            for task in (self._up, self._down):
                task.cancel()
            await asyncio.gather(self._up, self._down, return_exceptions=True)
            sides = (self._upstream, self._client)
            saying = asyncio.gather(*(_say(side, last, wait=wait) for side in sides))
            # Both sides got their frames before the time starts: a busy machine may use it up.
            await asyncio.sleep(0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_SECOND):
                    await saying
        finally:
            self._upstream.close()
            self._client.close()


async def _say(
    side: WebSocketPeer, last: tuple[tuple[WebSocketPeer, Frame], ...], *, wait: bool
) -> None:
    frames = [frame for peer, frame in last if peer is side]
    if frames:
        await side.send_last(*frames)
        if wait:
            await side.wait_for_end()


async def _next(peer: WebSocketPeer, side: Side) -> tuple[SessionEnd | None, Frame]:
    """Return the next frame of *side*, and None or how it ended."""
    try:
        frame = await peer.receive()
    except PeerLost:
        return SessionEnd(side), _NOTHING
    except PeerBroken as exc:
        return SessionEnd(side, broken=exc.code), _NOTHING
    return (SessionEnd(side, frame), frame) if frame.kind is WSMsgType.CLOSE else (None, frame)


_NOTHING: Final = Frame(WSMsgType.CLOSE, b"")


async def _sent(peer: WebSocketPeer, frame: Frame) -> bool:
    try:
        await peer.send(frame)
    except PeerLost:
        return False
    return True


def _error_frame(error: ProxyError) -> Frame:
    return Frame(WSMsgType.TEXT, error_event(error, f"event_{secrets.token_hex(12)}"))


def upstream_lost(end: SessionEnd) -> ProxyError:
    """Return the error for an upstream that broke the session: 502."""
    if end.broken:
        return ProxyError(
            502, "The upstream's message could not be relayed.", code="upstream_bad_response"
        )
    return ProxyError(
        502, "The upstream closed the session without a word.", code="upstream_disconnected"
    )


def _client_broke(end: SessionEnd) -> ProxyError:
    """Return the error for a client's message that is too large, or no WebSocket's."""
    if end.broken == WSCloseCode.MESSAGE_TOO_BIG:
        message = "The message is too large. Send audio in smaller pieces."
        return ProxyError(413, message, code="request_too_large")
    return ProxyError(400, "The message is not valid for a WebSocket.", code="bad_request")
