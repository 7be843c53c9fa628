"""What the doctor prints for a working setup, and for a setup with each single fault."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from tests.conftest import GEMINI_KEY, KEY, OPENAI_KEY, running_proxy
from tests.doctor.fixtures import (
    GEMINI_LIST,
    Transcript,
    answers,
    free_port,
    probe_env,
    run_doctor,
    serving,
    silent_port,
)
from tests.doctor.transcripts import GOLDEN, assert_golden
from tests.support.raw_upstream import Peer, Received, Script

CA = trustme.CA()
NAMES = {"api.example.com": ("127.0.0.1",)}
FAR = "https://api.example.com/v1"
PLAIN = {"PROXY_API_KEYS": f"tester:{KEY}", "HOST": "127.0.0.1", "OPENAI_API_KEY": OPENAI_KEY}
GOOGLE_REFUSAL = (
    b'{"error":{"code":400,"message":"API key not valid: canary","status":"INVALID_ARGUMENT",'
    b'"details":[{"@type":"x","reason":"API_KEY_INVALID"}]}}'
)
OPENAI_ELSEWHERE = b'{"error":{"code":"unsupported_country_region_territory"}}'
OPENAI_REFUSAL = b'{"error":{"message":"canary","type":"t","param":null,"code":"invalid_api_key"}}'


@asynccontextmanager
async def good_openai() -> AsyncIterator[dict[str, str]]:
    """Yield the settings of a server with one upstream that works."""
    async with serving(answers()) as openai:
        yield {**PLAIN, "PORT": str(free_port()), "OPENAI_BASE_URL": openai.base_url}


async def transcript_of(folder: Path, **changed: str) -> Transcript:
    """Return the transcript of a working setup with some settings *changed*."""
    async with good_openai() as env:
        return await run_doctor(folder, {**env, **changed}, "--client", "none")


async def at_upstream(folder: Path, script: Script, **changed: str) -> Transcript:
    """Return the transcript of a setup whose one upstream plays *script*."""
    async with serving(script) as upstream:
        env = {**PLAIN, "PORT": str(free_port()), "OPENAI_BASE_URL": upstream.base_url, **changed}
        return await run_doctor(folder, env, "--client", "none")


async def at_tls_port(folder: Path, port: int) -> Transcript:
    """Return the transcript of a setup whose one upstream should speak TLS on *port*."""
    url = f"https://api.example.com:{port}/v1"
    env = {**PLAIN, "PORT": str(free_port()), "OPENAI_BASE_URL": url}
    return await run_doctor(folder, env, "--client", "none", on=probe_env(NAMES, ca=CA))


@pytest.mark.slow
async def test_working_setup(tmp_path: Path) -> None:
    """Two upstreams, the proxy running, settings for every client."""
    async with AsyncExitStack() as stack:
        openai = await stack.enter_async_context(serving(answers()))
        gemini = await stack.enter_async_context(serving(answers(body=GEMINI_LIST)))
        gemini_url = f"http://127.0.0.1:{gemini.port}/v1beta"
        proxy = await stack.enter_async_context(running_proxy(openai.base_url, gemini_url))
        env = {
            **PLAIN,
            "PORT": str(proxy.port),
            "GEMINI_API_KEY": GEMINI_KEY,
            "OPENAI_BASE_URL": openai.base_url,
            "GEMINI_BASE_URL": gemini_url,
        }
        found = await run_doctor(tmp_path, env)

    assert found.code == 0
    assert_golden("sound", found)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("default_key", {"PROXY_API_KEYS": "jarvis-local-secret", "HOST": "0.0.0.0"}),
        ("weak_key", {"PROXY_API_KEYS": "laptop:tooshort"}),
        ("placeholder_upstream_key", {"OPENAI_API_KEY": "sk-xxx"}),
        ("mistyped_name", {"MAX_BODY_M": "64"}),
        ("open_trusted_proxies", {"TRUSTED_PROXIES": "0.0.0.0/0"}),
        ("default_model_without_key", {"DEFAULT_MODEL": "gemini/gemini-3-flash"}),
        ("default_model_not_listed", {"DEFAULT_MODEL": "openai/gpt-nonsense"}),
        ("fallback_without_key", {"FALLBACKS": "gpt-4o=gemini-3-flash"}),
        ("host_of_another_machine", {"HOST": "203.0.113.77"}),
    ],
)
async def test_settings_with_a_warning(tmp_path: Path, name: str, changed: dict[str, str]) -> None:
    assert_golden(name, await transcript_of(tmp_path, **changed))


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("no_client_key", {"PROXY_API_KEYS": ""}),
        (
            "several_wrong_settings",
            {"PORT": "ninety", "LOG_LEVEL": "loud", "OPENAI_BASE_URL": "api.openai.com"},
        ),
        ("broken_env_line", {"NOTE": '"an open quote'}),
        ("tls_files_missing", {"TLS_CERT_FILE": "/nowhere/server.pem"}),
    ],
)
async def test_settings_that_the_server_refuses(
    tmp_path: Path, name: str, changed: dict[str, str]
) -> None:
    found = await transcript_of(tmp_path, **changed)

    assert found.code == 78
    assert_golden(name, found)


async def test_no_env_file(tmp_path: Path) -> None:
    found = await run_doctor(tmp_path, None)

    assert found.code == 78
    assert_golden("no_env_file", found)


async def test_env_file_that_others_read(tmp_path: Path) -> None:
    async with good_openai() as env:
        found = await run_doctor(tmp_path, env, "--client", "none", mode=0o644)

    assert_golden("env_file_mode", found)


async def test_environment_that_overrides_the_file(tmp_path: Path) -> None:
    async with good_openai() as env:
        environ = {"OPENAI_API_KEY": "sk-another-canary-0123", "PORT": str(free_port())}
        found = await run_doctor(tmp_path, env, "--client", "none", environ=environ)

    assert_golden("environment_overrides", found)


async def test_port_that_is_taken(tmp_path: Path) -> None:
    async with serving(answers(200, b"hello", "text/html", ["Server: nginx"])) as other:
        found = await transcript_of(tmp_path, PORT=str(other.port))

    assert_golden("port_taken", found)


def tls_settings(folder: Path, leaf: trustme.LeafCert, key: trustme.LeafCert) -> dict[str, str]:
    (folder / "server.pem").write_bytes(leaf.cert_chain_pems[0].bytes() + CA.cert_pem.bytes())
    (folder / "server.key").write_bytes(key.private_key_pem.bytes())
    (folder / "server.key").chmod(0o600)
    return {
        "TLS_CERT_FILE": str(folder / "server.pem"),
        "TLS_KEY_FILE": str(folder / "server.key"),
    }


def ends(after: timedelta) -> trustme.LeafCert:
    return CA.issue_cert("my.host", not_after=datetime.now(UTC) + after)


@pytest.mark.parametrize(
    ("name", "after", "code"),
    [
        ("certificate_expired", timedelta(days=-3), 1),
        ("certificate_ends_soon", timedelta(days=5, hours=1), 0),
    ],
)
async def test_own_certificate_that_expires_soon(
    tmp_path: Path, name: str, after: timedelta, code: int
) -> None:
    leaf = ends(after)
    found = await transcript_of(tmp_path, **tls_settings(tmp_path, leaf, leaf))

    assert found.code == code
    assert_golden(name, found)


async def test_private_key_of_another_certificate(tmp_path: Path) -> None:
    year = timedelta(days=365)
    found = await transcript_of(tmp_path, **tls_settings(tmp_path, ends(year), ends(year)))

    assert_golden("key_of_another_certificate", found)


async def test_upstream_whose_name_is_unknown(tmp_path: Path) -> None:
    found = await transcript_of(tmp_path, OPENAI_BASE_URL="https://api.opnai.com/v1")

    assert_golden("upstream_name_unknown", found)


async def test_upstream_that_refuses_connections(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"

    assert_golden("upstream_refuses", await transcript_of(tmp_path, OPENAI_BASE_URL=url))


async def test_upstream_behind_a_firewall(tmp_path: Path) -> None:
    async with silent_port() as port:
        found = await transcript_of(
            tmp_path, OPENAI_BASE_URL=f"http://127.0.0.1:{port}/v1", CONNECT_TIMEOUT="0.05"
        )

    assert_golden("upstream_silent", found)


@pytest.mark.parametrize(
    ("name", "leaf"),
    [
        ("upstream_tls_sound", CA.issue_cert("api.example.com")),
        (
            "upstream_certificate_expired",
            CA.issue_cert("api.example.com", not_after=datetime(2020, 1, 1, tzinfo=UTC)),
        ),
        ("upstream_certificate_untrusted", trustme.CA().issue_cert("api.example.com")),
        ("upstream_certificate_of_another", CA.issue_cert("other.example.com")),
    ],
)
async def test_tls_of_an_upstream(tmp_path: Path, name: str, leaf: trustme.LeafCert) -> None:
    async with serving(answers(), leaf) as upstream:
        assert_golden(name, await at_tls_port(tmp_path, upstream.port))


async def test_upstream_without_tls(tmp_path: Path) -> None:
    async with running_proxy() as plain:
        assert_golden("upstream_without_tls", await at_tls_port(tmp_path, plain.port))


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("openai_key_refused", answers(401, OPENAI_REFUSAL)),
        ("openai_quota", answers(429, b'{"error":{"type":"insufficient_quota"}}')),
        (
            "openai_region",
            answers(403, b'{"error":{"code":"unsupported_country_region_territory"}}'),
        ),
        ("openai_down", answers(503, b"<html>", "text/html")),
        ("base_url_without_v1", answers(404, b"<html>", "text/html")),
        ("base_url_of_a_website", answers(200, b"<html>", "text/html")),
        ("base_url_redirects", answers(301, b"", extra=["Location: https://x.example/v1/models"])),
        ("clock_off", answers(clock=-900)),
    ],
)
async def test_upstream_that_answers_something_else(
    tmp_path: Path, name: str, script: Script
) -> None:
    assert_golden(name, await at_upstream(tmp_path, script))


async def test_one_bad_key_of_two(tmp_path: Path) -> None:
    async def script(peer: Peer, request: Received) -> None:
        is_good = request.header("Authorization") == f"Bearer {OPENAI_KEY}"
        await (answers() if is_good else answers(401, OPENAI_REFUSAL))(peer, request)

    keys = f"{OPENAI_KEY},sk-second-canary-0123456789"
    found = await at_upstream(tmp_path, script, OPENAI_API_KEY=keys)

    assert_golden("one_bad_key_of_two", found)


async def test_gemini_key_that_is_not_valid(tmp_path: Path) -> None:
    async with serving(answers(400, GOOGLE_REFUSAL)) as gemini:
        found = await transcript_of(
            tmp_path,
            GEMINI_API_KEY=GEMINI_KEY,
            GEMINI_BASE_URL=f"http://127.0.0.1:{gemini.port}/v1beta",
        )

    assert_golden("gemini_key_refused", found)


async def test_base_url_that_leads_to_this_proxy(tmp_path: Path) -> None:
    port = free_port()
    found = await transcript_of(
        tmp_path, PORT=str(port), OPENAI_BASE_URL=f"http://localhost:{port}/v1"
    )

    assert_golden("base_url_leads_here", found)


async def test_outbound_proxy_that_is_down(tmp_path: Path) -> None:
    outbound = f"http://127.0.0.1:{free_port()}"
    found = await transcript_of(tmp_path, OPENAI_BASE_URL=FAR, UPSTREAM_PROXY=outbound)

    assert_golden("outbound_proxy_down", found)


async def test_outbound_proxy_that_wants_a_password(tmp_path: Path) -> None:
    async with serving(answers(407, b"", "text/plain")) as proxy:
        outbound = f"http://127.0.0.1:{proxy.port}"
        found = await transcript_of(tmp_path, OPENAI_BASE_URL=FAR, UPSTREAM_PROXY=outbound)

    assert_golden("outbound_proxy_password", found)


async def test_running_proxy_that_has_older_keys(tmp_path: Path) -> None:
    async with running_proxy() as proxy:
        found = await transcript_of(
            tmp_path, PORT=str(proxy.port), PROXY_API_KEYS="a-newer-canary-key-0123456789"
        )

    assert_golden("running_with_older_keys", found)


async def test_keys_of_clients_as_digests_only(tmp_path: Path) -> None:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    async with running_proxy() as proxy:
        found = await transcript_of(
            tmp_path, PORT=str(proxy.port), PROXY_API_KEYS=f"tester:sha256:{digest}"
        )

    assert found.code == 0
    assert_golden("keys_as_digests", found)


def test_every_golden_transcript_is_compared() -> None:
    """A name that no test has would never be compared."""
    here = Path(__file__).resolve().parent
    sources = "".join(path.read_text(encoding="utf-8") for path in here.rglob("test_*.py"))

    assert [path.stem for path in GOLDEN.glob("*.txt") if f'"{path.stem}"' not in sources] == []
