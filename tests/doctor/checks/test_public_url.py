"""What the doctor prints for a proxy behind each kind of intermediary."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from jarvis_proxy.client_guides.context import ProxyUrl
from jarvis_proxy.doctor.checks.intermediaries import describe_intermediaries
from jarvis_proxy.doctor.checks.public_url import (
    check_local_server,
    check_public_url,
    evaluate_auth,
    evaluate_health,
    evaluate_models,
    is_ours,
)
from jarvis_proxy.doctor.findings import Check
from jarvis_proxy.doctor.net.http_answer import HttpAnswer
from jarvis_proxy.doctor.net.machine import ProbeEnv
from jarvis_proxy.server.handlers.info import HEALTH
from tests.conftest import KEY, ProxyFactory
from tests.doctor.fixtures import (
    Transcript,
    answers,
    buffering_proxy,
    free_port,
    probe_env,
    run_doctor,
    serving,
)
from tests.doctor.transcripts import assert_golden
from tests.support.raw_upstream import Peer, Received

pytestmark = pytest.mark.slow

CA = trustme.CA()
NAMES = {"my.host": ("127.0.0.1",)}
KEY_HERE = {"JARVIS_KEY": KEY}
SITE = ProxyUrl("https", "my.host", 443)
NGINX = {"server": "nginx", "content-type": "text/html"}
REFUSED = HttpAnswer(
    401, {}, b'{"error":{"message":"x","type":"y","param":null,"code":"invalid_api_key"}}'
)
MODELS = HttpAnswer(200, {}, b'{"object":"list","data":[{"id":"jarvis-echo"}]}')
HERE, OUTSIDE = True, False
CLOUDFLARE = {"Server": "cloudflare", "CF-Ray": "8f1a2b3c4d5e6f70-FRA"}


async def check_url(
    folder: Path,
    url: str,
    *,
    on: ProbeEnv | None = None,
    environ: Mapping[str, str] = KEY_HERE,
) -> Transcript:
    """Check *url* from another machine, which has no .env."""
    arguments = ("--client", "none", "--url", url)
    return await run_doctor(folder, None, *arguments, on=on or probe_env(NAMES), environ=environ)


async def test_proxy_without_intermediary_is_ok(tmp_path: Path, proxy: ProxyFactory) -> None:
    async with proxy() as running:
        found = await check_url(tmp_path, f"{running.url}/v1")

    assert found.code == 0
    assert_golden("site_sound", found)


async def test_without_client_key_the_other_checks_run(tmp_path: Path, proxy: ProxyFactory) -> None:
    async with proxy() as running:
        found = await check_url(tmp_path, running.url, environ={})

    assert found.code == 0
    assert_golden("site_without_key", found)


async def test_wrong_key_has_a_finding(tmp_path: Path, proxy: ProxyFactory) -> None:
    async with proxy() as running:
        found = await check_url(tmp_path, running.url, environ={"JARVIS_KEY": "a-canary-of-old"})

    assert_golden("site_key_refused", found)


async def test_url_where_nothing_listens(tmp_path: Path) -> None:
    assert_golden("site_unreachable", await check_url(tmp_path, f"http://127.0.0.1:{free_port()}"))


async def test_unknown_host_name(tmp_path: Path) -> None:
    assert_golden("site_unknown_name", await check_url(tmp_path, "https://no.such.host"))


async def test_public_name_without_tls(tmp_path: Path, proxy: ProxyFactory) -> None:
    async with proxy() as running:
        found = await check_url(tmp_path, f"http://my.host:{running.port}")

    assert_golden("site_in_clear", found)


async def test_https_is_ok(tmp_path: Path) -> None:
    async with serving(answers(200, HEALTH), CA.issue_cert("my.host")) as site:
        found = await check_url(
            tmp_path, f"https://my.host:{site.port}", on=probe_env(NAMES, ca=CA)
        )

    assert found.lines_of("encryption") == "  ok       encryption            HTTPS\n"


@pytest.mark.parametrize(
    ("name", "leaf", "on"),
    [
        ("site_certificate_untrusted", CA.issue_cert("my.host"), probe_env(NAMES)),
        ("site_certificate_of_another", CA.issue_cert("other.host"), probe_env(NAMES, ca=CA)),
    ],
)
async def test_certificate_that_clients_refuse(
    tmp_path: Path, name: str, leaf: trustme.LeafCert, on: ProbeEnv
) -> None:
    async with serving(answers(200, HEALTH), leaf) as site:
        assert_golden(name, await check_url(tmp_path, f"https://my.host:{site.port}", on=on))


@pytest.mark.parametrize(
    ("name", "status", "body", "extra"),
    [
        ("site_of_another_service", 200, b"<h1>Welcome to nginx!</h1>", ["Server: nginx/1.22"]),
        ("site_gateway_error", 502, b"<h1>Bad Gateway</h1>", ["Server: nginx"]),
        ("site_cloudflare_error", 521, b"<html>", ["Server: cloudflare", "CF-Ray: 1"]),
        ("site_login_in_front", 401, b"<html>", ["Server: nginx", "WWW-Authenticate: Basic"]),
        ("site_redirects", 308, b"", ["Location: https://my.host/health", "Server: Caddy"]),
    ],
)
async def test_another_service_answers(
    tmp_path: Path, name: str, status: int, body: bytes, extra: list[str]
) -> None:
    async with serving(answers(status, body, "text/html", extra)) as site:
        found = await check_url(tmp_path, f"http://127.0.0.1:{site.port}")

    assert found.code == 1
    assert all(request.header("Authorization") is None for request in site.received)
    assert_golden(name, found)


async def test_intermediary_that_adds_a_key_is_found(tmp_path: Path, proxy: ProxyFactory) -> None:
    def add_key(headers: dict[str, str]) -> dict[str, str]:
        return {**headers, "Authorization": f"Bearer {KEY}"}

    async with (
        proxy() as running,
        buffering_proxy(running.url, {"Server": "nginx"}, on_request=add_key) as port,
    ):
        found = await check_url(tmp_path, f"http://127.0.0.1:{port}")

    assert "a request without a key gets an answer" in found.lines_of("auth")
    assert "Does nginx put a key" in found.lines_of("auth")


async def test_intermediary_that_drops_the_key_is_found(
    tmp_path: Path, proxy: ProxyFactory
) -> None:
    def drop(headers: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in headers.items() if name != "Authorization"}

    async with (
        proxy() as running,
        buffering_proxy(running.url, {"Server": "nginx"}, on_request=drop) as port,
    ):
        found = await check_url(tmp_path, f"http://127.0.0.1:{port}")

    assert_golden("site_drops_authorization", found)


async def test_buffering_cdn_is_named(tmp_path: Path, proxy: ProxyFactory) -> None:
    async with proxy() as running, buffering_proxy(running.url, CLOUDFLARE) as port:
        found = await check_url(tmp_path, f"http://127.0.0.1:{port}")

    assert found.code == 1
    assert_golden("site_buffering_cdn", found)


async def test_unnamed_buffering_intermediary_is_found(tmp_path: Path, proxy: ProxyFactory) -> None:
    async with proxy() as running, buffering_proxy(running.url, {"Server": "Own/1"}) as port:
        found = await check_url(tmp_path, f"http://127.0.0.1:{port}")

    assert "Own/1 buffers streams" in " ".join(found.lines_of("stream").split())


async def test_intermediary_that_truncates_answers_is_found(
    tmp_path: Path, proxy: ProxyFactory
) -> None:
    def cut(body: bytes) -> bytes:
        return body[:2500]

    async with (
        proxy() as running,
        buffering_proxy(running.url, {"Server": "nginx"}, keep=cut) as port,
    ):
        found = await check_url(tmp_path, f"http://127.0.0.1:{port}")

    assert "it broke off after" in found.lines_of("stream")


async def test_refused_stream_has_a_finding(tmp_path: Path) -> None:
    async def script(peer: Peer, request: Received) -> None:
        if request.path == "/health":
            await peer.reply(HEALTH)
        elif request.header("Authorization") != f"Bearer {KEY}":
            await peer.reply(b'{"error":{"code":"invalid_api_key"}}', 401)
        elif request.method == "GET":
            await peer.reply(b'{"data":[{"id":"jarvis-echo"}]}')
        elif len(request.body) > 1_000_000:
            peer.close()
        else:
            await peer.reply(b"<html>", 405, "text/html", ["Server: nginx"])

    async with serving(script) as site:
        found = await check_url(tmp_path, f"http://127.0.0.1:{site.port}")

    assert "the connection was closed without an answer" in found.lines_of("large request")
    assert "Does nginx pass on POST to every path" in found.lines_of("stream")


async def test_without_model_list_the_key_is_not_used_again(tmp_path: Path) -> None:
    async def script(peer: Peer, request: Received) -> None:
        if request.path == "/health":
            await peer.reply(HEALTH)
        elif request.header("Authorization") != f"Bearer {KEY}":
            await peer.reply(b'{"error":{"code":"invalid_api_key"}}', 401)
        else:
            peer.close()

    async with serving(script) as site:
        found = await check_url(tmp_path, f"http://127.0.0.1:{site.port}")

    assert "closed without an answer" in found.lines_of("models")
    assert {request.method for request in site.received} == {"GET"}


async def test_local_server_is_asked_without_verifying_its_certificate(
    proxy: ProxyFactory,
) -> None:
    async with proxy() as running:
        site = ProxyUrl("http", "127.0.0.1", running.port)
        found = await check_local_server(probe_env(), site, KEY, lambda what: None)

    assert [finding.check for finding in found] == [
        "health",
        "auth",
        "models",
        "large request",
        "stream",
    ]
    assert {finding.status for finding in found} == {"ok"}


async def test_notices_say_what_is_checked(proxy: ProxyFactory) -> None:
    said: list[str] = []
    async with proxy() as running:
        await check_public_url(
            probe_env(), ProxyUrl("http", "127.0.0.1", running.port), None, said.append
        )

    assert said == [
        "a connection to 127.0.0.1",
        f"health at {running.url}",
        f"auth at {running.url}",
    ]


async def test_log_has_no_prompt_and_no_key(proxy: ProxyFactory) -> None:
    async with proxy() as running:
        site = ProxyUrl("http", "127.0.0.1", running.port)
        await check_local_server(probe_env(), site, KEY, lambda what: None)
        log = running.logged()

    assert "word07" not in log
    assert KEY not in log


@pytest.mark.parametrize(
    ("body", "expected"),
    [(HEALTH, True), (b'{"status":"ok"}', False), (b"ok", False), (b"[]", False), (b"", False)],
)
def test_own_health_is_recognised_by_the_service_name(body: bytes, expected: bool) -> None:
    assert is_ours(HttpAnswer(200, {}, body)) == expected


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (HttpAnswer(200, {}, HEALTH), "ok", "the proxy answers"),
        (HttpAnswer(200, {"server": "nginx"}, HEALTH), "ok", "the proxy answers, through nginx"),
        (
            HttpAnswer(308, {"location": "https://my.host/health"}),
            "problem",
            "redirects to https://my.host",
        ),
        (HttpAnswer(302, {}), "problem", "redirects to an address that cannot be shown"),
        (HttpAnswer(502, NGINX), "problem", "502: nginx answers, but does not reach the proxy"),
        (HttpAnswer(504, {}), "problem", "504: an unnamed server answers"),
        (
            HttpAnswer(522, {"cf-ray": "x"}),
            "problem",
            "522: Cloudflare says that its server does not answer",
        ),
        (HttpAnswer(401, NGINX), "problem", "requires a login or a browser"),
        (
            HttpAnswer(503, {"cf-ray": "x", "cf-mitigated": "challenge"}),
            "problem",
            "503: Cloudflare answers",
        ),
        (
            HttpAnswer(403, {"cf-ray": "x", "cf-mitigated": "challenge"}),
            "problem",
            "requires a login",
        ),
        (
            HttpAnswer(429, {"cf-ray": "x", "cf-mitigated": "challenge"}),
            "problem",
            "requires a login",
        ),
        (HttpAnswer(400, NGINX, b"sent to HTTPS port"), "problem", "this port speaks HTTPS"),
        (
            HttpAnswer(400, NGINX, b""),
            "problem",
            "400 (text/html): nginx answers, but it is not this proxy",
        ),
        (HttpAnswer(404, {}), "problem", "404 (no type): an unnamed server"),
        (
            HttpAnswer(200, NGINX, b"Welcome"),
            "problem",
            "200 (text/html): nginx answers, but it is not",
        ),
        (HttpAnswer(404, {}, HEALTH), "problem", "404 (no type)"),
    ],
)
def test_each_answer_to_health_has_a_finding(answer: HttpAnswer, status: str, words: str) -> None:
    found = evaluate_health(SITE, answer)

    assert found.status == status
    assert words in found.detail
    assert bool(found.advice) == (status != "ok")


def test_https_port_is_named_with_its_https_url() -> None:
    found = evaluate_health(
        ProxyUrl("http", "my.host", 8443), HttpAnswer(400, NGINX, b"to HTTPS port")
    )

    assert found.advice == "Use https://: https://my.host:8443"


def test_path_prefix_is_named() -> None:
    found = evaluate_health(ProxyUrl("https", "my.host", 443, "/jarvis"), HttpAnswer(404, {}))

    assert found.advice.endswith("nothing else at /health under /jarvis?")


@pytest.mark.parametrize(
    ("without", "wrong", "status", "words"),
    [
        (REFUSED, REFUSED, "ok", "no key and a wrong key get 401"),
        (MODELS, REFUSED, "problem", "a request without a key gets an answer"),
        (REFUSED, HttpAnswer(200, NGINX), "problem", "a request with a wrong key gets an answer"),
        (
            HttpAnswer(401, NGINX),
            REFUSED,
            "problem",
            "401 and not the proxy's 401 for a request without",
        ),
        (
            REFUSED,
            HttpAnswer(404, {}),
            "problem",
            "404 and not the proxy's 401 for a request with a",
        ),
    ],
)
def test_only_the_refusal_of_the_proxy_is_ok(
    without: HttpAnswer, wrong: HttpAnswer, status: str, words: str
) -> None:
    found = evaluate_auth(without, wrong)

    assert found.status == status
    assert words in found.detail


def test_server_that_accepts_every_key_is_named() -> None:
    assert "Does nginx put" in evaluate_auth(HttpAnswer(200, NGINX), REFUSED).advice
    assert "Does an unnamed server put" in evaluate_auth(HttpAnswer(200, {}), REFUSED).advice


@pytest.mark.parametrize(
    ("is_local", "bearer", "api_key", "status", "words"),
    [
        (OUTSIDE, MODELS, None, "ok", "1 model"),
        (
            OUTSIDE,
            HttpAnswer(200, {"x-jarvis-warning": "models not up to date: openai"}, MODELS.body),
            None,
            "warning",
            "1 model; models not up to date: openai",
        ),
        (
            OUTSIDE,
            HttpAnswer(200, NGINX, b"<html>"),
            None,
            "problem",
            "no list of models (text/html)",
        ),
        (OUTSIDE, HttpAnswer(500, {}), None, "problem", "500 (no type) in place of the list"),
        (OUTSIDE, REFUSED, REFUSED, "problem", "401: the key is refused"),
        (HERE, REFUSED, REFUSED, "problem", "401: the key is refused"),
        (OUTSIDE, HttpAnswer(401, NGINX), MODELS, "problem", "nginx drops that header"),
        (OUTSIDE, REFUSED, None, "problem", "401: the key is refused"),
    ],
)
def test_finding_depends_on_the_answer_to_a_good_key(
    is_local: bool, bearer: HttpAnswer, api_key: HttpAnswer | None, status: str, words: str
) -> None:
    found = evaluate_models(bearer, api_key, is_local=is_local)

    assert found.status == status
    assert words in found.detail


def test_advice_for_a_refused_key_depends_on_where_it_was_tried() -> None:
    assert "JARVIS_KEY" in evaluate_models(REFUSED, REFUSED, is_local=False).advice
    assert "JARVIS_KEY" not in evaluate_models(REFUSED, REFUSED, is_local=True).advice


@pytest.mark.parametrize(
    ("answer", "status", "example"),
    [
        (HttpAnswer(200, {}), "ok", ""),
        (HttpAnswer(413, {}, b'{"error":{"code":"request_too_large"}}'), "skipped", ""),
        (HttpAnswer(413, NGINX), "warning", "client_max_body_size 80m;"),
        (HttpAnswer(413, {"server": "lighttpd"}), "warning", ""),
        (HttpAnswer(413, {}), "warning", ""),
        (HttpAnswer(500, {}), "warning", ""),
    ],
)
def test_body_limit_is_shown_with_its_setting(
    answer: HttpAnswer, status: str, example: str
) -> None:
    check = Check("checks/public_url", "large request")
    found = check.evaluate(answer, **describe_intermediaries(answer))

    assert (found.status, found.example) == (status, example)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (520, "sends no valid answer"),
        (521, "refuses the connection"),
        (522, "does not answer"),
        (523, "cannot be reached"),
        (524, "answers too late"),
        (525, "the TLS handshake with its server fails"),
        (526, "certificate is not valid"),
        (530, "or its tunnel, does not work"),
    ],
)
def test_each_cloudflare_status_is_explained(status: int, reason: str) -> None:
    found = evaluate_health(SITE, HttpAnswer(status, {"cf-ray": "x"}))

    assert found.detail.startswith(f"{status}: Cloudflare says that ")
    assert reason in found.detail
