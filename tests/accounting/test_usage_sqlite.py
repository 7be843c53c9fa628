"""Usage on disk: nothing is lost, nothing counts twice, and a bad disk stops nobody."""

import asyncio
import logging
import os
import sqlite3
import stat
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from jarvis_proxy.accounting.usage import UsageLedger, UsageRow, UsageTotals
from jarvis_proxy.accounting.usage_sqlite import FILE_NAME, SqliteUsageStore, UsagePersister
from tests.support.call_records import call
from tests.support.eventually import eventually

ROW = UsageRow("2026-11-23", "laptop", "openai/gpt-4o", UsageTotals(1, 10, 5, 4, 2, 1000, 0, 0))
NOW = 1_795_478_400.0  # 2026-11-24


def keeper(
    ledger: UsageLedger, store: "SqliteUsageStore | Store", every: float = 3600
) -> UsagePersister:
    return UsagePersister(ledger, store, lambda: NOW, every)


class Store:
    """A store that fails when the test wants it."""

    def __init__(self) -> None:
        self.rows: list[UsageRow] = []
        self.works = True
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.loads = 0

    async def load(self, since: str) -> Sequence[UsageRow] | None:
        self.loads += 1
        return self.rows if self.works else None

    async def add(self, rows: Sequence[UsageRow]) -> bool:
        self.begun.set()
        await self.may_end.wait()
        if self.works:
            self.rows += rows
        return self.works


# -- the file --------------------------------------------------------------------------------


async def test_what_is_added_is_found_by_the_next_process(tmp_path: Path) -> None:
    await SqliteUsageStore(tmp_path / "state").add([ROW])

    assert await SqliteUsageStore(tmp_path / "state").load("2026-11-23") == [ROW]


async def test_sums_grow_by_what_is_added(tmp_path: Path) -> None:
    first, second = SqliteUsageStore(tmp_path), SqliteUsageStore(tmp_path)  # two processes
    other = UsageRow(ROW.day, "phone", ROW.model, UsageTotals(calls=3))
    assert await first.add([ROW, other])
    assert await second.add([ROW])
    loaded = await first.load(ROW.day)

    assert loaded == [
        UsageRow(ROW.day, ROW.key, ROW.model, UsageTotals(2, 20, 10, 8, 4, 2000)),
        other,
    ]


async def test_only_days_that_are_asked_for_are_read(tmp_path: Path) -> None:
    store = SqliteUsageStore(tmp_path)
    await store.add([ROW])

    assert await store.load("2026-11-24") == []


async def test_a_start_without_a_file_makes_none(tmp_path: Path) -> None:
    assert await SqliteUsageStore(tmp_path / "state").load("2026-11-23") == ()
    assert os.listdir(tmp_path) == []


async def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    await SqliteUsageStore(tmp_path / "state").add([ROW])
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()]

    assert modes == [0o600]
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


_OLDER_TABLE = """
CREATE TABLE usage (
    day TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL,
    calls INTEGER NOT NULL, prompt INTEGER NOT NULL, completion INTEGER NOT NULL,
    cached INTEGER NOT NULL, reasoning INTEGER NOT NULL, cost INTEGER NOT NULL,
    unpriced INTEGER NOT NULL, unmeasured INTEGER NOT NULL,
    PRIMARY KEY (day, key, model)
) WITHOUT ROWID
"""
_OLDER_ADD = """
INSERT INTO usage (
    day, key, model, calls, prompt, completion, cached, reasoning, cost, unpriced, unmeasured
) VALUES (?, ?, ?, 1, 2, 3, 4, 5, 6, 7, 8)
"""


async def test_a_file_of_an_older_version_gains_what_it_lacks(tmp_path: Path) -> None:
    """The older version can still write to it."""
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        database.execute(_OLDER_TABLE)
        database.execute(_OLDER_ADD, ("2026-11-23", "laptop", "openai/gpt-4o"))
    store = SqliteUsageStore(tmp_path)
    counts = UsageTotals(1, 2, 3, 4, 5, 6, 7, 8, 0)
    assert await store.load("2026-11-23") == [
        UsageRow("2026-11-23", "laptop", "openai/gpt-4o", counts)
    ]

    more = UsageTotals(calls=1, written=9)
    assert await store.add([UsageRow("2026-11-23", "laptop", "openai/gpt-4o", more)])
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        database.execute(_OLDER_ADD, ("2026-11-23", "phone", "openai/gpt-4o"))
    loaded = await store.load("2026-11-23")

    assert loaded is not None
    assert [(row.key, row.totals.calls, row.totals.written) for row in loaded] == [
        ("laptop", 2, 9),
        ("phone", 1, 0),
    ]


