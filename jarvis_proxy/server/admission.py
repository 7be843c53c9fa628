"""Admission control: client address, key validity, concurrency, rate limits, memory. IO.

An AdmittedCall holds what its call takes (concurrency, bytes, tokens) and releases it at the end.
"""

import asyncio
from collections.abc import Callable, Mapping
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
from jarvis_proxy.canonical.client_api import ApiName
from jarvis_proxy.config.settings import KeyPolicy, Settings
from jarvis_proxy.errors import LimitExceeded, ProxyError
from jarvis_proxy.routing.models import ANTHROPIC, GEMINI, OPENAI, ModelRegistry, ModelRoute

_RANDOM: Final = SystemRandom()
_TEXT: Final = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1beta/models/{model}:generateContent",
)
_SERVICES: Final[Mapping[ApiName, str]] = {
    "openai": OPENAI,
    "messages": ANTHROPIC,
    "generate_content": GEMINI,
}
_REJECTION_DELAY: Final = 1.0
"""Seconds by which the rejection of a guessed key is delayed."""
_DELAYED_SHARE: Final = 4
"""At most one in this many of the possible connections waits for a delayed rejection."""
Clock = Callable[[], float]
_FULL: Final = "its memory for requests and answers is full"


class MemoryAccount:
    """The bytes of requests and answers that the process holds; they outlive a reload."""

    __slots__ = ("bytes_held",)

    def __init__(self) -> None:
        self.bytes_held = 0


class AdmissionController:
    """Decides which requests are admitted, and counts what admitted calls take.

    *clock* is monotonic, *wall* in epoch seconds. *connections* is the limit of client connections.
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
        """How many rejections wait."""
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
        """The bytes of requests and answers that are held."""
        return self.memory.bytes_held

    def address(self, request: web.Request) -> str:
        """Return the client's address behind trusted proxies; ``""`` if unknown."""
        peer = request.remote or ""
        if not self._trusted:
            return peer
        return client_ip(peer, request.headers.getall("X-Forwarded-For", ()), self._trusted)

    def is_key_allowed(self, key: str, address: str) -> bool:
        """Return whether the key named *key* is valid from *address* now."""
        access = self._access.get(key)
        return access is None or access.is_valid_at(address, self._wall())

    def record_auth_failure(self, address: str, guesses: int, refusal: ProxyError) -> ProxyError:
        """Count a request with *guesses* invalid keys, and return the error to raise.

        That is *refusal*, or AuthThrottled for an address with repeated failures.
        """
        wait = self._failures.record_failure(network_key(address), self.clock(), max(1, guesses))
        return auth_throttled(wait) if wait else refusal

    async def delay_rejection(self) -> None:
        """Delay the rejection of a guess, unless too many wait: each holds a connection.

        Behind a trusted proxy, all clients share these connections.
        """
        if self.delayed_rejections >= self._max_delayed_rejections:
            return
        self.delayed_rejections += 1
        try:
            await asyncio.sleep(_REJECTION_DELAY)
        finally:
            self.delayed_rejections -= 1

    def admit(self, key: str, call_id: str, running: int) -> "AdmittedCall":
        """Admit a call of *key* in addition to the *running* ones.

        Raises:
            LimitExceeded: 503 `overloaded`; 429 `rate_limit_exceeded`, too many calls of the key.
        """
        if running >= self.limits.max_streams:
            raise overloaded_error("too many requests are in progress")
        count = self.in_progress.get(key, 0)
        quota = self._quotas.get(key)
        if count >= self._max_concurrent(quota):
            raise concurrency_exceeded()
        self.in_progress[key] = count + 1
        admitted = AdmittedCall(self, key, call_id, self._access.get(key), quota)
        admitted.counts_tokens = key in self._counted
        return admitted

    def model_filter(self, key: str) -> Callable[[str], bool]:
        """Return a predicate: whether a model is listed for *key*."""
        access, registry = self._access.get(key), self.registry
        if access is None or not access.is_limited:
            return registry.is_usable
        return lambda model: (
            registry.is_usable(model) and access.allows(model, registry.route(model))
        )

    def _max_concurrent(self, quota: KeyQuota | None) -> int:
        """Return the limit of a key's concurrent calls, including those still being read."""
        most = self.limits.max_streams_per_key
        return most if quota is None else max(most, quota.concurrency or 0)


