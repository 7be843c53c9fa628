"""Checks that upstreams are reachable, their keys valid, and this clock right. IO.

The doctor requests only each upstream's list of models, over the transport of calls. That is free.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.config.extras import check_socks
from jarvis_proxy.config.proxies import OutboundProxy
from jarvis_proxy.config.settings import Settings, SettingsError, UpstreamSettings
from jarvis_proxy.doctor.checks.upstream_keys import evaluate_key, unanswered
from jarvis_proxy.doctor.findings import Check, Finding
from jarvis_proxy.doctor.net.http_answer import HttpAnswer
from jarvis_proxy.doctor.net.http_probe import read_pieces
from jarvis_proxy.doctor.net.machine import ProbeEnv
from jarvis_proxy.doctor.net.reachability import Reachability
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstream_client.errors import NETWORK_ERRORS, SocksError
from jarvis_proxy.upstream_client.model_refresher import MODEL_LISTS
from jarvis_proxy.upstream_client.transport import HttpTransport, TransportOptions, key_headers

_PROXY_PACKAGE: Final = Check("checks/upstreams", "package", label="outbound proxy")
_CLOCK: Final = Check("checks/upstreams", "clock")
_TIMEOUT: Final = 20.0
_TOLERATED_SKEW: Final = 30.0
"""``Date`` has whole seconds, and the answer took some time to arrive."""

_HARMFUL_SKEW: Final = 300.0
_UNITS: Final = ((172_800, 86_400, "days"), (7200, 3600, "h"), (120, 60, "min"), (0, 1, "s"))
"""For each unit: the seconds from which on it is used, and its length in seconds."""


@dataclass(slots=True)
class UpstreamResults:
    """The findings about upstreams; *listed* holds the models of each one that listed them."""

    findings: list[Finding] = field(default_factory=list)
    listed: dict[str, frozenset[str]] = field(default_factory=dict)


async def check_upstreams(
    env: ProbeEnv, settings: Settings, notice: Callable[[str], None]
) -> UpstreamResults:
    """Check the outbound proxies, then all upstreams with a key concurrently.

    An upstream behind an unreachable proxy is not tried.
    """
    results, timeout = UpstreamResults(), settings.connect_timeout
    upstreams = [upstream for upstream in settings.upstreams if upstream.keys]
    for proxy in dict.fromkeys(upstream.proxy for upstream in upstreams if upstream.proxy):
        notice("the outbound proxy")
        findings, is_usable = await _check_proxy(env, proxy, timeout)
        results.findings += findings
        if not is_usable:
            upstreams = [upstream for upstream in upstreams if upstream.proxy != proxy]
        if not upstreams:
            return results
    notice(", ".join(upstream.name for upstream in upstreams))
    checks = [_UpstreamCheck(env, upstream, timeout) for upstream in upstreams]
    await asyncio.gather(*(check.run() for check in checks))
    for check in checks:
        results.findings += check.findings
        if check.models is not None:
            results.listed[check.upstream.name] = check.models
    skews = [(check.skew, check.upstream.name) for check in checks if check.skew is not None]
    results.findings.append(evaluate_skew(*skews[0]) if skews else _CLOCK.finding("unknown"))
    return results


async def _check_proxy(
    env: ProbeEnv, proxy: OutboundProxy, timeout_s: float
) -> tuple[list[Finding], bool]:
    """Return the findings about an outbound proxy, and whether requests can use it."""
    try:
        check_socks((proxy,))
    except SettingsError as exc:
        return [_PROXY_PACKAGE.finding("not_installed", reason=exc.problems[0])], False
    reachability = Reachability(
        env, proxy.url, proxy.setting, "outbound proxy", owner="outbound_proxy"
    )
    is_usable = await reachability.check(timeout_s)
    return reachability.findings, is_usable


@dataclass(slots=True)
class _UpstreamCheck:
    """The checks of one upstream, with their findings."""

    env: ProbeEnv
    upstream: UpstreamSettings
    timeout_s: float
    findings: list[Finding] = field(default_factory=list)
    models: frozenset[str] | None = None
    skew: float | None = None

    async def run(self) -> None:
        """Connect to the upstream, then request its models with each of its keys."""
        upstream = self.upstream
        # Behind an outbound proxy, only that proxy resolves the name and connects.
        if upstream.proxy is None:
            reachability = Reachability(
                self.env, upstream.base_url, upstream.url_setting, upstream.name
            )
            await reachability.check(self.timeout_s)
            self.findings += reachability.findings
            if not reachability.reached:
                return
        transport = self._transport()
        try:
            for number, key in enumerate(upstream.keys, 1):
                self.findings.append(await self._try_key(transport, number, key))
        finally:
            await transport.close()

    def _transport(self) -> HttpTransport:
        proxy = self.upstream.proxy
        return HttpTransport(
            self.upstream.name,
            self.upstream.base_url,
            key_headers=key_headers(self.upstream),
            options=TransportOptions(self.timeout_s, None if proxy is None else proxy.url),
            resolver=self.env.resolver(),
            ssl_context=self.env.tls(),
        )

    async def _try_key(self, transport: HttpTransport, number: int, key: str) -> Finding:
        try:
            answer = await self._list_models(transport, key)
        except ProxyError as exc:
            result, reason = _proxy_fault(exc.__cause__) or (
                "not_sent",
                f"{exc.message} ({exc.code})",
            )
            return unanswered(self.upstream, number, result, reason)
        except NETWORK_ERRORS:
            # NETWORK_ERRORS include TimeoutError.
            return unanswered(self.upstream, number, "incomplete", f"{_TIMEOUT:.0f} s")
        self.skew = skew(answer, self.env.now())
        finding, models = evaluate_key(self.upstream, number, answer)
        self.models = models if self.models is None else self.models
        return finding

    async def _list_models(self, transport: HttpTransport, key: str) -> HttpAnswer:
        path, headers = MODEL_LISTS[self.upstream.api]
        async with asyncio.timeout(_TIMEOUT):
            reply = await transport.send(UpstreamRequest("GET", path, headers, b""), key)
            with contextlib.closing(reply):
                return HttpAnswer.of(reply.status, reply.headers, await read_pieces(reply.readany))


def _proxy_fault(cause: BaseException | None) -> tuple[str, str] | None:
    """Return the result and its reason if the outbound proxy made no connection."""
    match cause:
        case aiohttp.ClientHttpProxyError():
            is_login, reason = cause.status == 407, str(cause.status)
        case SocksError():
            is_login, reason = cause.is_login, cause.reason.lower()
        case _:
            return None
    return "outbound_proxy_login" if is_login else "outbound_proxy", reason


def skew(answer: HttpAnswer, now: float) -> float | None:
    """Return how many seconds this clock is ahead of the answer's ``Date``; None without one.

    *now* is this clock's reading when *answer* arrived. A cached answer (``Age``) is older.
    """
    try:
        moment = parsedate_to_datetime(answer.header("date")).timestamp()
    except (ValueError, OverflowError):
        return None
    age = answer.header("age")
    return now - moment - (int(age) if age.isdecimal() and len(age) < 9 else 0)


def evaluate_skew(seconds: float, source: str) -> Finding:
    """Return the finding for a clock that is *seconds* ahead of *source*'s clock."""
    off = abs(seconds)
    size, unit = next((size, unit) for least, size, unit in _UNITS if off >= least)
    difference = f"{off / size:.0f} {unit} {'ahead of' if seconds > 0 else 'behind'}"
    result = "right" if off <= _TOLERATED_SKEW else "off" if off <= _HARMFUL_SKEW else "far_off"
    return _CLOCK.finding(result, difference=difference, source=source)