async def test_two_processes_may_bring_a_file_up_to_date_at_once(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        database.execute(
            "CREATE TABLE usage (day TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, "
            "PRIMARY KEY (day, key, model)) WITHOUT ROWID"
        )
    stores = [SqliteUsageStore(tmp_path) for _ in range(4)]

    assert all(await asyncio.gather(*(store.add([ROW]) for store in stores)))
    (row,) = await stores[0].load(ROW.day) or ()
    assert row.totals.calls == 4 * ROW.totals.calls


async def test_a_large_number_stays_exact(tmp_path: Path) -> None:
    store = SqliteUsageStore(tmp_path)
    large = UsageRow(ROW.day, "a", "b/c", UsageTotals(cost=2**53 + 1))
    await store.add([large])

    assert await store.load(ROW.day) == [large]


async def test_broken_file_is_kept_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(b"this is no database" * 100)
    store = SqliteUsageStore(tmp_path)
    with caplog.at_level(logging.INFO):
        assert await store.load(ROW.day) is None
        assert await store.add([ROW]) is False
        assert path.read_bytes().startswith(b"this is no database")
        path.unlink()
        assert await store.add([ROW]) is True

    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "file is not a database" in caplog.text


async def test_folder_that_cannot_be_created_is_logged_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()

    assert await SqliteUsageStore(tmp_path / "file" / "state").add([ROW]) is False
    assert "not a directory" in caplog.text


async def test_a_locked_file_is_waited_for_without_holding_up_the_event_loop(
    tmp_path: Path,
) -> None:
    store = SqliteUsageStore(tmp_path)
    await store.add([ROW])
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        adding = asyncio.ensure_future(store.add([ROW]))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(adding), 0.05)
        other.execute("ROLLBACK")

    assert await adding is True


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
async def test_full_disk_is_logged_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.symlink("/dev/full", tmp_path / FILE_NAME)

    assert await SqliteUsageStore(tmp_path).add([ROW]) is False
    assert "usage is not written to" in caplog.text


# -- the keeper ------------------------------------------------------------------------------


async def test_what_was_used_survives_a_restart(tmp_path: Path) -> None:
    before, after = UsageLedger(), UsageLedger()
    before.add(call())
    await keeper(before, SqliteUsageStore(tmp_path)).save()
    await keeper(after, SqliteUsageStore(tmp_path)).load()
    after.add(call())
    await keeper(after, SqliteUsageStore(tmp_path)).save()
    (row,) = await SqliteUsageStore(tmp_path).load("") or ()

    assert dict(after.days("laptop", "", "9"))["2026-11-23"]["openai/gpt-4o"].calls == 2
    assert row.totals.calls == 2


async def test_nothing_is_written_where_nothing_was_used() -> None:
    store = Store()
    await keeper(UsageLedger(), store).save()

    assert not store.begun.is_set()


async def test_what_could_not_be_written_is_written_later() -> None:
    ledger, store = UsageLedger(), Store()
    kept = keeper(ledger, store)
    store.works = False
    ledger.add(call())
    await kept.save()
    await kept.load()
    ledger.add(call())
    store.works = True
    await kept.save()

    assert [row.totals.calls for row in store.rows] == [2]
    assert dict(ledger.days("laptop", "", "9"))["2026-11-23"]["openai/gpt-4o"].calls == 2


async def test_a_cancelled_save_ends_its_write_and_counts_once() -> None:
    ledger, store = UsageLedger(), Store()
    kept = keeper(ledger, store)
    store.may_end.clear()
    ledger.add(call())
    saving = asyncio.create_task(kept.save())
    await store.begun.wait()
    saving.cancel()
    store.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await saving
    await kept.save()

    assert [row.totals.calls for row in store.rows] == [1]


async def test_what_is_being_written_is_not_lost_to_a_load() -> None:
    ledger, store = UsageLedger(), Store()
    kept = keeper(ledger, store)
    store.may_end.clear()
    ledger.add(call())
    saving = asyncio.create_task(kept.save())
    await store.begun.wait()
    loading = asyncio.create_task(kept.load())
    store.may_end.set()
    await asyncio.gather(saving, loading)

    assert dict(ledger.days("laptop", "", "9"))["2026-11-23"]["openai/gpt-4o"].calls == 1


async def test_while_it_runs_it_saves_and_takes_over_what_others_wrote() -> None:
    ledger, store = UsageLedger(), Store()
    store.rows.append(UsageRow("2026-11-23", "laptop", "openai/gpt-4o", UsageTotals(calls=7)))
    ledger.add(call())
    running = asyncio.create_task(keeper(ledger, store, every=0.0).run())
    await eventually(lambda: store.loads > 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert [row.totals.calls for row in store.rows] == [7, 1]
    assert dict(ledger.days("laptop", "", "9"))["2026-11-23"]["openai/gpt-4o"].calls == 8
