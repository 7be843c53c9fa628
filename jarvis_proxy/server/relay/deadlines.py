"""One coarse clock for all open calls: time limits and heartbeats. IO.

A timer per read would cost more than relaying a frame does. So calls only set flags as they go,
and one task walks over all of them once a tick (a second, in production).
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.heartbeats import CHUNK_AFTER

MAX_TICK: Final = 1.0
_LOG: Final = logging.getLogger(__name__)
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class CallTimeouts:
    """Seconds. *first_byte* is until an answer begins, *idle* between its pieces."""

    first_byte: float
    idle: float
    total: float
    headers_after: float
    heartbeat: float
    write_stall: float
    body_idle: float
    body_total: float
    body_grace: float = 10.0
    """A body has so long, and more for what has come of it..."""
    body_rate: float = 1024.0
    """...at so many bytes a second: one that drips is cut off though it is never silent."""

    @property
    def tick(self) -> float:
        """How often the clock looks: a fraction of the smallest limit, a second at most."""
        smallest = min(
            self.first_byte,
            self.idle,
            self.headers_after,
            self.heartbeat,
            self.write_stall,
            self.body_idle,
        )
        return min(MAX_TICK, smallest / 4)


class HeartbeatTarget(Protocol):
    """The client's side of a stream, as the clock sees it."""

    headers_sent: bool

    @property
    def stalled(self) -> bool:
        """Whether the client has to read before more can be written."""

    def pending(self) -> int:
        """Return how many bytes wait for the client to read."""

    def send_headers_in_background(self) -> None:
        """Send status and headers although nothing has come yet."""

    def send_heartbeat(self, *, is_long: bool = False) -> None:
        """Send a heartbeat between whole events; *is_long*: the silence has lasted."""

    def reset(self) -> None:
        """Cut the connection to the client and throw away what it has not read."""


class CallDeadlines:
    """One call under the clock. The call sets *heard* and *wrote*; the clock clears them."""

    __slots__ = (
        "_attempt_at",
        "_attempt_started",
        "_client_wait",
        "_data_at",
        "_limits",
        "_opened_at",
        "_pending",
        "_reads_request",
        "_stalled_since",
        "_task",
        "_ticked_at",
        "_wrote_at",
        "body_bytes",
        "client_side",
        "error",
        "is_upload",
        "response_timeout",
        "saw_data",
        "upstream_answered",
        "upstream_done",
        "waits_for_client",
        "wrote_to_client",
    )

    def __init__(self, task: asyncio.Task[object], limits: CallTimeouts, now: float) -> None:
        self._task = task
        self._limits = limits
        self._opened_at = self._attempt_at = self._data_at = self._wrote_at = now
        self._stalled_since: float | None = None
        self._pending = 0
        self._reads_request = True
        self._attempt_started = False
        self.saw_data = False
        self.wrote_to_client = False
        self.is_upload = False
        """The body streams on while it arrives, as fast as the upstream takes it."""
        self.waits_for_client = False
        """Of an upload: at the moment it is the client that is waited for."""
        self._ticked_at = now
        self._client_wait = 0.0
        self.body_bytes = 0
        """Bytes of the body so far."""
        self.upstream_done = False
        """The upstream has done its part: only the client is waited for."""
        self.upstream_answered = False
        self.response_timeout: float | None = None
        """Seconds that a whole answer may take from when it was asked for; None for a stream."""
        self.client_side: HeartbeatTarget | None = None
        self.error: ProxyError | None = None
        """Why the clock cancelled the call; None when the client left."""

    def cancel_with(self, error: ProxyError) -> None:
        """Cancel the call; it finds *error* as the reason."""
        if self.error is None:
            self.error = error
            self._task.cancel()

    def cancel_reason(self) -> ProxyError:
        """Return why the clock cancelled the call, which then goes on to say so.

        To be called while a CancelledError is handled.

        Raises:
            CancelledError: the clock did not; the client left.
        """
        if self.error is None:
            raise asyncio.CancelledError
        self._task.uncancel()
        error, self.error = self.error, None
        return error

    def next_attempt_started(self) -> None:
        """Say that another upstream is asked: its time begins now."""
        self.upstream_answered = False
        self.saw_data = self._attempt_started = True

    def request_received(self) -> None:
        """Say that the request is here and the upstream's time begins."""
        self._reads_request = False
        self.saw_data = self._attempt_started = True

    def tick(self, now: float) -> None:
        """Compare this call with its limits."""
        if self.error is not None:
            return
        if self.saw_data:
            self.saw_data = False
            self._data_at = now
        if self._attempt_started:
            self._attempt_started = False
            self._attempt_at = now
        if self._reads_request:
            self._check_body(now)
            return
        if self._is_stalled(now) or self.upstream_done:
            return
        self._check_upstream(now)
        if self.error is None and self.client_side is not None:
            self._send_heartbeat_if_due(self.client_side, now)

    def _check_body(self, now: float) -> None:
        limits, open_for = self._limits, now - self._opened_at
        if self.is_upload and self.waits_for_client:
            self._client_wait += now - self._ticked_at
        self._ticked_at = now
        # An upload may be slow because the upstream is: of its time only the client's own counts.
        spent = self._client_wait if self.is_upload else open_for
        is_dripping = spent > limits.body_grace + self.body_bytes / limits.body_rate
        most = limits.total if self.is_upload else limits.body_total
        is_late = open_for >= most or (is_dripping and self._data_at == now)
        if is_late or now - self._data_at >= limits.body_idle:
            self.cancel_with(
                ProxyError(408, "The request body did not arrive in time.", code="request_timeout")
            )

    def _is_stalled(self, now: float) -> bool:
        """Tell whether the client does not read; nothing is read upstream meanwhile."""
        if self.client_side is None or not self.client_side.stalled:
            self._stalled_since = None
            return False
        pending = self.client_side.pending()
        if self._stalled_since is None or pending != self._pending:
            # A slow reader may be found waiting at every look and still take something between.
            self._stalled_since, self._pending = now, pending
        self._data_at = now  # silence that the client causes is not the upstream's
        if now - self._stalled_since >= self._limits.write_stall:
            self.cancel_with(
                ProxyError(408, "The client did not read its answer.", code="write_stall")
            )
            self.client_side.reset()
        return True

    def _check_upstream(self, now: float) -> None:
        silent = now - self._data_at
        if now - self._opened_at >= self._limits.total:
            self.cancel_with(
                _timeout_error("The answer took longer than the proxy allows.", "timeout")
            )
        elif self.response_timeout is not None and now - self._attempt_at >= self.response_timeout:
            self.cancel_with(
                _timeout_error("The whole answer took too long: stream it.", "timeout")
            )
        elif not self.upstream_answered and silent >= self._limits.first_byte:
            self.cancel_with(FirstByteTimeout())
        elif self.upstream_answered and silent >= self._limits.idle:
            self.cancel_with(
                _timeout_error("The upstream fell silent in its answer.", "idle_timeout")
            )

    def _send_heartbeat_if_due(self, client_side: HeartbeatTarget, now: float) -> None:
        if self.wrote_to_client:
            self.wrote_to_client = False
            self._wrote_at = now
        if not client_side.headers_sent:
            if now - self._opened_at >= self._limits.headers_after:
                client_side.send_headers_in_background()
                self._wrote_at = now
        elif now - self._wrote_at >= self._limits.heartbeat:
            silent = now - self._data_at
            client_side.send_heartbeat(is_long=silent >= self._limits.heartbeat * CHUNK_AFTER)
            self._wrote_at = now


