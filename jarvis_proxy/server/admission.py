"""At the door: whose address it is, whether a key opens, whether there is room for the call. IO.

What a call takes (a place, bytes of memory, tokens) is kept in its Admission and given back at its
end. A key without a policy costs a look into a table and two additions.
"""

import asyncio
from collections.abc import Callable
from random import SystemRandom
from typing import Final

from aiohttp import web

from jarvis_proxy.access.auth_throttle import AuthThrottle, auth_throttled
from jarvis_proxy.access.client_ip import client_ip
from jarvis_proxy.access.connection_counter import network_key
from jarvis_proxy.access.permissions import KeyPermissions, model_needed, model_not_found
from jarvis_proxy.access.rate_limits import (
    KeyQuota,
    LimitDecision,
    RateLimiter,
    concurrency_exceeded,
    estimate_answer,
    estimate_prompt,
    overloaded,
)
from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.config.settings import KeyPolicy, Settings
from jarvis_proxy.errors import LimitExceeded, ProxyError
from jarvis_proxy.routing.models import ModelRegistry, ModelRoute

_RANDOM: Final = SystemRandom()
_TEXT: Final = ("/v1/chat/completions", "/v1/completions", "/v1/responses")
_REJECTION_DELAY: Final = 1.0
"""Seconds that the refusal of a guess is late."""
_DELAYED_SHARE: Final = 4
"""Of all the connections that there may be, at most one in so many waits for such a refusal."""
Clock = Callable[[], float]
_FULL: Final = "it holds as much of requests and answers as it can"


class MemoryAccount:
    """How many bytes of requests and answers the process holds, over every set of settings."""

    __slots__ = ("bytes_held",)

    def __init__(self) -> None:
        self.bytes_held = 0


