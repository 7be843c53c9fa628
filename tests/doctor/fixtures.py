"""What the tests of the doctor run against: an environment, upstreams, proxies, on loopback."""

import contextlib
import io
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import trustme
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from jarvis_proxy.doctor.cli import StartupConfig, run_checks
from jarvis_proxy.doctor.findings import Finding, Status
from jarvis_proxy.doctor.net.machine import ProbeEnv
from jarvis_proxy.doctor.options import parse_options
from jarvis_proxy.doctor.output import Output
from jarvis_proxy.doctor.report import Style
from tests.conftest import GEMINI_KEY, KEY, OPENAI_KEY
from tests.support.raw_upstream import Peer, RawUpstream, Received, Script

CANARIES = (KEY, OPENAI_KEY, GEMINI_KEY, "canary")
"""Texts that no transcript may hold."""

OPENAI_LIST = b'{"object":"list","data":[{"id":"gpt-4.1-mini"},{"id":"gpt-4o"}]}'
GEMINI_LIST = (
    b'{"models":[{"name":"models/gemini-3-flash-preview",'
    b'"supportedGenerationMethods":["generateContent"]}]}'
)


class TableResolver(AbstractResolver):
    """Resolves the names of a table, and addresses to themselves."""

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        self._names = names

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses: Sequence[str] = (host,)
        try:
            ip_address(host)
        except ValueError:
            if host not in self._names:
                error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
                raise error from None
            addresses = self._names[host]
        return [
            ResolveResult(hostname=host, host=each, port=port, family=family, proto=0, flags=0)
            for each in addresses
        ]

    async def close(self) -> None:
        """Do nothing: it holds nothing."""


def probe_env(
    names: Mapping[str, Sequence[str]] | None = None,
    *,
    ca: trustme.CA | None = None,
    now: Callable[[], float] = time.time,
) -> ProbeEnv:
    """Return an environment that resolves *names* only, and trusts *ca* and the system's CAs."""
    known = {"localhost": ("127.0.0.1",), **(names or {})}

    def tls() -> ssl.SSLContext:
        context = ssl.create_default_context()
        if ca is not None:
            ca.configure_trust(context)
        return context

    return ProbeEnv(
        resolver=lambda: TableResolver(known), tls=tls, now=now, own_address=lambda: "192.0.2.7"
    )


def ok(check: str, detail: str) -> Finding:
    """Return an ok finding."""
    return Finding(check, Status.OK, detail)


def skipped(check: str, detail: str) -> Finding:
    """Return a finding of a skipped check."""
    return Finding(check, Status.SKIPPED, detail)


def warning(check: str, detail: str, advice: str = "", example: str = "") -> Finding:
    """Return a finding with a warning."""
    return Finding(check, Status.WARNING, detail, advice, example)


def problem(check: str, detail: str, advice: str = "", example: str = "") -> Finding:
    """Return a finding with a problem."""
    return Finding(check, Status.PROBLEM, detail, advice, example)


def free_port() -> int:
    """Return a free port of loopback."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.asynccontextmanager
async def silent_port() -> AsyncIterator[int]:
    """Yield a port that does not answer a connection: the listener's queue is full."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = int(listener.getsockname()[1])
        for _ in range(3):  # the first fills the queue; those behind it stay in SYN-SENT
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(("127.0.0.1", port))
        yield port


def answers(
    status: int = 200,
    body: bytes = OPENAI_LIST,
    content_type: str = "application/json",
    extra: Sequence[str] = (),
    *,
    clock: float = 0.0,
) -> Script:
    """Return a script that gives every request one answer; *clock*: seconds its date is ahead."""

    async def script(peer: Peer, request: Received) -> None:
        date = f"Date: {formatdate(time.time() + clock, usegmt=True)}"
        await peer.reply(body, status, content_type, [date, *extra])

    return script


@contextlib.asynccontextmanager
async def serving(
    script: Script, leaf: trustme.LeafCert | None = None
) -> AsyncIterator[RawUpstream]:
    """Run a scripted upstream, with TLS where there is a certificate."""
    upstream = RawUpstream(script, plays_lists=True)
    if leaf is None:
        async with upstream.running():
            yield upstream
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    async with upstream.running(context):
        yield upstream


Hook = Callable[[dict[str, str]], dict[str, str]]


@contextlib.asynccontextmanager
async def buffering_proxy(
    target: str,
    signs: Mapping[str, str],
    *,
    on_request: Hook = lambda headers: headers,
    keep: Callable[[bytes], bytes] = lambda body: body,
) -> AsyncIterator[int]:
    """Run a reverse proxy that buffers answers; *signs* are the headers that it adds."""

    async def forward(request: web.Request) -> web.Response:
        headers = {"Content-Type": "application/json", **_key_headers(request)}
        async with session.request(
            request.method,
            target + request.path_qs,
            headers=on_request(headers),
            data=io.BytesIO(await request.read()) if request.can_read_body else None,
            allow_redirects=False,
        ) as answer:
            body = keep(await answer.read())
            passed = {"Content-Type": answer.headers["Content-Type"], **signs}
            return web.Response(status=answer.status, body=body, headers=passed)

    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", forward)
    runner = web.AppRunner(app, access_log=None)
    async with aiohttp.ClientSession() as session:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()


def _key_headers(request: web.Request) -> dict[str, str]:
    names = ("Authorization", "x-api-key")
    return {name: request.headers[name] for name in names if name in request.headers}


@dataclass(frozen=True)
class Transcript:
    """What one run of the doctor printed, and its exit code."""

    code: int
    text: str

    def lines_of(self, check: str) -> str:
        """Return the lines of one check, from its own to the next check's."""
        found = re.search(
            rf"^  \w+ +{re.escape(check)} .*?(?=^  \w|^$)", self.text, re.DOTALL | re.MULTILINE
        )
        assert found is not None, f"{check} is not in:\n{self.text}"
        return found[0]


async def run_doctor(
    folder: Path,
    env: Mapping[str, str] | None,
    *arguments: str,
    on: ProbeEnv | None = None,
    environ: Mapping[str, str] | None = None,
    mode: int = 0o600,
) -> Transcript:
    """Run the doctor with *env* as .env (None: there is none) and return its transcript."""
    env_file = folder / ".env"
    if env is not None:
        env_file.write_text("".join(f"{name}={value}\n" for name, value in env.items()))
        env_file.chmod(mode)
    options = parse_options(arguments)
    out = io.StringIO()
    output = Output(out, style=Style(), as_json=options.as_json)
    start = StartupConfig.read(env_file, environ or {})
    code = await run_checks(on or probe_env(), output, options, start)
    text = out.getvalue()
    for canary in CANARIES:
        assert canary not in text
    return Transcript(code, text)


_VOLATILE = (
    (re.compile(r"\b\d{5}\b"), "PORT"),
    (re.compile(r"\b\d+\.\d s\b"), "N s"),
    (re.compile(r"\b\d+ models\b"), "N models"),
    (re.compile(r"\bin \d+ bursts\b"), "in N bursts"),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "DATE"),
    (re.compile(r"version \S+ on Python \S+"), "version V on Python V"),
    (re.compile(r"Jarvis proxy \S+, doctor"), "Jarvis proxy V, doctor"),
)


def normalized(text: str) -> str:
    """Return a transcript with placeholders for what differs from run to run."""
    for pattern, word in _VOLATILE:
        text = pattern.sub(word, text)
    return text
