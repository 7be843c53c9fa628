"""The deadlines of all open calls, checked by one task: timeouts and heartbeats. IO.

A timer per read would cost more than relaying a frame. So calls only set flags, and one task
checks all of them once per tick (a second in production).
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.heartbeats import CHUNK_AFTER

MAX_TICK: Final = 1.0
_LOG: Final = logging.getLogger(__name__)
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class CallTimeouts:
    """In seconds. *first_byte* is until an answer begins, *idle* between its pieces."""

    first_byte: float
    idle: float
    total: float
    headers_after: float
    heartbeat: float
    write_stall: float
    body_idle: float
    body_total: float
    body_grace: float = 10.0
    """A body may take this long, and longer as its bytes arrive..."""
    body_rate: float = 1024.0
    """...at this many bytes a second: a dripping body is cut off although it is never silent."""

    @property
    def tick(self) -> float:
        """Seconds between two checks: a fraction of the smallest timeout, one second at most."""
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
    """The client's side of an answer, as the monitor sees it."""

    headers_sent: bool

    @property
    def stalled(self) -> bool:
        """Whether writing waits for the client to read."""

    def pending(self) -> int:
        """Return how many written bytes the client has not read yet."""

    def send_headers_in_background(self) -> None:
        """Send status and headers before any content."""

    def send_heartbeat(self, *, is_long: bool = False) -> None:
        """Send a heartbeat between whole events; *is_long* after a long silence."""

    def reset(self) -> None:
        """Reset the connection to the client and discard unread bytes."""


class CallDeadlines:
    """One call's deadlines. It sets *saw_data* and *wrote_to_client*; the monitor clears them."""

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
        """The body streams on while it arrives, at the upstream's pace."""
        self.waits_for_client = False
        """An upload waits for the client, not for the upstream."""
        self._ticked_at = now
        self._client_wait = 0.0
        self.body_bytes = 0
        """Bytes of the request body so far."""
        self.upstream_done = False
        """The upstream has finished; only the client still reads."""
        self.upstream_answered = False
        self.response_timeout: float | None = None
        """Seconds for a buffered answer, from its request; None for a stream."""
        self.client_side: HeartbeatTarget | None = None
        self.error: ProxyError | None = None
        """Why the monitor cancelled the call; None if the client left."""

    def cancel_with(self, error: ProxyError) -> None:
        """Cancel the call with *error* as the reason."""
        if self.error is None:
            self.error = error
            self._task.cancel()

    def cancel_reason(self) -> ProxyError:
        """Return why the monitor cancelled the call, and undo the cancellation.

        Call this while handling a CancelledError.

        Raises:
            CancelledError: the monitor did not cancel it; the client left.
        """
        if self.error is None:
            raise asyncio.CancelledError
        self._task.uncancel()
        error, self.error = self.error, None
        return error

    def next_attempt_started(self) -> None:
        """Start the timeouts of another attempt."""
        self.upstream_answered = False
        self.saw_data = self._attempt_started = True

    def request_received(self) -> None:
        """Note that the request is complete; the upstream's timeouts start."""
        self._reads_request = False
        self.saw_data = self._attempt_started = True

    def tick(self, now: float) -> None:
        """Check this call against its timeouts."""
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
        # A slow upstream slows an upload too: only the time of waiting for the client counts.
        spent = self._client_wait if self.is_upload else open_for
        is_dripping = spent > limits.body_grace + self.body_bytes / limits.body_rate
        most = limits.total if self.is_upload else limits.body_total
        is_late = open_for >= most or (is_dripping and self._data_at == now)
        if is_late or now - self._data_at >= limits.body_idle:
            self.cancel_with(
                ProxyError(408, "The request body did not arrive in time.", code="request_timeout")
            )

    def _is_stalled(self, now: float) -> bool:
        """Return whether the client does not read; the upstream is paused meanwhile."""
        if self.client_side is None or not self.client_side.stalled:
            self._stalled_since = None
            return False
        pending = self.client_side.pending()
        if self._stalled_since is None or pending != self._pending:
            # A slow reader may be stalled at every tick and still read between them.
            self._stalled_since, self._pending = now, pending
        self._data_at = now  # the client causes this silence, not the upstream
        if now - self._stalled_since >= self._limits.write_stall:
            self.cancel_with(
                ProxyError(408, "The client did not read its answer.", code="write_stall")
            )
            self.client_side.reset()
        return True

    def _check_upstream(self, now: float) -> None:
        silent = now - self._data_at
        if now - self._opened_at >= self._limits.total:
            self._time_out("The answer took longer than STREAM_TOTAL_TIMEOUT allows.", "timeout")
        elif self.response_timeout is not None and now - self._attempt_at >= self.response_timeout:
            self._time_out("The answer took too long. Use stream=true for long ones.", "timeout")
        elif not self.upstream_answered and silent >= self._limits.first_byte:
            self.cancel_with(FirstByteTimeout())
        elif self.upstream_answered and silent >= self._limits.idle:
            message = f"The upstream sent no data for {self._limits.idle:g} seconds (IDLE_TIMEOUT)."
            self._time_out(message, "idle_timeout")

    def _time_out(self, message: str, code: str) -> None:
        error = ProxyError(504, message, code=f"upstream_{code}", should_retry=False)
        self.cancel_with(error)

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
    """Checks the deadlines of all open calls."""

    def __init__(self, limits: CallTimeouts, clock: Clock) -> None:
        self.limits = limits
        self._clock = clock
        self._calls: set[CallDeadlines] = set()

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[CallDeadlines]:
        """Iterate over the open calls; calls may begin and end meanwhile."""
        return iter(tuple(self._calls))

    @property
    def streams(self) -> int:
        """The number of streams whose headers are sent."""
        client_sides = (deadlines.client_side for deadlines in self)
        return sum(1 for down in client_sides if down is not None and down.headers_sent)

    def register(self, task: asyncio.Task[object]) -> CallDeadlines:
        """Return the deadlines of a call that *task* runs."""
        deadlines = CallDeadlines(task, self.limits, self._clock())
        self._calls.add(deadlines)
        return deadlines

    def unregister(self, deadlines: CallDeadlines) -> None:
        """Stop checking a call."""
        self._calls.discard(deadlines)

    def cancel_all(self, error: Callable[[], ProxyError]) -> None:
        """Cancel every call, each with its own error."""
        for deadlines in self:
            deadlines.cancel_with(error())

    def tick(self) -> None:
        """Check every call once."""
        now = self._clock()
        for deadlines in self:
            try:
                deadlines.tick(now)
            except Exception as exc:  # one call's error must not stop the monitor
                _LOG.error(
                    "internal error of the deadline monitor; the call is cancelled", exc_info=exc
                )
                deadlines.cancel_with(ProxyError(500, "The proxy failed.", code="internal_error"))

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(self.limits.tick)
            self.tick()


class FirstByteTimeout(ProxyError):
    """504 `upstream_timeout`: the upstream has the request and sent no answer in time."""

    def __init__(self) -> None:
        message = "The upstream did not answer in time."
        super().__init__(504, message, code="upstream_timeout", should_retry=False)