class AdmissionController:
    """What decides on requests, and what those in progress take.

    *clock* is monotonic, *wall* in epoch seconds. *connections* is how many clients may hold,
    *memory* the process's.
    """

    def __init__(
        self,
        settings: Settings,
        registry: ModelRegistry,
        limiter: RateLimiter,
        *,
        clock: Clock,
        wall: Clock,
        connections: int,
        memory: MemoryAccount,
    ) -> None:
        self.limits = settings.limits
        self.registry = registry
        self.limiter = limiter
        self.clock = clock
        self.memory = memory
        self.in_progress: dict[str, int] = {}
        self.delayed_rejections = 0
        """How many wait for the refusal of a guess."""
        self._wall = wall
        self._max_delayed_rejections = max(1, connections // _DELAYED_SHARE)
        self._trusted = settings.trusted_proxies
        self._failures = AuthThrottle(clock())
        self._access = {
            name: KeyPermissions(policy, registry.route)
            for name, policy in settings.policies.items()
        }
        self._quotas = {
            name: quota
            for name, policy in settings.policies.items()
            if (quota := _quota(policy)) != KeyQuota()
        }
        self._counted = frozenset(
            name for name, policy in settings.policies.items() if policy.tpm or policy.budget
        )

    @property
    def bytes_in_flight(self) -> int:
        """How many bytes of requests and answers are held."""
        return self.memory.bytes_held

    def address(self, request: web.Request) -> str:
        """Return the address of the client, seen through trusted proxies; ``""`` if unknown."""
        peer = request.remote or ""
        if not self._trusted:
            return peer
        return client_ip(peer, request.headers.getall("X-Forwarded-For", ()), self._trusted)

    def is_key_allowed(self, key: str, address: str) -> bool:
        """Tell whether the key called *key* opens anything from *address* now."""
        access = self._access.get(key)
        return access is None or access.is_valid_at(address, self._wall())

    def record_auth_failure(self, address: str, guesses: int, refusal: ProxyError) -> ProxyError:
        """Count a request without a valid key, and with so many *guesses*; return what to raise.

        That is *refusal*, or AuthThrottled for an address that fails again and again.
        """
        wait = self._failures.record_failure(network_key(address), self.clock(), max(1, guesses))
        return auth_throttled(wait) if wait else refusal

    async def delay_rejection(self) -> None:
        """Make who guesses wait, unless too many do: they hold connections meanwhile.

        Behind a trusted proxy these are everybody's connections.
        """
        if self.delayed_rejections >= self._max_delayed_rejections:
            return
        self.delayed_rejections += 1
        try:
            await asyncio.sleep(_REJECTION_DELAY)
        finally:
            self.delayed_rejections -= 1

    def admit(self, key: str, call_id: str, running: int) -> "AdmittedCall":
        """Give a call of *key* a place beside the *running* ones.

        Raises:
            LimitReached: 503 `overloaded`; 429 `rate_limit_exceeded`, the key has no place left.
        """
        if running >= self.limits.max_streams:
            raise overloaded_error("it answers as many requests as it can")
        count = self.in_progress.get(key, 0)
        quota = self._quotas.get(key)
        if count >= self._max_concurrent(quota):
            raise concurrency_exceeded()
        self.in_progress[key] = count + 1
        admitted = AdmittedCall(self, key, call_id, self._access.get(key), quota)
        admitted.counts_tokens = key in self._counted
        return admitted

    def model_filter(self, key: str) -> Callable[[str], bool]:
        """Return what tells whether a model is shown to *key*."""
        access, registry = self._access.get(key), self.registry
        if access is None or not access.is_limited:
            return registry.is_usable
        return lambda model: (
            registry.is_usable(model) and access.allows(model, registry.route(model))
        )

    def _max_concurrent(self, quota: KeyQuota | None) -> int:
        """Return how many calls a key may have in progress, those whose body arrives included."""
        most = self.limits.max_streams_per_key
        return most if quota is None else max(most, quota.concurrency or 0)


class AdmittedCall:
    """One call that was let in: which models it may use, and what it takes until its end."""

    __slots__ = (
        "_access",
        "_call_id",
        "_controller",
        "_key",
        "_prompt",
        "_quota",
        "_rate_checked",
        "_released",
        "_reserved",
        "_size",
        "counts_tokens",
        "verdict",
    )

    def __init__(
        self,
        controller: AdmissionController,
        key: str,
        call_id: str,
        access: KeyPermissions | None,
        quota: KeyQuota | None,
    ) -> None:
        self._controller = controller
        self._key = key
        self._call_id = call_id
        self._access = access
        self._quota = quota
        self._size = 0
        self._released = False
        self._rate_checked = False
        self._reserved = 0
        self._prompt = 0
        self.counts_tokens = False
        """Whether the key has a limit or a budget of tokens or money."""
        self.verdict: LimitDecision | None = None
        """How the key's limits stand, for one that has some."""

    @property
    def is_limited(self) -> bool:
        """Whether there are models that the call may not use."""
        return self._access is not None and self._access.is_limited

    def resolve(self, model: str | None) -> ModelRoute:
        """Return where *model* is served; None or ``""`` means the default model.

        Raises:
            ProxyError: 404 `model_not_found`, also for a model that the key may not use.
        """
        registry, access = self._controller.registry, self._access
        if access is not None and not access.allows(model or None, registry.route(model)):
            raise model_not_found(model or "jarvis-default")
        return registry.resolve(model)

    def openai_route(self) -> ModelRoute:
        """Return the way to OpenAI for a request that names no model.

        Raises:
            ProxyError: 404 `model_not_found`, OpenAI has no key here, or this key may use certain
                models only: it could reach the others this way.
        """
        route = self._controller.registry.openai_default()
        if self._access is not None and not self._access.allows(None, route):
            raise model_needed()
        return route

    def fallbacks(self, model: str | None) -> tuple[ModelRoute, ...]:
        """Return where a failed call to *model* may go instead: places that the key may use."""
        access = self._access
        routes = self._controller.registry.fallbacks(model)
        if access is None:
            return routes
        return tuple(route for route in routes if access.allows(None, route))

    def check_memory(self, size: int) -> None:
        """Refuse what takes *size* bytes more when there is no memory left for it.

        Raises:
            LimitReached: 503 `overloaded`.
        """
        limit = self._controller.limits.max_bytes_in_flight
        if self._controller.memory.bytes_held + size > limit:
            raise overloaded_error(_FULL) if self._size + size <= limit else never_fits_error()

    def reserve_bytes(self, size: int) -> None:
        """Count *size* bytes more as held until the call ends; a negative one: let go.

        Raises:
            LimitReached: 503 `overloaded`. They are counted all the same, to the call's end.
        """
        self.count_bytes(size)
        if size > 0:
            self.check_memory(0)

    def count_bytes(self, size: int) -> None:
        """Count as ``reserve_bytes`` does, and refuse nothing: what is held now was held before."""
        if self._released:
            return
        self._size += size
        self._controller.memory.bytes_held += size

    def open_reservation(self) -> "ByteReservation":
        """Return a part of what the call holds that changes in size: nothing so far."""
        return ByteReservation(self)

    async def check_rate_limit(self, body: bytes = b"") -> None:
        """Ask whether the key's limits allow the call, just before it goes upstream.

        Raises:
            LimitReached: 429 `rate_limit_exceeded`.
        """
        quota, controller = self._quota, self._controller
        if self.counts_tokens:
            self._prompt = estimate_prompt(body)
        if quota is None:
            return
        self._rate_checked = True
        self._reserved = 0 if quota.tpm is None else self._prompt
        verdict = await controller.limiter.admit(
            self._key, quota, call_id=self._call_id, tokens=self._reserved, now=controller.clock()
        )
        self.verdict = verdict
        if verdict.refused is not None:
            raise verdict.error()

    def release(self, record: CallRecord) -> None:
        """Give back what the call took, and count its tokens.

        Those of a key with limits are estimated in *record* where no upstream told them.
        """
        if self.counts_tokens and record.prompt_tokens is None:
            self._estimate(record)
        controller = self._controller
        controller.memory.bytes_held -= self._size
        self._released = True
        controller.in_progress[self._key] -= 1
        if not self._rate_checked:
            return
        controller.limiter.release(self._key, self._call_id)
        if self.verdict is not None and self.verdict.refused is None:
            more = self._tokens(record) - self._reserved
            controller.limiter.adjust_tokens(self._key, more, controller.clock())

    def _tokens(self, record: CallRecord) -> int:
        return (record.prompt_tokens or 0) + (record.completion_tokens or 0)

    def _estimate(self, record: CallRecord) -> None:
        if record.upstream_first_byte_at is None or record.first_byte_sent_at is None:
            return  # it failed before an answer
        is_text = record.route in _TEXT
        answer = estimate_answer(record.bytes_out, streamed=record.streamed, is_text=is_text)
        if self._prompt or answer:
            record.prompt_tokens, record.completion_tokens = self._prompt, answer


class ByteReservation:
    """A part of what a call holds, such as an event that is not whole: its size changes."""

    __slots__ = ("_call", "size")

    def __init__(self, admitted: AdmittedCall) -> None:
        self._call = admitted
        self.size = 0

    def set(self, size: int) -> None:
        """Hold *size* bytes in place of what was held.

        Raises:
            LimitReached: 503 `overloaded`; they count all the same.
        """
        more, self.size = size - self.size, size
        if more:
            self._call.reserve_bytes(more)

    def add(self, size: int) -> None:
        """Hold *size* bytes more. Raises as ``set`` does."""
        self.set(self.size + size)

    def set_unchecked(self, size: int) -> None:
        """Hold *size* bytes in place of what was held, and refuse nothing."""
        more, self.size = size - self.size, size
        self._call.count_bytes(more)


def never_fits_error() -> LimitExceeded:
    """Return 503 `overloaded` for a call that takes more than all memory there is for calls."""
    return LimitExceeded(
        503,
        "This call takes more memory than the proxy has for all calls together. Send less at "
        "once, or raise MAX_INFLIGHT_MB.",
        limit="busy",
        code="overloaded",
        retry_after=5.0,
        should_retry=False,
    )


def overloaded_error(what: str) -> LimitExceeded:
    """Return 503 `overloaded`, its retry spread over some seconds."""
    return overloaded(what, _RANDOM.random())


def _quota(policy: KeyPolicy) -> KeyQuota:
    return KeyQuota(policy.rpm, policy.tpm, policy.concurrency)