class DeadlineMonitor:
    """The clock and the calls it watches."""

    def __init__(self, limits: CallTimeouts, clock: Clock) -> None:
        self.limits = limits
        self._clock = clock
        self._calls: set[CallDeadlines] = set()

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def streams(self) -> int:
        """How many calls are answering with a stream that has begun."""
        client_sides = (deadlines.client_side for deadlines in self._calls)
        return sum(1 for down in client_sides if down is not None and down.headers_sent)

    def register(self, task: asyncio.Task[object]) -> CallDeadlines:
        """Put a call, run by *task*, under the clock."""
        deadlines = CallDeadlines(task, self.limits, self._clock())
        self._calls.add(deadlines)
        return deadlines

    def unregister(self, deadlines: CallDeadlines) -> None:
        """Take a call from under the clock."""
        self._calls.discard(deadlines)

    def cancel_all(self, error: Callable[[], ProxyError]) -> None:
        """Cancel every call, each with an error of its own."""
        for deadlines in tuple(self._calls):
            deadlines.cancel_with(error())

    def tick(self) -> None:
        """Look at every call once."""
        now = self._clock()
        for deadlines in tuple(self._calls):
            try:
                deadlines.tick(now)
            except Exception as exc:  # no call may stop the clock of all others
                _LOG.error("internal error of the clock: a call is ended", exc_info=exc)
                deadlines.cancel_with(ProxyError(500, "The proxy failed.", code="internal_error"))

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(self.limits.tick)
            self.tick()


class FirstByteTimeout(ProxyError):
    """504 `upstream_timeout`: the upstream took the request and was silent for too long."""

    def __init__(self) -> None:
        message = "The upstream did not answer in time."
        super().__init__(504, message, code="upstream_timeout", should_retry=False)


def _timeout_error(message: str, code: str) -> ProxyError:
    return ProxyError(504, message, code=f"upstream_{code}", should_retry=False)
