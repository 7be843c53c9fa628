"""Whether the upstreams can be reached, and whether their keys are valid. IO.

Each is asked for its list of models, on the way that calls take, and for nothing else: no tokens
are spent.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, urlsplit

import aiohttp

from jarvis_proxy.doctor.checks import clock, upstream_keys
from jarvis_proxy.doctor.findings import Finding, problem, skipped, warning
from jarvis_proxy.doctor.net.http_answer import HttpAnswer
from jarvis_proxy.doctor.net.machine import EnvResolver, ProbeEnv
from jarvis_proxy.doctor.net.reachability import Reachability, ReachTarget, reach
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.registry import GEMINI
from jarvis_proxy.settings import Settings, UpstreamSettings
from jarvis_proxy.settings_proxies import OutboundProxy
from jarvis_proxy.upstream_client.errors import NETWORK_ERRORS
from jarvis_proxy.upstream_client.transport import HttpTransport, Response, TransportOptions
from jarvis_proxy.upstreams.base import UpstreamRequest

_TIMEOUT: Final = 20.0
_MAX_BODY: Final = 8 * 1024 * 1024


@dataclass(slots=True)
class UpstreamResults:
    """What was found at the upstreams; *listed* holds the models of each that gave its list."""

    findings: list[Finding] = field(default_factory=list)
    listed: dict[str, frozenset[str]] = field(default_factory=dict)


@dataclass(slots=True)
class _Visit:
    """What was found at one upstream."""

    findings: list[Finding]
    models: frozenset[str] | None = None
    skew: float | None = None


async def check_upstreams(
    machine: ProbeEnv, settings: Settings, notice: Callable[[str], None]
) -> UpstreamResults:
    """Check the outbound proxies, then every upstream that has a key, all at the same time.

    An upstream behind a proxy that cannot be reached is not asked.
    """
    results = UpstreamResults()
    upstreams = [upstream for upstream in settings.upstreams if upstream.keys]
    for proxy in dict.fromkeys(upstream.proxy for upstream in upstreams):
        if proxy is None:
            continue
        notice("the outbound proxy")
        found = await _check_proxy(machine, settings, proxy)
        results.findings += found.findings
        if not found.reached:
            upstreams = [upstream for upstream in upstreams if upstream.proxy != proxy]
            if not upstreams:
                return results
    notice(", ".join(upstream.name for upstream in upstreams))
    visits = await asyncio.gather(*(_visit(machine, settings, each) for each in upstreams))
    for upstream, visit in zip(upstreams, visits, strict=True):
        results.findings += visit.findings
        if visit.models is not None:
            results.listed[upstream.name] = visit.models
    results.findings.append(_clock(zip(upstreams, visits, strict=True)))
    return results


def _clock(visits: Iterable[tuple[UpstreamSettings, _Visit]]) -> Finding:
    for upstream, visit in visits:
        if visit.skew is not None:
            return clock.evaluate(visit.skew, upstream.name)
    return skipped("clock", "no upstream answered with its time")


async def _check_proxy(machine: ProbeEnv, settings: Settings, proxy: OutboundProxy) -> Reachability:
    parts = urlsplit(proxy.url)
    target = ReachTarget(
        "outbound proxy",
        proxy.setting,
        parts.hostname or "",
        _port(parts),
        tls=parts.scheme == "https",
        whose="proxy",
    )
    return await reach(machine, target, settings.connect_timeout)


async def _visit(machine: ProbeEnv, settings: Settings, upstream: UpstreamSettings) -> _Visit:
    visit = _Visit([])
    if upstream.proxy is not None:
        # Names are resolved and connections made by the outbound proxy: only it can tell.
        return await _ask_with_each_key(machine, settings, upstream, visit)
    parts = urlsplit(upstream.base_url)
    target = ReachTarget(
        upstream.name,
        upstream.url_setting,
        parts.hostname or "",
        _port(parts),
        tls=parts.scheme == "https",
    )
    found = await reach(machine, target, settings.connect_timeout)
    visit.findings += found.findings
    if not found.reached:
        return visit
    return await _ask_with_each_key(machine, settings, upstream, visit)


async def _ask_with_each_key(
    machine: ProbeEnv, settings: Settings, upstream: UpstreamSettings, visit: _Visit
) -> _Visit:
    transport = _transport(machine, settings, upstream)
    try:
        for number, key in enumerate(upstream.keys, 1):
            label = "key" if len(upstream.keys) == 1 else f"key {number} of {len(upstream.keys)}"
            answer = await _ask(transport, upstream, label, key)
            if isinstance(answer, Finding):
                visit.findings.append(answer)
                continue
            visit.skew = clock.skew(answer, machine.now())
            verdict = upstream_keys.evaluate(upstream, label, answer)
            visit.findings.append(verdict.finding)
            visit.models = verdict.models if visit.models is None else visit.models
    finally:
        await transport.close()
    return visit


def _transport(machine: ProbeEnv, settings: Settings, upstream: UpstreamSettings) -> HttpTransport:
    """Return the way to *upstream* that calls take too."""
    is_gemini = upstream.name == GEMINI
    return HttpTransport(
        upstream.name,
        upstream.base_url,
        key_header="x-goog-api-key" if is_gemini else "Authorization",
        key_prefix="" if is_gemini else "Bearer ",
        options=TransportOptions(
            connect_timeout=settings.connect_timeout,
            proxy=None if upstream.proxy is None else upstream.proxy.url,
        ),
        resolver=EnvResolver(machine.resolve),
        ssl_context=machine.tls(),
    )


async def _ask(
    transport: HttpTransport, upstream: UpstreamSettings, label: str, key: str
) -> HttpAnswer | Finding:
    """Return the answer to the list of models, or the finding that there is none."""
    path = "/models?pageSize=1000" if upstream.name == GEMINI else "/models"
    check = f"{upstream.name}: {label}"
    try:
        async with asyncio.timeout(_TIMEOUT):
            reply = await transport.send(UpstreamRequest("GET", path, {}, b""), key)
            return await _read(reply)
    except ProxyError as exc:
        return _unanswered(check, upstream, exc)
    except NETWORK_ERRORS:  # TimeoutError is among them
        return warning(
            check,
            f"no whole answer within {_TIMEOUT:.0f} s",
            "Is the network slow, or the upstream? Run the doctor again.",
        )


async def _read(reply: Response) -> HttpAnswer:
    pieces, size = [], 0
    try:
        while size <= _MAX_BODY and (data := await reply.readany()):
            size += len(data)
            pieces.append(data)
    finally:
        reply.close()
    headers = {name.lower(): value for name, value in reply.headers.items()}
    return HttpAnswer(reply.status, headers, b"".join(pieces))


def _unanswered(check: str, upstream: UpstreamSettings, error: ProxyError) -> Finding:
    """Return the finding for an upstream that could not be asked."""
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientHttpProxyError) and cause.status == 407:
        return problem(
            check,
            "the outbound proxy wants other credentials (407)",
            upstream_keys.proxy_password(upstream),
        )
    if isinstance(cause, aiohttp.ClientHttpProxyError):
        return problem(
            check,
            f"the outbound proxy does not connect to {upstream.name} ({cause.status})",
            "Does that proxy allow this host, and can it reach it?",
        )
    advice = f"Does {upstream.url_setting} lead to the API?"
    return problem(check, f"not asked: {error.message} ({error.code})", advice)


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)
