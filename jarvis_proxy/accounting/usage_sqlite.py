"""Usage in a SQLite file, written every few seconds in a thread. Does file IO.

The file has only counters: names, days and sums. A full disk or a locked or broken file never fails
a call: rows that could not be written are written later, together with newer ones.
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Final

from jarvis_proxy.accounting.usage import (
    TOTAL_NAMES,
    UsageLedger,
    UsageRow,
    UsageStore,
    UsageTotals,
    oldest_day,
)

FILE_NAME: Final = "usage.sqlite3"
_LOG: Final = logging.getLogger(__name__)
_SAVE_EVERY: Final = 5.0
_LOAD_EVERY: Final = 12
"""Number of saves between two loads: a minute."""
_LOCK_TIMEOUT: Final = 2.0
_ERRORS: Final = (OSError, sqlite3.Error)

_COLUMNS: Final = ", ".join(TOTAL_NAMES)
_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS usage (day TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, "
    + "".join(f"{name} INTEGER NOT NULL DEFAULT 0, " for name in TOTAL_NAMES)
    + "PRIMARY KEY (day, key, model)) WITHOUT ROWID"
)
_ADD: Final = (
    f"INSERT INTO usage (day, key, model, {_COLUMNS}) "  # noqa: S608 - constant column names
    f"VALUES (?, ?, ?, {', '.join('?' * len(TOTAL_NAMES))}) "
    "ON CONFLICT (day, key, model) DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in TOTAL_NAMES)
)
_LOAD: Final = f"SELECT day, key, model, {_COLUMNS} FROM usage WHERE day >= ?"  # noqa: S608
_HAS: Final = "SELECT name FROM pragma_table_info('usage')"


class SqliteUsageStore:
    """Keeps usage in one file; other processes may write to it at the same time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._failing = False

    async def load(self, since: str) -> Sequence[UsageRow] | None:
        """Return the sums from the day *since* on, None if they cannot be read."""
        return await asyncio.to_thread(self._try, lambda: self._load(since))

    async def add(self, rows: Sequence[UsageRow]) -> bool:
        """Add *rows* to the sums, all or none; return whether that succeeded."""
        return await asyncio.to_thread(self._try, lambda: self._add(rows)) is not None

    def _try(self, work: Callable[[], Sequence[UsageRow]]) -> Sequence[UsageRow] | None:
        try:
            result = work()
        except _ERRORS as exc:
            if not self._failing:
                _LOG.warning("usage is not written to %s: %s", self._path, _reason(exc))
            self._failing = True
            return None
        if self._failing:
            _LOG.info("usage is written to %s again", self._path)
        self._failing = False
        return result

    def _load(self, since: str) -> Sequence[UsageRow]:
        if not self._path.exists():
            return ()
        with self._open() as database:
            found = database.execute(_LOAD, (since,)).fetchall()
        return [UsageRow(day, key, model, UsageTotals(*sums)) for day, key, model, *sums in found]

    def _add(self, rows: Sequence[UsageRow]) -> Sequence[UsageRow]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        # The second context manager commits or rolls back.
        with self._open() as database, database:
            database.executemany(
                _ADD, [(row.day, row.key, row.model, *astuple(row.totals)) for row in rows]
            )
        return rows

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one transaction only.

        While the server runs, the file may be moved, or its disk may return.
        """
        database = sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT)
        try:
            database.execute(_CREATE)
            _add_columns(database)
            yield database
        finally:
            database.close()


def _add_columns(database: sqlite3.Connection) -> None:
    """Add the columns that an older file lacks; the older version can still write to it."""
    if _lacking(database):
        # Another process may do the same.
        database.execute("BEGIN IMMEDIATE")
        for name in _lacking(database):
            database.execute(f"ALTER TABLE usage ADD COLUMN {name} INTEGER NOT NULL DEFAULT 0")
        database.commit()


def _lacking(database: sqlite3.Connection) -> list[str]:
    present = {name for (name,) in database.execute(_HAS)}
    return [name for name in TOTAL_NAMES if name not in present]


class UsagePersister:
    """Saves a ledger's sums to a store, and loads those of other processes."""

    def __init__(
        self,
        ledger: UsageLedger,
        store: UsageStore,
        clock: Callable[[], float],
        every: float = _SAVE_EVERY,
        *,
        load_every: int = _LOAD_EVERY,
    ) -> None:
        """*clock* gives epoch seconds; *every* is the seconds between two writes.

        After every *load_every* writes, other processes' sums are loaded.
        """
        self._ledger = ledger
        self._store = store
        self._clock = clock
        self._every = every
        self._load_every = load_every
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """Load the stored sums."""
        async with self._lock:
            rows = await self._store.load(oldest_day(self._clock()))
            if rows is not None:
                self._ledger.restore(rows)

    async def save(self) -> None:
        """Store what is not stored yet.

        This waits for a write in progress even when it is cancelled: the write cannot be undone,
        and repeating it would count twice.
        """
        writing = asyncio.ensure_future(self._save())
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await writing
            raise

    async def _save(self) -> None:
        async with self._lock:
            rows = self._ledger.drain_pending()
            if rows and not await self._store.add(rows):
                self._ledger.restore_pending(rows)

    async def run(self) -> None:
        """Save regularly, and load now and then, until cancelled."""
        while True:
            for _ in range(self._load_every):
                await asyncio.sleep(self._every)
                await self.save()
            await self.load()


def _reason(exc: Exception) -> str:
    if isinstance(exc, OSError):
        return (exc.strerror or "unknown error").lower()
    return str(exc)
