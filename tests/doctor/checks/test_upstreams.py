"""Upstreams, asked for nothing but their lists."""

from email.utils import formatdate

import pytest
import trustme

from jarvis_proxy.config.settings import Settings
from jarvis_proxy.doctor.checks.upstreams import (
    UpstreamResults,
    check_upstreams,
    evaluate_skew,
    skew,
)
from jarvis_proxy.doctor.net.http_answer import HttpAnswer
from jarvis_proxy.doctor.net.machine import ProbeEnv
from tests.conftest import GEMINI_KEY, OPENAI_KEY
from tests.doctor.fixtures import GEMINI_LIST, answers, free_port, probe_env, serving
from tests.support.raw_upstream import Peer, Received, Script
from tests.support.socks_server import SocksServer

CA = trustme.CA()
NOW = 1_795_000_000.0


def settings(**env: str) -> Settings:
    return Settings.from_env({"PROXY_API_KEYS": "a-long-client-key", "HOST": "127.0.0.1", **env})


async def checked(on: ProbeEnv | None = None, **env: str) -> UpstreamResults:
    results = await check_upstreams(on or probe_env(), settings(**env), lambda what: None)
    assert "canary" not in str(results)
    return results


def statuses(results: UpstreamResults) -> list[tuple[str, str]]:
    return [(finding.check, str(finding.status)) for finding in results.findings]


async def test_each_upstream_is_asked_once_for_its_models_with_its_key() -> None:
    async with (
        serving(answers()) as openai,
        serving(answers(body=GEMINI_LIST)) as gemini,
    ):
        results = await checked(
            OPENAI_API_KEY=OPENAI_KEY,
            OPENAI_BASE_URL=openai.base_url,
            GEMINI_API_KEY=GEMINI_KEY,
            GEMINI_BASE_URL=f"http://127.0.0.1:{gemini.port}/v1beta",
        )

    assert [name for name, status in statuses(results) if status == "ok"] == [
        "openai: name",
        "openai: connection",
        "openai: key",
        "gemini: name",
        "gemini: connection",
        "gemini: key",
        "clock",
    ]
    assert results.listed["gemini"] == frozenset({"gemini-3-flash-preview"})
    (asked,) = openai.received
    assert (asked.method, asked.path) == ("GET", "/v1/models")
    assert asked.header("Authorization") == f"Bearer {OPENAI_KEY}"
    (asked,) = gemini.received
    assert (asked.method, asked.path) == ("GET", "/v1beta/models?pageSize=1000")
    assert asked.header("x-goog-api-key") == GEMINI_KEY


async def test_without_keys_no_upstream_is_asked() -> None:
    assert statuses(await checked()) == [("clock", "skipped")]


async def test_every_key_of_a_pool_is_tried_and_numbered() -> None:
    async def script(peer: Peer, request: Received) -> None:
        is_good = request.header("Authorization") == "Bearer sk-canary-good"
        await (answers() if is_good else answers(401, b""))(peer, request)

    async with serving(script) as openai:
        results = await checked(
            OPENAI_API_KEY="sk-canary-good,sk-canary-bad", OPENAI_BASE_URL=openai.base_url
        )

    assert statuses(results)[2:4] == [
        ("openai: key 1 of 2", "ok"),
        ("openai: key 2 of 2", "problem"),
    ]
    assert results.listed["openai"] == frozenset({"gpt-4.1-mini", "gpt-4o"})


async def test_model_list_of_a_later_key_is_used_if_the_first_gives_none() -> None:
    async def script(peer: Peer, request: Received) -> None:
        is_good = request.header("Authorization") == "Bearer sk-canary-good"
        await (answers() if is_good else answers(401, b""))(peer, request)

    async with serving(script) as openai:
        results = await checked(
            OPENAI_API_KEY="sk-canary-bad,sk-canary-good", OPENAI_BASE_URL=openai.base_url
        )

    assert results.listed["openai"] == frozenset({"gpt-4.1-mini", "gpt-4o"})


async def test_unreachable_upstream_gets_no_key() -> None:
    results = await checked(
        OPENAI_API_KEY=OPENAI_KEY, OPENAI_BASE_URL=f"http://127.0.0.1:{free_port()}/v1"
    )

    assert statuses(results) == [
        ("openai: name", "ok"),
        ("openai: connection", "problem"),
        ("clock", "skipped"),
    ]


