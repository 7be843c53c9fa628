"""Checks the proxy at a URL as a client does, from reachability to a paced stream. IO.

The built-in model `jarvis-echo` answers, so nothing is billed. A key is sent only to a URL whose
/health identifies this proxy.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from jarvis_proxy.client_guides.context import ProxyUrl
from jarvis_proxy.config.addresses import is_local
from jarvis_proxy.doctor.checks.intermediaries import describe_intermediaries
from jarvis_proxy.doctor.checks.streaming import evaluate_stream, request_body, seems_bunched
from jarvis_proxy.doctor.checks.upstream_keys import listed_models
from jarvis_proxy.doctor.findings import Check, Finding, counted
from jarvis_proxy.doctor.net.http_answer import HttpAnswer, printable_url
from jarvis_proxy.doctor.net.http_probe import PROBE_ERRORS, ProbeClient, describe_error, open_probe
from jarvis_proxy.doctor.net.machine import ProbeEnv
from jarvis_proxy.doctor.net.reachability import Reachability

_FILE: Final = "checks/public_url"
_CONNECT_TIMEOUT: Final = 10.0
_CALL_TIMEOUT: Final = 60.0
_LARGE: Final = 1_500_000


async def check_public_url(
    env: ProbeEnv, url: ProxyUrl, key: str | None, notice: Callable[[str], None]
) -> list[Finding]:
    """Check *url* from outside: name, connection, TLS, then the requests of a client."""
    notice(f"a connection to {url.host}")
    reachability = Reachability(env, url.url, "--url", owner="site")
    if not await reachability.check(_CONNECT_TIMEOUT):
        return reachability.findings
    secrecy = "https" if url.scheme == "https" else "local" if is_local(url.host) else "clear"
    encryption = Check(_FILE, "encryption").finding(secrecy)
    async with open_probe(env) as client:
        answers = await PublicUrlCheck(client, url, notice, is_local=False).run(key)
    return [*reachability.findings, encryption, *answers]


async def check_local_server(
    env: ProbeEnv, url: ProxyUrl, key: str | None, notice: Callable[[str], None]
) -> list[Finding]:
    """Check the server that runs on this machine, by direct requests."""
    # Its certificate is for its public name, not for 127.0.0.1.
    async with open_probe(env, verify=False) as client:
        return await PublicUrlCheck(client, url, notice, is_local=True).run(key)


@dataclass(slots=True)
class PublicUrlCheck:
    """Checks one URL in steps; the result of a step decides whether the next one runs.

    *is_local*: the URL is this machine's own server, so there is no intermediary.
    """

    client: ProbeClient
    url: ProxyUrl
    notice: Callable[[str], None]
    is_local: bool
    can_continue: bool = False

    async def run(self, key: str | None) -> list[Finding]:
        """Return the findings of the steps, up to the first one that rules out the next."""
        findings = [await self._step("health", self._health())]
        if not self.can_continue:
            return findings
        findings.append(await self._step("auth", self._auth()))
        if key is None:
            return [*findings, Check(_FILE, "models").finding("no_key")]
        findings.append(await self._step("models", self._models(key)))
        if self.can_continue:
            findings.append(await self._step("large request", self._large_request(key)))
            findings.append(await self._step("stream", self._stream(key)))
        return findings

    async def _step(self, name: str, step: Awaitable[Finding]) -> Finding:
        self.notice(f"{name} at {self.url.url}")
        try:
            return await step
        except PROBE_ERRORS as exc:
            check = Check(_FILE, "request", title=name)
            return check.finding("no_answer", reason=describe_error(exc))

    async def _get(self, path: str, **headers: str) -> HttpAnswer:
        return await self.client.ask(self.url.url + path, headers)

    async def _health(self) -> Finding:
        answer = await self._get("/health")
        self.can_continue = answer.status == 200 and is_ours(answer)
        return evaluate_health(self.url, answer)

    async def _auth(self) -> Finding:
        without = await self._get("/v1/models")
        wrong = await self._get("/v1/models", Authorization="Bearer doctor-tries-a-wrong-key")
        return evaluate_auth(without, wrong)

    async def _models(self, key: str) -> Finding:
        self.can_continue = False
        answer = await self._get("/v1/models", Authorization=f"Bearer {key}")
        self.can_continue = answer.status == 200
        second = None
        if answer.status == 401:
            second = await self._get("/v1/models", **{"x-api-key": key})
        return evaluate_models(answer, second, is_local=self.is_local)

    async def _large_request(self, key: str) -> Finding:
        answer = await self._post(key, stream=False, padding=_LARGE)
        return Check(_FILE, "large request").evaluate(answer, **describe_intermediaries(answer))

    async def _stream(self, key: str) -> Finding:
        answer = await self._post(key, stream=True)
        if seems_bunched(answer):
            # A buffer bunches every stream, jitter does not.
            answer = await self._post(key, stream=True)
        return evaluate_stream(answer, is_local=self.is_local)

    async def _post(self, key: str, *, stream: bool, padding: int = 0) -> HttpAnswer:
        return await self.client.ask(
            f"{self.url.url}/v1/chat/completions",
            {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            request_body(stream=stream, padding=padding),
            timeout_s=_CALL_TIMEOUT,
            keeps_partial=stream,
        )


def is_ours(answer: HttpAnswer) -> bool:
    """Return whether an answer to GET /health comes from this proxy."""
    return answer.json.get("service") == "jarvis-openai-proxy"


def evaluate_health(url: ProxyUrl, answer: HttpAnswer) -> Finding:
    """Return the finding for an answer to GET /health without a key."""
    return Check(_FILE, "health").evaluate(
        answer,
        is_ours=is_ours(answer),
        is_challenge=bool(answer.header("cf-mitigated")),
        wants_https=b"HTTPS port" in answer.body,
        location=printable_url(answer.header("location")).removesuffix("/health"),
        https_url=ProxyUrl("https", url.host, url.port, url.path).url,
        under=f" under {url.path}" if url.path else "",
        **describe_intermediaries(answer),
    )


def evaluate_auth(without_key: HttpAnswer, wrong_key: HttpAnswer) -> Finding:
    """Return the finding for two answers to GET /v1/models: without a key, and with a wrong one."""
    check = Check(_FILE, "auth")
    for what, answer in (("without a key", without_key), ("with a wrong key", wrong_key)):
        if answer.status != 401 or "invalid_api_key" not in answer.error_codes:
            return check.evaluate(answer, what=what, **describe_intermediaries(answer))
    return check.finding("refused")


def evaluate_models(bearer: HttpAnswer, api_key: HttpAnswer | None, *, is_local: bool) -> Finding:
    """Return the finding for GET /v1/models with a valid key.

    *api_key* is the answer to the key as ``x-api-key``, requested only if *bearer* is a 401.
    """
    models = listed_models(bearer)
    return Check(_FILE, "models", audience="local" if is_local else "outside").evaluate(
        bearer,
        works_as_api_key=api_key is not None and api_key.status == 200,
        has_list=models is not None,
        count=counted(len(models or ()), "model"),
        stale=bearer.header("x-jarvis-warning")[:200],
        **describe_intermediaries(bearer),
    )
