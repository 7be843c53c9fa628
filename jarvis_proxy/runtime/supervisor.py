"""The parent of several workers: starts and replaces them, forwards signals and reloads. IO.

It serves nothing and has no threads and no event loop, so a fork copies nothing that is running. It
keeps the sockets open: connections that wait for a dead worker go to the next one.
"""

import contextlib
import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from jarvis_proxy.config.settings import Settings, SettingsError
from jarvis_proxy.observability.logging import DirectLineWriter, install_handler
from jarvis_proxy.observability.shared_memory import SharedMemorySlot
from jarvis_proxy.observability.worker_stats import WorkerSlot, WorkerStats
from jarvis_proxy.runtime import worker as messages
from jarvis_proxy.runtime.listeners import distribute_sockets, listener_urls
from jarvis_proxy.runtime.serve import ControllingTerminal, dashboard_note, warn_restart_required
from jarvis_proxy.runtime.worker import WorkerSetup

EX_CONFIG: Final = 78
EX_SOFTWARE: Final = 70
_DRAIN_GRACE: Final = 15.0
"""Seconds after DRAIN_TIMEOUT before a worker is killed."""
_FORCE_GRACE: Final = 1.8
_SEND_TIMEOUT: Final = 5.0
_FORK_RETRY: Final = 1.0
STEADY_AFTER: Final = 10.0
"""Seconds of life after which a worker's end does not count as a repeated failure."""
_FIRST: Final = 0.5
LONGEST: Final = 8.0
"""Longest delay, in seconds: connections in the missing worker's queue wait for it."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_LOG: Final = logging.getLogger(__name__)

Work = Callable[[Settings, WorkerSetup], int]
"""Runs a worker; returns the exit code of its process."""
Read = Callable[[], tuple[Settings, Mapping[str, str]]]
"""Reads the settings again; returns them and their environment."""


class Backoff:
    """Delays between restarts of a worker that fails repeatedly."""

    __slots__ = ("_pause",)

    def __init__(self) -> None:
        self._pause = 0.0

    def next_delay(self, lived: float) -> float:
        """Return the seconds until the next start, after a worker that *lived* for some seconds."""
        pause = 0.0 if lived >= STEADY_AFTER else self._pause
        self._pause = min(LONGEST, max(_FIRST, pause * 2))
        return pause


@dataclass(slots=True, eq=False)
class _Worker:
    pid: int
    channel: socket.socket
    stats_slot: WorkerSlot
    slot: "_Slot"
    started: float
    is_ready: bool = False
    is_draining: bool = False
    """Whether it drains, so that another worker has its slot."""


@dataclass(slots=True, eq=False)
class _Slot:
    """A worker's position, with its sockets."""

    number: int
    sockets: list[socket.socket]
    worker: _Worker | None = None
    due: float = 0.0
    """When to start the next worker, on the monotonic clock."""
    backoff: Backoff = field(default_factory=Backoff)