class AdmittedCall:
    """An admitted call: which models it may use, and what it takes until its end."""

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
        """The state of the key's rate limits; None for a key without any."""

    @property
    def is_limited(self) -> bool:
        """Whether the key is limited to certain models."""
        return self._access is not None and self._access.is_limited

    def resolve(self, model: str | None) -> ModelRoute:
        """Return the route of *model*; None or ``""`` is the default model.

        Raises:
            ProxyError: 404 `model_not_found`, also for a model that the key may not use.
        """
        registry, access = self._controller.registry, self._access
        if access is not None and not access.allows(model or None, registry.route(model)):
            raise model_not_found(model or "jarvis-default")
        return registry.resolve(model)

    def openai_route(self) -> ModelRoute:
        """Return the route to OpenAI for a request that names no model.

        Raises:
            ProxyError: 404 `model_not_found`: OpenAI has no key here, or the client's key is
                limited to certain models and could reach the others this way.
        """
        return self._without_model(self._controller.registry.default_of(OPENAI))

    def route_of(self, api: ApiName) -> ModelRoute:
        """Return the route to the service whose own API is *api*, for a request without a model.

        Raises:
            ProxyError: 404 `model_not_found`, as ``openai_route``.
        """
        return self._without_model(self._controller.registry.default_of(_SERVICES[api]))

    def _without_model(self, route: ModelRoute) -> ModelRoute:
        if self._access is not None and not self._access.allows(None, route):
            raise model_needed()
        return route

    def fallbacks(self, model: str | None) -> tuple[ModelRoute, ...]:
        """Return the fallbacks of *model* that the key may use."""
        access = self._access
        routes = self._controller.registry.fallbacks(model)
        if access is None:
            return routes
        return tuple(route for route in routes if access.allows(None, route))

    def check_memory(self, size: int) -> None:
        """Check that *size* more bytes fit into the memory limit.

        Raises:
            LimitExceeded: 503 `overloaded`.
        """
        limit = self._controller.limits.max_bytes_in_flight
        if self._controller.memory.bytes_held + size > limit:
            raise overloaded_error(_FULL) if self._size + size <= limit else never_fits_error()

    def reserve_bytes(self, size: int) -> None:
        """Count *size* more bytes as held until the call ends; a negative size releases.

        Raises:
            LimitExceeded: 503 `overloaded`. The bytes count nevertheless, until the call ends.
        """
        self.count_bytes(size)
        if size > 0:
            self.check_memory(0)

    def count_bytes(self, size: int) -> None:
        """Count *size* more bytes without a check."""
        if self._released:
            return
        self._size += size
        self._controller.memory.bytes_held += size

    def open_reservation(self) -> "ByteReservation":
        """Return a reservation of 0 bytes that may grow and shrink."""
        return ByteReservation(self)

    async def check_rate_limit(self, body: bytes = b"") -> None:
        """Check the key's rate limits, just before the call goes upstream.

        Raises:
            LimitExceeded: 429 `rate_limit_exceeded`.
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

    def count_tokens(self, tokens: int) -> None:
        """Count *tokens* of a call that continues against the key's rate limits."""
        if self._rate_checked:
            self._reserved += tokens
            limiter, now = self._controller.limiter, self._controller.clock()
            limiter.adjust_tokens(self._key, tokens, now)

    def release(self, record: CallRecord) -> None:
        """Release what the call took, and count its tokens.

        Tokens that the upstream did not report are estimated in *record*, for a key with limits.
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
            return  # the call failed before an answer
        is_text = record.route in _TEXT
        answer = estimate_answer(record.bytes_out, streamed=record.streamed, is_text=is_text)
        if self._prompt or answer:
            record.prompt_tokens, record.completion_tokens = self._prompt, answer


class ByteReservation:
    """Bytes held for one purpose, such as an incomplete event; the size changes."""

    __slots__ = ("_call", "size")

    def __init__(self, admitted: AdmittedCall) -> None:
        self._call = admitted
        self.size = 0

    def set(self, size: int) -> None:
        """Hold *size* bytes instead of the current ones.

        Raises:
            LimitExceeded: 503 `overloaded`; the bytes count nevertheless.
        """
        more, self.size = size - self.size, size
        if more:
            self._call.reserve_bytes(more)

    def add(self, size: int) -> None:
        """Hold *size* more bytes; raises as ``set`` does."""
        self.set(self.size + size)

    def set_unchecked(self, size: int) -> None:
        """Hold *size* bytes instead of the current ones, without a check."""
        more, self.size = size - self.size, size
        if more:
            self._call.count_bytes(more)


def never_fits_error() -> LimitExceeded:
    """Return 503 `overloaded` for a call that exceeds the memory limit by itself."""
    return LimitExceeded(
        503,
        "This call needs more memory than the proxy has for all calls. Send less at once, or "
        "raise MAX_INFLIGHT_MB.",
        limit="busy",
        code="overloaded",
        retry_after=5.0,
        should_retry=False,
    )


def overloaded_error(what: str) -> LimitExceeded:
    """Return 503 `overloaded`, with a random retry time of some seconds."""
    return overloaded(what, _RANDOM.random())


def _quota(policy: KeyPolicy) -> KeyQuota:
    return KeyQuota(policy.rpm, policy.tpm, policy.concurrency)
