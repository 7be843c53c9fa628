"""Whether Redis works and is set up so that budgets and limits hold. IO.

redis-py is loaded only where REDIS_URL is set.
"""

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

from jarvis_proxy.doctor.findings import Finding, ok, problem, warning
from jarvis_proxy.settings import SettingsError
from jarvis_proxy.shared.opening import check_redis

if TYPE_CHECKING:
    from redis.asyncio import Redis

_CHECK: Final = "Redis"
_LIMIT: Final = 5.0
_SLOW: Final = 0.05
"""Half of what a call waits for it."""


async def check_redis_store(url: str, *, limit: float = _LIMIT) -> list[Finding]:
    """Return how it stands with the store at *url*; nothing without one."""
    if not url:
        return []
    try:
        check_redis(url)
    except SettingsError as exc:
        return [problem(_CHECK, exc.problems[0])]
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    client = Redis.from_url(url, protocol=2, socket_connect_timeout=limit)
    try:
        async with asyncio.timeout(limit):
            return await _examine(client)
    except TimeoutError:
        return [_away("it does not answer")]
    except (RedisError, OSError) as exc:
        return [_away(_reason(exc))]
    finally:
        with contextlib.suppress(RedisError, OSError):
            await client.aclose()


async def _examine(client: "Redis") -> list[Finding]:
    await client.ping()
    began = time.perf_counter()
    await client.set("jarvis:alive", 1, ex=60)
    took = time.perf_counter() - began
    info = await _told(client)
    if info.get("role") == "slave":
        return [_away("it is a replica, which takes no writes")]
    version = info.get("valkey_version") or info.get("redis_version") or "version unknown"
    detail = f"answers in {took * 1000:.1f} ms ({version})"
    if took > _SLOW:
        advice = "Calls wait for it for 100 ms at most, then go on without it. Bring it nearer."
        return [warning(_CHECK, detail, advice), *await _keeping(client, info)]
    return [ok(_CHECK, detail), *await _keeping(client, info)]


async def _keeping(client: "Redis", info: dict[str, Any]) -> list[Finding]:
    """Return whether it keeps what it is told."""
    found = []
    saves = (await _told(client, "save")).get("save", "unknown")
    if not info.get("aof_enabled") and not saves:
        found.append(
            warning(
                _CHECK,
                "keeps nothing on disk: after its restart, usage and budgets begin at zero",
                "In redis.conf:",
                "appendonly yes",
            )
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory") and policy != "noeviction":
        found.append(
            warning(
                _CHECK,
                f"throws away what it likes when its memory is full ({policy}), usage too",
                "In redis.conf:",
                "maxmemory-policy noeviction",
            )
        )
    return found


async def _told(client: "Redis", setting: str = "") -> dict[str, Any]:
    """Return what it tells of itself, or of a *setting*; a hosted one may tell nothing."""
    from redis.exceptions import ResponseError

    try:
        told = await client.config_get(setting) if setting else await client.info()
        return {str(name): value for name, value in told.items()}
    except ResponseError:
        return {}


def _away(reason: str) -> Finding:
    return problem(
        _CHECK,
        f"cannot be used: {reason}",
        "Calls go on without it, each process by itself. Mend it, or REDIS_URL.",
    )


def _reason(exc: Exception) -> str:
    """Return what went wrong, by kind: the messages may hold the address and the password."""
    kind = type(exc).__name__
    return {
        "AuthenticationError": "it refuses the password",
        "AuthenticationWrongNumberOfArgsError": "it refuses the password",
        "NoPermissionError": "this user may not do what is needed",
        "ReadOnlyError": "it is a replica, which takes no writes",
        "ConnectionError": "nobody answers at this address",
        "OutOfMemoryError": "its memory is full",
    }.get(kind, kind)
