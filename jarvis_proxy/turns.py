"""Writes that are done together, at the end of a turn of the event loop. IO.

A write wakes the program at its other end, if that sleeps: this costs the kernel more than the rest
of the write. Event loops write at once, and a busy proxy does a request's work between two writes,
in which those programs fall asleep again. Reading all connections first, doing all work, and then
writing to all of them wakes each once.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from jarvis_proxy.line_quota import STRANGER

_LOG: Final = logging.getLogger(__name__)


class Turn:
    """What is to be done when all that the loop can read and do at present has been."""

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[Callable[[], object]] = []

    def add(self, do: Callable[[], object]) -> None:
        """Call *do* then, after what was added before it."""
        if not self._waiting:
            self._loop.call_soon(self._run)
        self._waiting.append(do)

    def _run(self) -> None:
        waiting, self._waiting = self._waiting, []
        for do in waiting:
            try:
                do()
            except Exception as exc:  # it is one connection's: the others' turn must come too
                extra = {STRANGER: f"turn {type(exc).__name__}"}
                _LOG.error("internal error at the end of a turn", exc_info=exc, extra=extra)


class LateWriter:
    """A connection that can write at the end of the turn: to be mixed into a protocol.

    Whoever writes to its transport in another way, or closes it, calls ``flush`` first.
    """

    if not TYPE_CHECKING:  # which wants the names below in it, where they would clash
        __slots__ = ()

    turn: Turn
    transport: asyncio.Transport | None
    unsent: bytes
    """What is to be written; ``b""`` at first."""

    def write_late(self, data: bytes) -> None:
        """Write *data* when this turn ends."""
        if self.unsent:
            self.unsent += data
        else:
            self.unsent = data
            self.turn.add(self.flush)

    def flush(self) -> None:
        """Write it now, unless the connection is gone."""
        data, self.unsent = self.unsent, b""
        if data and self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)
