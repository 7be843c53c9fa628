"""The proxy as its clients meet it, under an address: from reachability to a paced stream. IO.

The embedded model `jarvis-echo` answers, so nothing is billed. A key is sent only to an address
whose /health is this proxy's.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from jarvis_proxy.doctor.checks.public_url_verdicts import (
    CheckTarget,
    encryption,
    evaluate_auth,
    evaluate_health,
    evaluate_large_body,
    evaluate_models,
    is_ours,
)
from jarvis_proxy.doctor.checks.streaming import (
    CHECK,
    StreamTimeline,
    evaluate_refusal,
    evaluate_stream,
    request_body,
)
from jarvis_proxy.doctor.findings import Finding, problem, skipped
from jarvis_proxy.doctor.net.http_answer import HttpAnswer
from jarvis_proxy.doctor.net.http_probe import FAULTS, ProbeClient, describe_error, open_probe
from jarvis_proxy.doctor.net.machine import ProbeEnv
from jarvis_proxy.doctor.net.proxy_url import ProxyUrl
from jarvis_proxy.doctor.net.reachability import ReachTarget, reach

_TIMEOUT: Final = 10.0
_LARGE: Final = 1_500_000
_WRONG_KEY: Final = "doctor-tries-a-wrong-key"
_JSON: Final = {"Content-Type": "application/json"}
_UNANSWERED: Final = (
    "Look into the log of the proxy, and of what stands in front of it: does it run, and do its"
    " limits on time and size allow this?"
)
_NO_KEY: Final = (
    "no client key is known in clear: set JARVIS_KEY to one, for this run, to test models and"
    " streams"
)


async def check_public_url(
    machine: ProbeEnv, site: ProxyUrl, key: str | None, notice: Callable[[str], None]
) -> list[Finding]:
    """Check *site* from outside: name, connection, TLS, then what a client does."""
    notice(f"a connection to {site.host}")
    tls = site.scheme == "https"
    target = ReachTarget("", "--url", site.host, site.port, tls=tls, whose="site")
    found = await reach(machine, target, _TIMEOUT)
    findings = list(found.findings)
    if found.reached:
        findings.append(encryption(site))
        findings += await _check_answers(machine, CheckTarget(site, here=False), key, notice)
    return findings


async def check_local_server(
    machine: ProbeEnv, site: ProxyUrl, key: str | None, notice: Callable[[str], None]
) -> list[Finding]:
    """Check the server that runs on this machine, asked directly."""
    return await _check_answers(machine, CheckTarget(site, here=True), key, notice)


async def _check_answers(
    machine: ProbeEnv, visit: CheckTarget, key: str | None, notice: Callable[[str], None]
) -> list[Finding]:
    # Its own certificate is for its public name, not for 127.0.0.1.
    async with open_probe(machine, verify=not visit.here) as visitor:
        return await PublicUrlCheck(visitor, visit, notice).run(key)


class PublicUrlCheck:
    """Asks one address, step by step; what a step learns decides whether the next makes sense."""

    def __init__(
        self, visitor: ProbeClient, visit: CheckTarget, notice: Callable[[str], None]
    ) -> None:
        self._visitor = visitor
        self._visit = visit
        self._notice = notice
        self._is_ours = False
        self._key_works = False

    async def run(self, key: str | None) -> list[Finding]:
        findings = [await self._step("health", self._health())]
        if not self._is_ours:
            return findings
        findings.append(await self._step("auth", self._auth()))
        if key is None:
            return [*findings, skipped("models", _NO_KEY)]
        findings.append(await self._step("models", self._models(key)))
        if not self._key_works:
            return findings
        findings.append(await self._step("large request", self._large_request(key)))
        findings.append(await self._step(CHECK, self._stream(key)))
        return findings

    async def _step(self, check: str, step: Awaitable[Finding]) -> Finding:
        self._notice(f"{check} at {self._visit.site.url}")
        try:
            return await step
        except FAULTS as exc:
            return problem(check, describe_error(exc), _UNANSWERED)

    async def _get(self, path: str, headers: Mapping[str, str] | None = None) -> HttpAnswer:
        return await self._visitor.ask("GET", self._visit.site.url + path, headers=headers)

    async def _health(self) -> Finding:
        answer = await self._get("/health")
        self._is_ours = answer.status == 200 and is_ours(answer)
        return evaluate_health(self._visit.site, answer)

    async def _auth(self) -> Finding:
        without = await self._get("/v1/models")
        wrong = await self._get("/v1/models", _bearer(_WRONG_KEY))
        return evaluate_auth(without, wrong)

    async def _models(self, key: str) -> Finding:
        answer = await self._get("/v1/models", _bearer(key))
        self._key_works = answer.status == 200
        second = None
        if answer.status == 401:
            second = await self._get("/v1/models", {"x-api-key": key})
        return evaluate_models(self._visit, answer, second)

    async def _large_request(self, key: str) -> Finding:
        answer = await self._visitor.ask(
            "POST",
            self._chat,
            headers=_bearer(key) | _JSON,
            body=request_body(stream=False, padding=_LARGE),
            timeout_s=60,
        )
        return evaluate_large_body(answer)

    async def _stream(self, key: str) -> Finding:
        answer, arrivals = await self._stream_once(key)
        if (
            isinstance(arrivals, StreamTimeline)
            and arrivals.whole
            and arrivals.pacing.kind == "bunched"
        ):
            # A bad moment of the network bunches events, too; a buffer does it every time.
            answer, arrivals = await self._stream_once(key)
        if isinstance(arrivals, StreamTimeline):
            return evaluate_stream(answer, arrivals, here=self._visit.here)
        return evaluate_refusal(answer, arrivals)

    async def _stream_once(self, key: str) -> tuple[HttpAnswer, StreamTimeline | bytes]:
        """Return how the words of a stream arrived, or the body of what is no stream."""
        answer, pieces = await self._visitor.stream(
            self._chat, _bearer(key) | _JSON, request_body(stream=True)
        )
        if answer.status != 200 or answer.content_type != "text/event-stream":
            return answer, b"".join(piece.data for piece in pieces)
        arrivals = StreamTimeline()
        for piece in pieces:
            arrivals.take(piece.at, piece.data)
        return answer, arrivals

    @property
    def _chat(self) -> str:
        return f"{self._visit.site.url}/v1/chat/completions"


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
