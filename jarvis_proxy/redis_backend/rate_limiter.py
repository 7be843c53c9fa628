"""A RateLimiter for several processes: the store decides; if it fails, this process does. IO.

One script decides, so concurrent calls in two processes are counted one after the other, on the
store's clock. Admitted calls are counted here too: if the store fails, each process continues from
its own part of the usage.

Calls in progress hold leases, so the calls of a process that died are forgotten after 30 seconds.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from jarvis_proxy.access.rate_limits import (
    MAX_DEBT_MINUTES,
    KeyQuota,
    LimitDecision,
    LimitStatus,
    MemoryRateLimiter,
)
from jarvis_proxy.errors import Reason
from jarvis_proxy.redis_backend.batching import Command, CommandBatcher
from jarvis_proxy.redis_backend.client import RedisConnection

LEASE: Final = 30
"""Seconds that a call counts as in progress after its process last renewed it."""
_RENEW_EVERY: Final = LEASE / 3

# Each level is stored with the time at which it was valid. A bucket expires once it has been unused
# for long enough to be full again.
# "a" admits a call: name, call, requests and tokens a minute, concurrent calls (0: no limit),
# tokens. "s" settles tokens, "r" releases a call, "k" renews calls. Durations are in milliseconds.
# Stored values are clamped when read, so a wrong value never blocks a key for longer than its own
# calls could.
_LUA: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease, debt = tonumber(ARGV[2]) * 1000, tonumber(ARGV[3])

local function bucket(key, field, capacity)
  if capacity == 0 then return nil end
  local kept = redis.call('HMGET', key, field, field .. '_at')
  local level, at = tonumber(kept[1]) or capacity, tonumber(kept[2]) or now
  local rate, lowest = capacity / 60000, -debt * capacity
  -- Not written by a proxy, or the clock was set back: correct it.
  if not (level >= lowest and at >= 0 and at <= now) then
    level, at = level < lowest and lowest or math.min(level, capacity), now
    if level ~= level then level = capacity end
    redis.call('HSET', key, field, level, field .. '_at', at)
    if redis.call('PTTL', key) < 0 then redis.call('PEXPIRE', key, (debt + 1) * 60000) end
  end
  level = math.min(capacity, level + (now - at) * rate)
  return {key = key, field = field, capacity = capacity, rate = rate, level = level}
end

local function wait(b, amount)
  return math.max(0, math.min(amount, b.capacity) - b.level) / b.rate
end

local function spend(b, amount)
  b.level = math.max(-debt * b.capacity, math.min(b.capacity, b.level - amount))
  redis.call('HSET', b.key, b.field, b.level, b.field .. '_at', now)
  local full = math.ceil((b.capacity - b.level) / b.rate) + 60000
  if redis.call('PTTL', b.key) < full then redis.call('PEXPIRE', b.key, full) end
end

local function meter(b)
  if not b then return 0, 0 end
  return math.max(0, math.floor(b.level)), math.ceil((b.capacity - b.level) / b.rate)
end

local function admit(op)
  local name, call, at_once, amount = op[2], op[3], op[6], op[7]
  local key, calls = 'jarvis:limit:' .. name, 'jarvis:calls:' .. name
  local requests, tokens = bucket(key, 'requests', op[4]), bucket(key, 'tokens', op[5])
  local refused, delay = 0, 0
  if at_once > 0 then
    redis.call('ZREMRANGEBYSCORE', calls, '-inf', now)
    redis.call('ZREMRANGEBYSCORE', calls, '(' .. (now + lease), '+inf')
    if redis.call('ZCARD', calls) >= at_once then refused, delay = 1, 1000 end
  end
  if refused == 0 and requests then
    delay = wait(requests, 1)
    if delay > 0 then refused = 2 end
  end
  if refused == 0 and tokens then
    delay = wait(tokens, math.max(amount, 1))
    if delay > 0 then refused = 3 end
  end
  if refused == 0 then
    if at_once > 0 then
      redis.call('ZADD', calls, now + lease, call)
      redis.call('PEXPIRE', calls, lease * 2)
    end
    if requests then spend(requests, 1) end
    if tokens then spend(tokens, amount) end
  end
  local left_requests, requests_back = meter(requests)
  local left_tokens, tokens_back = meter(tokens)
  return {refused, math.ceil(delay), left_requests, requests_back, left_tokens, tokens_back}
end

local verdicts = {}
for _, op in ipairs(cmsgpack.unpack(ARGV[1])) do
  local kind = op[1]
  if kind == 'a' then
    verdicts[#verdicts + 1] = admit(op)
  elseif kind == 's' then
    spend(bucket('jarvis:limit:' .. op[2], 'tokens', op[3]), op[4])
  elseif kind == 'r' then
    redis.call('ZREM', 'jarvis:calls:' .. op[2], op[3])
  else
    local key = 'jarvis:calls:' .. op[2]
    for i = 3, #op do redis.call('ZADD', key, now + lease, op[i]) end
    redis.call('PEXPIRE', key, lease * 2)
  end
end
return cmsgpack.pack(verdicts)
"""

