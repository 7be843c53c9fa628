"""Checks whether Redis works, with settings under which budgets and limits hold. IO."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable
from typing import Any, Final

from jarvis_proxy.config.extras import check_redis
from jarvis_proxy.config.settings import SettingsError
from jarvis_proxy.doctor.findings import Check, Finding

_CHECK: Final = Check("checks/redis", "Redis")
SLOW_AFTER: Final = 0.05
"""Seconds; half of a call's time limit for Redis."""

_REPLICA: Final = "it is a replica, which takes no writes"
_REASONS: Final = {
    "AuthenticationError": "it refuses the password",
    "AuthenticationWrongNumberOfArgsError": "it refuses the password",
    "NoPermissionError": "this user may not do what the proxy needs",
    "ReadOnlyError": _REPLICA,
    "ConnectionError": "no server answers at this address",
    "TimeoutError": "it does not answer",
    "OutOfMemoryError": "its memory is full",
}
"""Reasons by exception name; the message may contain the address and the password."""


async def check_redis_store(
    url: str, *, timeout_s: float = 5.0, slow_after_s: float = SLOW_AFTER
) -> list[Finding]:
    """Return the findings about the Redis at *url*; none without a URL.

    A write that takes longer than *slow_after_s* is a warning.
    """
    if not url:
        return []
    try:
        check_redis(url)
    except SettingsError as exc:
        return [_CHECK.finding("not_installed", reason=exc.problems[0])]
    from redis.asyncio import Redis  # imported here because it is optional
    from redis.exceptions import RedisError

    client = Redis.from_url(url, protocol=2, socket_connect_timeout=timeout_s)
    try:
        async with asyncio.timeout(timeout_s):
            return await _check_client(client, slow_after_s)
    except (RedisError, OSError) as exc:
        # TimeoutError is an OSError.
        name = type(exc).__name__
        return [_CHECK.finding("unusable", reason=_REASONS.get(name, name))]
    finally:
        with contextlib.suppress(RedisError, OSError):
            await client.aclose()


async def _check_client(client: Any, slow_after_s: float) -> list[Finding]:
    await client.ping()
    began = time.perf_counter()
    await client.set("jarvis:alive", 1, ex=60)
    took = time.perf_counter() - began
    info = await _read(client.info())
    if info.get("role") == "slave":
        return [_CHECK.finding("unusable", reason=_REPLICA)]
    version = info.get("valkey_version") or info.get("redis_version") or "version unknown"
    result = "slow" if took > slow_after_s else "works"
    findings = [_CHECK.finding(result, time=f"{took * 1000:.1f} ms", version=version)]
    saves = (await _read(client.config_get("save"))).get("save", "unknown")
    if not info.get("aof_enabled") and not saves:
        findings.append(_CHECK.finding("not_persistent"))
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory") and policy != "noeviction":
        findings.append(_CHECK.finding("evicting", policy=policy))
    return findings


async def _read(reply: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """Return Redis's information about itself, none if a hosted service refuses it."""
    from redis.exceptions import ResponseError

    try:
        return await reply
    except ResponseError:
        return {}