async def test_tls_upstreams_are_verified_before_a_key_is_sent() -> None:
    leaf = CA.issue_cert("api.example.com")
    names = {"api.example.com": ("127.0.0.1",)}
    async with serving(answers(), leaf) as openai:
        env = {
            "OPENAI_API_KEY": OPENAI_KEY,
            "OPENAI_BASE_URL": f"https://api.example.com:{openai.port}/v1",
        }
        trusted = await checked(probe_env(names, ca=CA), **env)
        untrusted = await checked(probe_env(names), **env)

    assert statuses(trusted)[2:4] == [("openai: TLS", "ok"), ("openai: key", "ok")]
    assert statuses(untrusted)[2:] == [("openai: TLS", "problem"), ("clock", "skipped")]
    assert len(openai.received) == 1


async def test_clock_skew_comes_from_the_first_upstream_with_a_date() -> None:
    async def undated(peer: Peer, request: Received) -> None:
        await peer.reply(b"{}", 500)

    async with (
        serving(undated) as openai,
        serving(answers(body=GEMINI_LIST, clock=4000)) as gemini,
    ):
        results = await checked(
            OPENAI_API_KEY=OPENAI_KEY,
            OPENAI_BASE_URL=openai.base_url,
            GEMINI_API_KEY=GEMINI_KEY,
            GEMINI_BASE_URL=f"http://127.0.0.1:{gemini.port}/v1beta",
        )

    clock = results.findings[-1]
    assert (clock.check, clock.status) == ("clock", "problem")
    assert "67 min behind gemini" in clock.detail


async def cut(peer: Peer, request: Received) -> None:
    peer.close()


async def half(peer: Peer, request: Received) -> None:
    await peer.head(200, "application/json", length=1000)
    peer.close()


async def test_disconnect_is_a_problem_and_half_an_answer_a_warning() -> None:
    for script, status, words in (
        (cut, "problem", "not asked: The upstream closed the connection"),
        (half, "warning", "no whole answer within 20 s"),
    ):
        async with serving(script) as openai:
            results = await checked(OPENAI_API_KEY=OPENAI_KEY, OPENAI_BASE_URL=openai.base_url)
        key = results.findings[2]

        assert (key.check, key.status) == ("openai: key", status)
        assert words in key.detail


def tunnel(status: int) -> Script:
    """Return a script of an HTTP proxy that answers CONNECT with *status*."""

    async def script(peer: Peer, request: Received) -> None:
        await peer.reply(b"", status, None)
        peer.close()

    return script


async def test_outbound_proxy_is_asked_instead_of_the_upstream() -> None:
    async with serving(answers()) as proxy:
        results = await checked(
            OPENAI_API_KEY=OPENAI_KEY,
            OPENAI_BASE_URL="http://api.example.com/v1",
            UPSTREAM_PROXY=f"http://user:canary-password@127.0.0.1:{proxy.port}",
        )

    assert statuses(results) == [
        ("outbound proxy: name", "ok"),
        ("outbound proxy: connection", "ok"),
        ("openai: key", "ok"),
        ("clock", "ok"),
    ]
    assert proxy.received[-1].path == "http://api.example.com/v1/models"


async def test_unreachable_outbound_proxy_ends_the_checks() -> None:
    results = await checked(
        OPENAI_API_KEY=OPENAI_KEY, UPSTREAM_PROXY=f"http://127.0.0.1:{free_port()}"
    )

    assert statuses(results) == [
        ("outbound proxy: name", "ok"),
        ("outbound proxy: connection", "problem"),
    ]


async def test_each_outbound_proxy_is_checked_and_ends_the_checks_behind_it_alone() -> None:
    async with serving(answers()) as openai:
        results = await checked(
            OPENAI_API_KEY=OPENAI_KEY,
            OPENAI_BASE_URL=openai.base_url,
            GEMINI_API_KEY=GEMINI_KEY,
            GEMINI_PROXY=f"http://127.0.0.1:{free_port()}",
            UPSTREAM_PROXY=f"http://127.0.0.1:{free_port()}",
        )

    assert statuses(results) == [
        ("outbound proxy: name", "ok"),
        ("outbound proxy: connection", "problem"),
        ("openai: name", "ok"),
        ("openai: connection", "ok"),
        ("openai: key", "ok"),
        ("clock", "ok"),
    ]
    assert "GEMINI_PROXY" in str(results.findings[1].advice)