_Op = tuple[str | int, ...]
_Answer = tuple[int, int, int, int, int, int]
_REASONS: Final[tuple[Reason | None, ...]] = (None, "concurrency", "requests", "tokens")
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[_Answer])


class RedisRateLimiter:
    """Counts the usage of keys in all processes that share a store; implements ``RateLimiter``."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._local = MemoryRateLimiter()
        self._quotas: dict[str, KeyQuota] = {}
        self._running: dict[str, set[str]] = {}
        """The calls in progress in this process, for keys with a limit on concurrent calls."""
        self._script = connection.script(_LUA)
        self._ops: CommandBatcher[_Op, _Answer] = connection.batcher(
            self._command, lambda reply, asked: _DECODER.decode(reply)
        )
        connection.on_reconnect(self.renew)

    async def admit(
        self, key: str, quota: KeyQuota, *, call_id: str, tokens: int, now: float
    ) -> LimitDecision:
        """Decide on a call; count it if it is admitted. *now* is this process's clock."""
        self._quotas[key] = quota
        answer = await self._ops.request(
            (
                "a",
                key,
                call_id,
                quota.rpm or 0,
                quota.tpm or 0,
                quota.concurrency or 0,
                tokens,
            )
        )
        if answer is not None and answer[0]:
            return _decision(answer, quota)
        local = await self._local.admit(key, quota, call_id=call_id, tokens=tokens, now=now)
        if quota.concurrency is not None and (answer is not None or local.refused is None):
            self._running.setdefault(key, set()).add(call_id)
        return local if answer is None else _decision(answer, quota)

    def adjust_tokens(self, key: str, tokens: int, now: float) -> None:
        """Add *tokens*, which may be negative, to what ``admit`` counted."""
        self._local.adjust_tokens(key, tokens, now)
        quota = self._quotas.get(key)
        if tokens and quota is not None and quota.tpm is not None:
            self._ops.send(("s", key, quota.tpm, tokens))

    def release(self, key: str, call_id: str) -> None:
        """Count a call as ended."""
        self._local.release(key, call_id)
        quota = self._quotas.get(key)
        if quota is not None and quota.concurrency is not None:
            self._running.get(key, set()).discard(call_id)
            # Release unknown calls too: the client may have left before the store's answer arrived.
            self._ops.send(("r", key, call_id))

    def renew(self) -> None:
        """Renew the leases of the calls in progress."""
        for key, calls in self._running.items():
            if calls:
                self._ops.send(("k", key, *calls))

    async def run(self) -> None:
        """Renew leases until cancelled."""
        while True:
            await asyncio.sleep(_RENEW_EVERY)
            self.renew()

    def _command(self, ops: Sequence[_Op]) -> Command:
        return self._script.call(_ENCODER.encode(ops), LEASE, MAX_DEBT_MINUTES)


def _decision(answer: _Answer, quota: KeyQuota) -> LimitDecision:
    refused, wait, requests_left, requests_back, tokens_left, tokens_back = answer
    return LimitDecision(
        _REASONS[refused],
        wait / 1000,
        None if quota.rpm is None else LimitStatus(quota.rpm, requests_left, requests_back / 1000),
        None if quota.tpm is None else LimitStatus(quota.tpm, tokens_left, tokens_back / 1000),
    )
