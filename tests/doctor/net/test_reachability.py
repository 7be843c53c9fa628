"""Reaching a host, step by step, and what each failure advises."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from jarvis_proxy.doctor.findings import Check, Finding, read_templates
from jarvis_proxy.doctor.net.machine import ProbeEnv
from jarvis_proxy.doctor.net.reachability import (
    DAY,
    Owner,
    Reachability,
    classify_tls_error,
    in_days,
)
from tests.doctor.fixtures import answers, free_port, probe_env, serving, silent_port

CA = trustme.CA()
LOOPBACK = {"my.host": ("127.0.0.1",)}


async def reach(
    env: ProbeEnv,
    port: int,
    timeout_s: float,
    *,
    owner: Owner = "upstream",
    tls: bool = False,
    host: str = "my.host",
) -> Reachability:
    label = {"upstream": "openai", "outbound_proxy": "outbound proxy", "site": ""}[owner]
    setting = {"upstream": "OPENAI_BASE_URL", "outbound_proxy": "UPSTREAM_PROXY", "site": "--url"}
    url = f"{'https' if tls else 'http'}://{host}:{port}/v1"
    found = Reachability(env, url, setting[owner], label, owner=owner)
    assert await found.check(timeout_s) == found.reached
    return found


def checks(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.check, str(finding.status)) for finding in findings]


async def test_every_step_to_a_good_host_is_ok() -> None:
    async with serving(answers(), CA.issue_cert("my.host")) as upstream:
        found = await reach(probe_env(LOOPBACK, ca=CA), upstream.port, 5, tls=True)

    assert found.reached
    assert checks(found.findings) == [
        ("openai: name", "ok"),
        ("openai: connection", "ok"),
        ("openai: TLS", "ok"),
    ]
    assert found.findings[0].detail == "my.host has 1 address"
    assert found.findings[2].detail.startswith("TLSv1.3, the certificate is valid until 3000-01-01")


async def test_ip_address_needs_no_name() -> None:
    async with serving(answers()) as upstream:
        found = await reach(probe_env(), upstream.port, 5, host="127.0.0.1")

    assert found.findings[0].detail == "127.0.0.1 is an address, there is nothing to resolve"
    assert len(found.findings) == 2


@pytest.mark.parametrize(
    ("owner", "advice"),
    [
        ("upstream", "set UPSTREAM_PROXY"),
        ("outbound_proxy", "Is the name in UPSTREAM_PROXY spelled right?"),
        ("site", "Make an A (and AAAA) record"),
    ],
)
@pytest.mark.parametrize(
    "on", [probe_env(), probe_env({"my.host": ()})], ids=["unknown", "no address"]
)
async def test_unresolvable_name_stops_the_check(on: ProbeEnv, owner: Owner, advice: str) -> None:
    found = await reach(on, 1, 5, owner=owner)

    (name,) = found.findings
    assert (found.reached, name.status) == (False, "problem")
    assert advice in name.advice


@pytest.mark.parametrize(
    ("owner", "advice"),
    [
        ("upstream", "are host and port in OPENAI_BASE_URL right?"),
        ("outbound_proxy", "is that proxy running?"),
        ("site", "Nothing listens there."),
    ],
)
async def test_refused_connection_gives_advice_on_the_listener(owner: Owner, advice: str) -> None:
    found = await reach(probe_env(LOOPBACK), free_port(), 5, owner=owner)

    assert not found.reached
    assert found.findings[1].detail.endswith(": refused")
    assert advice in found.findings[1].advice


@pytest.mark.parametrize(
    ("owner", "advice"),
    [
        ("upstream", "A firewall seems"),
        ("site", "ufw allow"),
        ("outbound_proxy", "right"),
    ],
)
async def test_silent_connection_gives_advice_on_the_firewall(owner: Owner, advice: str) -> None:
    async with silent_port() as port:
        found = await reach(probe_env(LOOPBACK), port, 0.05, owner=owner)

    assert found.findings[1].detail.endswith(": no answer")
    assert advice in found.findings[1].advice


async def test_one_reachable_address_is_enough() -> None:
    async with serving(answers()) as upstream:
        on = probe_env({"my.host": ("127.0.0.1", "127.0.0.9")})
        found = await reach(on, upstream.port, 5)

    assert found.reached
    assert found.findings[0].detail == "my.host has 2 addresses"
    assert found.findings[1].detail.endswith("answers on 1 of 2 addresses (refused)")


@pytest.mark.parametrize(
    ("owner", "advice"), [("upstream", "ca-certificates"), ("site", "fullchain.pem")]
)
async def test_untrusted_certificate_stops_the_check(owner: Owner, advice: str) -> None:
    async with serving(answers(), CA.issue_cert("my.host")) as upstream:
        found = await reach(probe_env(LOOPBACK), upstream.port, 5, owner=owner, tls=True)

    assert not found.reached
    assert found.findings[2].detail.startswith(
        "my.host: its certificate is not signed by an authority"
    )
    assert advice in found.findings[2].advice


@pytest.mark.parametrize(("owner", "status"), [("upstream", "ok"), ("site", "warning")])
async def test_certificate_expiry_is_shown_for_a_site_only(owner: Owner, status: str) -> None:
    leaf = CA.issue_cert("my.host", not_after=datetime.now(UTC) + timedelta(days=3, hours=1))
    async with serving(answers(), leaf) as upstream:
        found = await reach(probe_env(LOOPBACK, ca=CA), upstream.port, 5, owner=owner, tls=True)

    assert found.reached
    assert found.findings[2].status == status
    assert ("in 3 days" in found.findings[2].detail) == (status == "warning")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(10, "in less than a day"), (DAY, "in 1 day"), (2.5 * DAY, "in 2 days")],
)
def test_duration_is_in_days(seconds: float, expected: str) -> None:
    assert in_days(seconds) == expected


def refused(code: int, message: str = "why") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return error


def failed(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, "failed")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refused(10), "expired"),
        (refused(9), "not_yet_valid"),
        (refused(18), "unknown_issuer"),
        (refused(20), "unknown_issuer"),
        (refused(62), "other_name"),
        (refused(64), "other_name"),
        (refused(66), "refused"),
        (failed("WRONG_VERSION_NUMBER"), "not_tls"),
        (failed("TLSV1_ALERT_PROTOCOL_VERSION"), "failed"),
        (ssl.SSLError(1, "no reason"), "cut"),
        (ConnectionResetError(), "cut"),
        (TimeoutError(), "silent"),
    ],
)
def test_each_kind_of_broken_stream_is_distinguished(error: OSError, kind: str) -> None:
    assert kind == classify_tls_error(error)[0]


def test_unusual_refusal_has_the_reason_of_openssl() -> None:
    assert classify_tls_error(refused(66, "EE key too small")) == ("refused", "EE key too small")
    assert classify_tls_error(failed("TLSV1_ALERT_X")) == ("failed", "tlsv1_alert_x")


@pytest.mark.parametrize("owner", ["upstream", "outbound_proxy", "site"])
@pytest.mark.parametrize("result", read_templates("net/reachability")["TLS"])
def test_every_tls_result_has_advice_for_every_owner(result: str, owner: Owner) -> None:
    values = {"host": "my.host", "reason": "why", "version": "TLSv1.3", "day": "D", "left": "soon"}

    found = Check("net/reachability", "TLS", audience=owner).finding(result, **values)

    assert found.detail.startswith(("my.host: ", "TLSv1.3, "))
    assert bool(found.advice) == (found.status != "ok")
