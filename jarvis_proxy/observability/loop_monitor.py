"""Rate-limited warnings without content, and the event loop's lag. IO (logs).

The warnings concern failures outside of calls: errors that nothing awaited, and a stalled loop.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable
from typing import Any, Final

_LOG: Final = logging.getLogger(__name__)
_EVERY: Final = 10.0
_MAX_KINDS: Final = 64
_LAG_PROBE: Final = 0.1
_LAG_LIMIT: Final = 0.25
_PLAIN: Final = re.compile(r"[A-Za-z][\w .,'-]*")
"""The literal start of asyncio's messages; a repr, which may hold content, comes after it."""


class RateLimitedLogger:
    """Logs each kind of warning at most once per *every* seconds, and counts the others."""

    def __init__(self, every: float = _EVERY, clock: Callable[[], float] = time.monotonic) -> None:
        self._every = every
        self._clock = clock
        self._logged_at: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def warn(self, kind: str, text: str, exc: BaseException | None = None) -> None:
        """Log *text*, unless a warning of this *kind* was logged less than *every* seconds ago."""
        now = self._clock()
        logged_at = self._logged_at.get(kind)
        if logged_at is not None and now - logged_at < self._every:
            self._suppressed[kind] = self._suppressed.get(kind, 0) + 1
            return
        if len(self._logged_at) >= _MAX_KINDS:
            self._logged_at.clear()
        self._logged_at[kind] = now
        suppressed = self._suppressed.pop(kind, 0)
        more = f" ({suppressed} more since the last warning)" if suppressed else ""
        _LOG.warning("%s%s", text, more, exc_info=exc)


def exception_handler(
    logger: RateLimitedLogger,
) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """Return the event loop's handler for errors that belong to no call.

    asyncio's own handler prints tracebacks and the reprs of callbacks with their arguments, even
    for each of a thousand failed accepts.
    """

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        exc = context.get("exception")
        said = _PLAIN.match(str(context.get("message", "")))
        text = "" if said is None else said[0].strip()
        kind = f"{text} {type(exc).__name__}"
        logger.warn(kind, f"event loop: {text or 'error'}", exc)

    return handle


class LoopLagMonitor:
    """Measures the event loop's lag: a blocked loop delays every call.

    *worst* is the longest lag so far, in seconds. *observe* receives every measurement.
    """

    def __init__(
        self,
        logger: RateLimitedLogger,
        clock: Callable[[], float] = time.monotonic,
        observe: Callable[[float], None] = lambda lag: None,
    ) -> None:
        self._logger = logger
        self._clock = clock
        self._observe = observe
        self.worst = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            asleep_since = self._clock()
            await asyncio.sleep(_LAG_PROBE)
            self.record(self._clock() - asleep_since - _LAG_PROBE)

    def record(self, lag: float) -> None:
        """Record one measurement; warn about a lag of 250 ms or more."""
        self.worst = max(self.worst, lag)
        self._observe(lag)
        if lag >= _LAG_LIMIT:
            self._logger.warn("lag", f"the event loop stood still for {lag * 1000:.0f} ms")
