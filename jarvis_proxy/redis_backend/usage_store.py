"""The sums of usage of all processes, in the shared store. IO.

The store has one hash per day, with a field for each sum of a key and a model. A script adds a
whole batch or nothing. Each batch has a number, by which the store recognises a repetition: so a
lost answer does not make anything count twice.
"""

import secrets
from collections.abc import Sequence
from dataclasses import astuple
from datetime import date, timedelta
from typing import Final

import msgspec

from jarvis_proxy.accounting.usage import KEPT_DAYS, TOTAL_NAMES, UsageRow, UsageTotals
from jarvis_proxy.redis_backend.client import RedisConnection

_CHANGING: Final = 3
"""Days whose sums may still change: yesterday, today and tomorrow."""
_KEPT_DAYS: Final = 70
"""Days that are kept, more than any process reads."""
_BATCH_KNOWN: Final = 3600
"""Seconds for which the store remembers the number of a batch."""
_LIMIT: Final = 5.0
_ADD_LIMIT: Final = 1.0
"""Seconds for adding the last sums while the server stops, which must not take long."""

# ARGV: the rows as [[day, [field, amount, …]], …], the batch's number, seconds to keep a day,
# seconds to know the batch.
_ADD: Final = """
local batch = 'jarvis:usage-batch:' .. ARGV[2]
if not redis.call('SET', batch, 1, 'NX', 'EX', ARGV[4]) then return 0 end
for _, row in ipairs(cmsgpack.unpack(ARGV[1])) do
  local key, sums = 'jarvis:usage:' .. row[1], row[2]
  for i = 1, #sums, 2 do
    local amount = string.format('%.0f', sums[i + 1])
    local added = redis.pcall('HINCRBY', key, sums[i], amount)
    -- Not a number, or nearly too large for one: not written by a proxy.
    if type(added) == 'table' then redis.call('HSET', key, sums[i], amount) end
  end
  redis.call('EXPIRE', key, ARGV[3])
end
return 1
"""

# ARGV: the day. The script packs the reply so that its bytes are the same in every protocol.
_LOAD: Final = "return cmsgpack.pack(redis.call('HGETALL', 'jarvis:usage:' .. ARGV[1]))"

_ENCODER: Final = msgspec.msgpack.Encoder()
_SUMS: Final = msgspec.msgpack.Decoder(list[str])
_MAX_SUM: Final = 2**53
_MAX_TOKENS_PER_CALL: Final = 1_000_000_000
"""Most tokens that are counted for a single call."""


class RedisUsageStore:
    """Sums of usage that several processes add to; implements ``UsageStore``."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._add = connection.script(_ADD)
        self._load = connection.script(_LOAD)
        self._unconfirmed: tuple[str, Sequence[UsageRow]] | None = None
        self._past: dict[str, list[UsageRow]] = {}
        """Days that had been over for at least a day when they were read: they no longer change."""

    async def load(self, since: str) -> Sequence[UsageRow] | None:
        """Return the sums from the day *since* on, None if they cannot be read."""
        if self._unconfirmed is not None:
            await self._confirm()
        if self._unconfirmed is not None:
            # Without that batch the sums would be too small.
            return None
        days = _days(since)
        wanted = [day for day in days if day not in self._past]
        # One command per day, since each command blocks the store.
        commands = [self._load.call(day.encode()) for day in wanted]
        replies = await self._connection.execute(commands, _LIMIT)
        if replies is None:
            return None
        try:
            read = {
                day: _rows(day, _SUMS.decode(raw)) for day, raw in zip(wanted, replies, strict=True)
            }
        except ValueError:  # another program wrote it
            return None
        all_days = {**self._past, **read}
        self._past = {day: all_days[day] for day in days[:-_CHANGING]}
        return [row for day in days for row in all_days[day]]

    async def add(self, rows: Sequence[UsageRow]) -> bool:
        """Add *rows* to the sums; return whether the caller is done with them.

        An unconfirmed batch is sent again before the next one.
        """
        if self._unconfirmed is not None:
            await self._confirm()
        if self._unconfirmed is not None or not self._connection.is_up:
            return False
        self._unconfirmed = (secrets.token_hex(8), tuple(rows))
        await self._confirm()
        return True

    async def _confirm(self) -> None:
        """Send the unconfirmed batch again; clear it on success."""
        assert self._unconfirmed is not None  # noqa: S101 - the callers check this
        number, rows = self._unconfirmed
        kept = _KEPT_DAYS * 24 * 3600
        command = self._add.call(_ENCODER.encode(_sums(rows)), number, kept, _BATCH_KNOWN)
        if await self._connection.execute([command], _ADD_LIMIT) is not None:
            self._unconfirmed = None


def _days(since: str) -> list[str]:
    """Return the days from *since*, the oldest kept, to tomorrow, because clocks differ."""
    first = date.fromisoformat(since)
    return [(first + timedelta(days=number)).isoformat() for number in range(KEPT_DAYS + 2)]


def _sums(rows: Sequence[UsageRow]) -> list[tuple[str, list[str | int]]]:
    found: list[tuple[str, list[str | int]]] = []
    for row in rows:
        sums: list[str | int] = []
        for name, amount in zip(TOTAL_NAMES, astuple(row.totals), strict=True):
            if amount:
                # No key's name contains a space, but a model's may, so it comes last.
                sums += [f"{name} {row.key} {row.model}", amount]
        found.append((row.day, sums))
    return found


def _rows(day: str, sums: Sequence[str]) -> list[UsageRow]:
    """Return the rows of a day, each sum within the bounds of what calls can use.

    Skips fields of other programs.
    """
    found: dict[tuple[str, str], dict[str, int]] = {}
    for field, amount in zip(sums[::2], sums[1::2], strict=True):
        name, _, rest = field.partition(" ")
        key, _, model = rest.partition(" ")
        if name in TOTAL_NAMES and model:
            found.setdefault((key, model), {})[name] = int(amount)
    return [UsageRow(day, *names, _bounded(totals)) for names, totals in found.items()]


def _bounded(totals: dict[str, int]) -> UsageTotals:
    """Return clamped sums: negative ones would refill a budget."""
    calls = min(max(0, totals.get("calls", 0)), _MAX_SUM)
    tokens = min(calls * _MAX_TOKENS_PER_CALL, _MAX_SUM)
    most = {"calls": calls, "cost": _MAX_SUM}
    return UsageTotals(
        **{name: min(max(0, total), most.get(name, tokens)) for name, total in totals.items()}
    )
