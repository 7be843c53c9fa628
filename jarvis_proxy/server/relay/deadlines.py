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
class TimeLimits:
    """Seconds. *first_byte* is until an answer begins, *idle* between its pieces."""

    first_byte: float
    idle: float
    total: float
    commit_after: float
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
            self.commit_after,
            self.heartbeat,
            self.write_stall,
            self.body_idle,
        )
        return min(MAX_TICK, smallest / 4)


class Beating(Protocol):
    """The client's side of a stream, as the clock sees it."""

    committed: bool

    @property
    def stalled(self) -> bool:
        """Whether the client has to read before more can be written."""

    def pending(self) -> int:
        """Return how many bytes wait for the client to read."""

    def commit_soon(self) -> None:
        """Send status and headers although nothing has come yet."""

    def beat(self, *, is_long: bool = False) -> None:
        """Send a heartbeat between whole events; *is_long*: the silence has lasted."""

    def reset(self) -> None:
        """Cut the connection to the client and throw away what it has not read."""


class Watched:
    """One call under the clock. The call sets *heard* and *wrote*; the clock clears them."""

    __slots__ = (
        "_asked",
        "_asked_at",
        "_awaited",
        "_heard_at",
        "_limits",
        "_looked_at",
        "_opened",
        "_pending",
        "_reading",
        "_stalled_since",
        "_task",
        "_wrote_at",
        "answered",
        "awaits_client",
        "delivering",
        "downstream",
        "error",
        "heard",
        "patience",
        "received",
        "uploading",
        "wrote",
    )

    def __init__(self, task: asyncio.Task[object], limits: TimeLimits, now: float) -> None:
        self._task = task
        self._limits = limits
        self._opened = self._asked_at = self._heard_at = self._wrote_at = now
        self._stalled_since: float | None = None
        self._pending = 0
        self._reading = True
        self._asked = False
        self.heard = False
        self.wrote = False
        self.uploading = False
        """The body streams on while it arrives, as fast as the upstream takes it."""
        self.awaits_client = False
        """Of an upload: at the moment it is the client that is waited for."""
        self._looked_at = now
        self._awaited = 0.0
        self.received = 0
        """Bytes of the body so far."""
        self.delivering = False
        """The upstream has done its part: only the client is waited for."""
        self.answered = False
        self.patience: float | None = None
        """Seconds that a whole answer may take from when it was asked for; None for a stream."""
        self.downstream: Beating | None = None
        self.error: ProxyError | None = None
        """Why the clock cancelled the call; None when the client left."""

    def expire(self, error: ProxyError) -> None:
        """Cancel the call; it finds *error* as the reason."""
        if self.error is None:
            self.error = error
            self._task.cancel()

    def reason(self) -> ProxyError:
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

    def restart(self) -> None:
        """Say that another upstream is asked: its time begins now."""
        self.answered = False
        self.heard = self._asked = True

    def body_read(self) -> None:
        """Say that the request is here and the upstream's time begins."""
        self._reading = False
        self.heard = self._asked = True

    def tick(self, now: float) -> None:
        """Compare this call with its limits."""
        if self.error is not None:
            return
        if self.heard:
            self.heard = False
            self._heard_at = now
        if self._asked:
            self._asked = False
            self._asked_at = now
        if self._reading:
            self._check_body(now)
            return
        if self._is_stalled(now) or self.delivering:
            return
        self._check_upstream(now)
        if self.error is None and self.downstream is not None:
            self._keep_alive(self.downstream, now)

    def _check_body(self, now: float) -> None:
        limits, open_for = self._limits, now - self._opened
        if self.uploading and self.awaits_client:
            self._awaited += now - self._looked_at
        self._looked_at = now
        # An upload may be slow because the upstream is: of its time only the client's own counts.
        spent = self._awaited if self.uploading else open_for
        is_dripping = spent > limits.body_grace + self.received / limits.body_rate
        most = limits.total if self.uploading else limits.body_total
        is_late = open_for >= most or (is_dripping and self._heard_at == now)
        if is_late or now - self._heard_at >= limits.body_idle:
            self.expire(
                ProxyError(408, "The request body did not arrive in time.", code="request_timeout")
            )

    def _is_stalled(self, now: float) -> bool:
        """Tell whether the client does not read; nothing is read upstream meanwhile."""
        if self.downstream is None or not self.downstream.stalled:
            self._stalled_since = None
            return False
        pending = self.downstream.pending()
        if self._stalled_since is None or pending != self._pending:
            # A slow reader may be found waiting at every look and still take something between.
            self._stalled_since, self._pending = now, pending
        self._heard_at = now  # silence that the client causes is not the upstream's
        if now - self._stalled_since >= self._limits.write_stall:
            self.expire(ProxyError(408, "The client did not read its answer.", code="write_stall"))
            self.downstream.reset()
        return True

    def _check_upstream(self, now: float) -> None:
        silent = now - self._heard_at
        if now - self._opened >= self._limits.total:
            self.expire(_too_slow("The answer took longer than the proxy allows.", "timeout"))
        elif self.patience is not None and now - self._asked_at >= self.patience:
            self.expire(_too_slow("The whole answer took too long: stream it.", "timeout"))
        elif not self.answered and silent >= self._limits.first_byte:
            self.expire(FirstByteTimeout())
        elif self.answered and silent >= self._limits.idle:
            self.expire(_too_slow("The upstream fell silent in its answer.", "idle_timeout"))

    def _keep_alive(self, downstream: Beating, now: float) -> None:
        if self.wrote:
            self.wrote = False
            self._wrote_at = now
        if not downstream.committed:
            if now - self._opened >= self._limits.commit_after:
                downstream.commit_soon()
                self._wrote_at = now
        elif now - self._wrote_at >= self._limits.heartbeat:
            silent = now - self._heard_at
            downstream.beat(is_long=silent >= self._limits.heartbeat * CHUNK_AFTER)
            self._wrote_at = now


class Watch:
    """The clock and the calls it watches."""

    def __init__(self, limits: TimeLimits, clock: Clock) -> None:
        self.limits = limits
        self._clock = clock
        self._live: set[Watched] = set()

    def __len__(self) -> int:
        return len(self._live)

    @property
    def streams(self) -> int:
        """How many calls are answering with a stream that has begun."""
        downstreams = (watched.downstream for watched in self._live)
        return sum(1 for down in downstreams if down is not None and down.committed)

    def open(self, task: asyncio.Task[object]) -> Watched:
        """Put a call, run by *task*, under the clock."""
        watched = Watched(task, self.limits, self._clock())
        self._live.add(watched)
        return watched

    def close(self, watched: Watched) -> None:
        """Take a call from under the clock."""
        self._live.discard(watched)

    def expire_all(self, error: Callable[[], ProxyError]) -> None:
        """Cancel every call, each with an error of its own."""
        for watched in tuple(self._live):
            watched.expire(error())

    def tick(self) -> None:
        """Look at every call once."""
        now = self._clock()
        for watched in tuple(self._live):
            try:
                watched.tick(now)
            except Exception as exc:  # no call may stop the clock of all others
                _LOG.error("internal error of the clock: a call is ended", exc_info=exc)
                watched.expire(ProxyError(500, "The proxy failed.", code="internal_error"))

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


def _too_slow(message: str, code: str) -> ProxyError:
    return ProxyError(504, message, code=f"upstream_{code}", should_retry=False)