async def test_refusal_of_an_outbound_proxy_has_a_finding() -> None:
    for status, words in (
        (407, "the outbound proxy rejects the credentials (407)"),
        (403, "the outbound proxy does not connect to openai (403)"),
    ):
        async with serving(tunnel(status)) as proxy:
            results = await checked(
                OPENAI_API_KEY=OPENAI_KEY,
                OPENAI_BASE_URL="https://api.example.com/v1",
                UPSTREAM_PROXY=f"http://127.0.0.1:{proxy.port}",
            )

        assert results.findings[2].detail == words


async def test_socks_proxy_is_asked_for_the_upstream() -> None:
    async with serving(answers()) as openai:
        server = SocksServer(openai.port)
        async with server.running() as port:
            results = await checked(
                OPENAI_API_KEY=OPENAI_KEY,
                OPENAI_BASE_URL="http://api.example.test/v1",
                UPSTREAM_PROXY=f"socks5://127.0.0.1:{port}",
            )

    assert statuses(results) == [
        ("outbound proxy: name", "ok"),
        ("outbound proxy: connection", "ok"),
        ("openai: key", "ok"),
        ("clock", "ok"),
    ]
    assert server.asked == [("api.example.test", 80)]


async def test_refusal_of_a_socks_proxy_has_a_finding() -> None:
    for server, words in (
        (SocksServer(0, ("user", "right")), "the outbound proxy rejects the credentials"),
        (SocksServer(0, reply=2), "does not connect to openai (connection not allowed by ruleset)"),
        (SocksServer(0, fault="cut request"), "(the proxy closed the connection)"),
    ):
        async with server.running() as port:
            results = await checked(
                OPENAI_API_KEY=OPENAI_KEY,
                UPSTREAM_PROXY=f"socks5h://user:canary-password@127.0.0.1:{port}",
            )

        assert words in results.findings[2].detail
        assert "canary" not in str(results.findings)


async def test_socks_proxy_without_its_package_ends_the_checks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jarvis_proxy.config.extras.find_spec", lambda module: None)
    results = await checked(OPENAI_API_KEY=OPENAI_KEY, OPENAI_PROXY="socks5://127.0.0.1:1")

    (found,) = results.findings
    assert found.check == "outbound proxy: package"
    assert "OPENAI_PROXY needs the Python package aiohttp-socks" in found.detail


def dated(at: float, **headers: str) -> HttpAnswer:
    return HttpAnswer(200, {"date": formatdate(at, usegmt=True), **headers})


def test_skew_is_this_clock_minus_the_other() -> None:
    assert skew(dated(NOW - 90), NOW) == 90
    assert skew(dated(NOW + 90), NOW) == -90


def test_cached_answer_is_older_by_its_age() -> None:
    assert skew(dated(NOW - 600, age="600"), NOW) == 0
    assert skew(dated(NOW - 600, age="soon"), NOW) == 600
    assert skew(dated(NOW - 600, age="9" * 400), NOW) == 600


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Nov 2026 00:00:00 GMT"])
def test_answer_without_date_gives_no_skew(date: str) -> None:
    assert skew(HttpAnswer(200, {"date": date}), NOW) is None
    assert skew(HttpAnswer(200, {}), NOW) is None


@pytest.mark.parametrize(
    ("seconds", "status", "words"),
    [
        (0.0, "ok", "agrees with openai"),
        (29.9, "ok", "agrees"),
        (-29.9, "ok", "agrees"),
        (45.0, "warning", "45 s ahead of openai"),
        (-200.0, "warning", "3 min behind openai"),
        (-4000.0, "problem", "67 min behind openai"),
        (40_000.0, "problem", "11 h ahead of openai"),
        (-31_536_000.0, "problem", "365 days behind openai"),
    ],
)
def test_finding_depends_on_the_clock_skew(seconds: float, status: str, words: str) -> None:
    found = evaluate_skew(seconds, "openai")

    assert status == found.status
    assert words in found.detail
    assert bool(found.example) == (status != "ok")