class Supervisor:
    """Keeps ``settings.workers`` workers alive on *sockets*."""

    def __init__(
        self,
        settings: Settings,
        sockets: Sequence[socket.socket],
        work: Work,
        read: Read,
        *,
        writer: DirectLineWriter | None = None,
    ) -> None:
        self._settings = self._at_start = settings
        self._sockets = list(sockets)
        self._work = work
        self._read = read
        self._writer = writer or DirectLineWriter()
        shares = distribute_sockets(sockets, settings.workers)
        self._slots = [_Slot(number, share) for number, share in enumerate(shares)]
        # Two per worker: a draining worker keeps its slot while its successor uses another.
        self._stats_slots = [WorkerSlot() for _ in range(2 * settings.workers)]
        self._viewer_flag = SharedMemorySlot(64)
        self._workers: dict[int, _Worker] = {}
        """The workers by process id."""
        self._awaiting_reload: set[_Worker] = set()
        """Workers that have not confirmed the reload yet."""
        self._selector = selectors.DefaultSelector()
        self._signals_seen = 0
        self._draining = False
        self._kill_at: float | None = None
        self._has_served = False
        self._code = 0

    def run(self) -> int:
        """Keep the workers alive until a signal; return the exit code, 0 or a worker's 78."""
        self._terminal = ControllingTerminal()
        with self._signals():
            while self._workers or not self._draining:
                self._start_due()
                for key, _ in self._selector.select(self._next_due()):
                    key.data()
                self._reap()
                self._kill_late()
        return self._code

    # -- signals -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Make signals wake the selector."""
        mine, wakeup = socket.socketpair()
        mine.setblocking(False)
        wakeup.setblocking(False)
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        previous = signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda number, frame: None)
        self._wakeup = (mine, wakeup)
        self._selector.register(mine, selectors.EVENT_READ, self._handle_signals)
        try:
            yield
        finally:
            signal.set_wakeup_fd(previous)
            for number, handler in before.items():
                signal.signal(number, handler)
            for sock in self._wakeup:
                sock.close()
            self._selector.close()

    def _handle_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in self._wakeup[0].recv(4096):
                if number in (signal.SIGTERM, signal.SIGINT):
                    self._stop()
                elif number == signal.SIGHUP:
                    # A closed terminal sends SIGHUP too.
                    self._stop() if self._terminal.is_gone() else self._reload()

    def _stop(self) -> None:
        """Handle one signal: the first drains, the second forces the end."""
        self._signals_seen += 1
        self._drain()
        if self._signals_seen > 1:
            self._send_all(messages.FORCE)
            self._kill_at = time.monotonic() + _FORCE_GRACE

    def _drain(self) -> None:
        if self._draining:
            return
        self._draining = True
        # While any process has them open, the kernel accepts clients that nobody serves.
        for sock in self._sockets:
            sock.close()
        self._send_all(messages.DRAIN)
        limit = self._settings.drain_timeout + _DRAIN_GRACE
        self._kill_at = time.monotonic() + limit

    def _reload(self) -> None:
        """Send valid new settings to all workers."""
        if self._draining:
            return
        try:
            settings, environ = self._read()
        except SettingsError as exc:
            _LOG.error("reload failed, the old settings stay active: %s", " ".join(exc.problems))
            return
        except Exception as exc:
            _LOG.error("reload failed, the old settings stay active", exc_info=exc)
            return
        warn_restart_required(self._at_start, settings)
        self._settings = settings
        install_handler(self._writer, settings.log_format, settings.log_level)
        self._awaiting_reload = {
            worker for worker in self._workers.values() if not worker.is_draining
        }
        for worker in tuple(self._awaiting_reload):
            self._send(worker, messages.encode_reload(environ))
        self._log_reloaded()

    def _log_reloaded(self) -> None:
        if not self._awaiting_reload:
            _LOG.info("settings reloaded")

    # -- workers -------------------------------------------------------------------------------

    def _start_due(self) -> None:
        for slot in self._vacant():
            if slot.due <= time.monotonic():
                self._start(slot, self._free_stats_slots()[0])

    def _vacant(self) -> list[_Slot]:
        """Return the slots that need a worker, now or later."""
        vacant = [slot for slot in self._slots if slot.worker is None]
        # Draining workers keep their statistics slots; a start must wait for a free one.
        return [] if self._draining else vacant[: len(self._free_stats_slots())]

    def _free_stats_slots(self) -> list[WorkerSlot]:
        used = [worker.stats_slot for worker in self._workers.values()]
        return [stats_slot for stats_slot in self._stats_slots if stats_slot not in used]

    def _start(self, slot: _Slot, stats_slot: WorkerSlot) -> None:
        parents, workers = socket.socketpair()
        # Block signals between the fork and the worker's own handlers.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
            if not pid:
                self._run_worker(slot, stats_slot, parents, workers)
        except OSError as exc:
            # The limit on processes is reached.
            parents.close()
            slot.due = time.monotonic() + _FORK_RETRY
            _LOG.error("worker %d cannot be started: %s", slot.number + 1, exc.strerror)
            return
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            workers.close()
        parents.settimeout(_SEND_TIMEOUT)
        worker = _Worker(pid, parents, stats_slot, slot, time.monotonic())
        self._workers[pid] = slot.worker = worker
        self._selector.register(parents, selectors.EVENT_READ, lambda: self._on_readable(worker))

    def _run_worker(
        self, slot: _Slot, stats_slot: WorkerSlot, parents: socket.socket, channel: socket.socket
    ) -> None:  # pragma: no cover - in a forked process
        """Run the worker, then exit."""
        code = EX_SOFTWARE
        try:
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            setup = self._worker_setup(slot, stats_slot, parents, channel)
            code = self._work(self._settings, setup)
        except Exception as exc:
            _LOG.error("a worker failed", exc_info=exc)
        finally:
            os._exit(code)

    def _worker_setup(
        self, slot: _Slot, stats_slot: WorkerSlot, parents: socket.socket, channel: socket.socket
    ) -> WorkerSetup:  # pragma: no cover - as above
        """Close the descriptors of other processes, and return the worker's setup."""
        self._selector.close()
        for sock in (parents, *self._wakeup, *(w.channel for w in self._workers.values())):
            sock.close()
        for sock in self._sockets:
            if sock not in slot.sockets:
                sock.close()
        worker_stats = WorkerStats(
            self._stats_slots, self._stats_slots.index(stats_slot), self._viewer_flag
        )
        return WorkerSetup(slot.sockets, channel, worker_stats)

    def _on_readable(self, worker: _Worker) -> None:
        """Handle messages of a worker."""
        try:
            received = worker.channel.recv(64)
        except OSError:
            received = b""
        if not received:
            # SIGCHLD will report the worker's end.
            self._selector.unregister(worker.channel)
        for number in received:
            self._on_message(worker, bytes((number,)))

    def _on_message(self, worker: _Worker, message: bytes) -> None:
        if message == messages.READY:
            worker.is_ready = True
            self._log_serving()
        elif message == messages.DRAINING:
            self._replace(worker)
        elif message in (messages.RELOADED, messages.RELOAD_FAILED):
            self._awaiting_reload.discard(worker)
            if message == messages.RELOAD_FAILED:
                self._send(worker, messages.DRAIN)
                self._replace(worker)
            self._log_reloaded()

    def _log_serving(self) -> None:
        if self._has_served or self._draining:
            return
        if all(s.worker and s.worker.is_ready for s in self._slots):
            self._has_served = True
            where = listener_urls(self._sockets, tls=bool(self._settings.tls_cert_file))
            note = dashboard_note(self._settings)
            _LOG.info("serving on %s, in %d workers%s", where, len(self._slots), note)

    def _replace(self, worker: _Worker) -> None:
        """Give the slot of a worker that drains on its own to a new worker."""
        if not self._draining and worker.slot.worker is worker:
            worker.is_draining = True
            worker.slot.worker, worker.slot.due = None, 0.0

    def _send_all(self, message: bytes) -> None:
        for worker in self._workers.values():
            self._send(worker, message)

    def _send(self, worker: _Worker, message: bytes) -> None:
        try:
            worker.channel.sendall(message)
        except TimeoutError:
            # The worker has not read for seconds.
            os.kill(worker.pid, signal.SIGKILL)
        except OSError:
            # The worker has died.
            pass

    def _reap(self) -> None:
        """Handle the workers that have ended."""
        for worker in tuple(self._workers.values()):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                self._ended(worker, os.waitstatus_to_exitcode(status))

    def _ended(self, worker: _Worker, code: int) -> None:
        del self._workers[worker.pid]
        with contextlib.suppress(KeyError):
            self._selector.unregister(worker.channel)
        worker.channel.close()
        worker.stats_slot.clear()
        if worker in self._awaiting_reload:
            self._awaiting_reload.discard(worker)
            self._log_reloaded()
        if self._draining or worker.is_draining:
            return
        slot = worker.slot
        slot.worker = None
        if code == EX_CONFIG and not self._has_served:
            # The worker has logged the reason.
            self._code = code
            self._drain()
            return
        now = time.monotonic()
        pause = slot.backoff.next_delay(now - worker.started)
        slot.due = now + pause
        _LOG.warning(
            "worker %d (process %d) %s; %s",
            slot.number + 1,
            worker.pid,
            f"was ended by signal {-code}" if code < 0 else f"ended with code {code}",
            f"the next one starts in {pause:g} s" if pause else "a new one starts now",
        )

    # -- time ----------------------------------------------------------------------------------

    def _next_due(self) -> float | None:
        """Return the seconds until the next scheduled action, None if there is none."""
        moments = [slot.due for slot in self._vacant()]
        if self._kill_at is not None:
            moments.append(self._kill_at)
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _kill_late(self) -> None:
        """Kill workers that did not end in time."""
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill_at = None
            for pid in self._workers:
                os.kill(pid, signal.SIGKILL)
