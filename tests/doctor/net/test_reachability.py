"""Reaching a host, step by step, and what each failure advises."""

from datetime import UTC, datetime, timedelta

import pytest
import trustme

from jarvis_proxy.doctor.findings import Finding
from jarvis_proxy.doctor.net.machine import ProbeEnv
from jarvis_proxy.doctor.net.reachability import DAY, ReachTarget, Whose, day, in_days, reach
from tests.doctor.fixtures import answers, free_port, machine, serving, silent_port

CA = trustme.CA()
LOOPBACK = {"my.host": ("127.0.0.1",)}


def target(
    port: int, whose: Whose = "upstream", *, tls: bool = False, host: str = "my.host"
) -> ReachTarget:
    label = {"upstream": "openai", "proxy": "outbound proxy", "site": ""}[whose]
    setting = {"upstream": "OPENAI_BASE_URL", "proxy": "UPSTREAM_PROXY", "site": "--url"}[whose]
    return ReachTarget(label, setting, host, port, tls, whose)


def checks(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(finding.check, str(finding.status)) for finding in findings]


async def test_every_step_of_a_good_way_is_ok() -> None:
    async with serving(answers(), CA.issue_cert("my.host")) as upstream:
        found = await reach(machine(LOOPBACK, ca=CA), target(upstream.port, tls=True), 5)

    assert found.reached
    assert checks(found.findings) == [
        ("openai: name", "ok"),
        ("openai: connection", "ok"),
        ("openai: TLS", "ok"),
    ]
    assert found.findings[0].detail == "my.host has 1 address"
    assert found.findings[2].detail.startswith("TLSv1.3, the certificate is valid until 3000-01-01")


async def test_an_address_needs_no_name() -> None:
    async with serving(answers()) as upstream:
        found = await reach(machine(), target(upstream.port, host="127.0.0.1"), 5)

    assert found.findings[0].detail == "127.0.0.1 is an address, there is nothing to resolve"
    assert len(found.findings) == 2


@pytest.mark.parametrize(
    ("whose", "advice"),
    [
        ("upstream", "set UPSTREAM_PROXY"),
        ("proxy", "Is the name in UPSTREAM_PROXY spelled right?"),
        ("site", "Make an A (and AAAA) record"),
    ],
)
@pytest.mark.parametrize("on", [machine(), machine({"my.host": ()})], ids=["unknown", "no address"])
async def test_a_name_that_leads_nowhere_ends_the_way(
    on: ProbeEnv, whose: Whose, advice: str
) -> None:
    found = await reach(on, target(1, whose), 5)

    (name,) = found.findings
    assert (found.reached, name.status) == (False, "problem")
    assert advice in name.advice


@pytest.mark.parametrize(
    ("whose", "advice"),
    [
        ("upstream", "are host and port in OPENAI_BASE_URL right?"),
        ("proxy", "is that proxy running?"),
        ("site", "Nothing listens there."),
    ],
)
async def test_a_refused_connection_asks_for_the_listener(whose: Whose, advice: str) -> None:
    found = await reach(machine(LOOPBACK), target(free_port(), whose), 5)

    assert not found.reached
    assert found.findings[1].detail.endswith(": refused")
    assert advice in found.findings[1].advice


@pytest.mark.parametrize(
    ("whose", "advice"),
    [
        ("upstream", "A firewall seems"),
        ("site", "ufw allow"),
        ("proxy", "right"),
    ],
)
async def test_a_silent_connection_asks_for_the_firewall(whose: Whose, advice: str) -> None:
    async with silent_port() as port:
        found = await reach(machine(LOOPBACK), target(port, whose), 0.05)

    assert found.findings[1].detail.endswith(": no answer")
    assert advice in found.findings[1].advice


async def test_one_address_that_answers_is_enough() -> None:
    async with serving(answers()) as upstream:
        on = machine({"my.host": ("127.0.0.1", "127.0.0.9")})
        found = await reach(on, target(upstream.port), 5)

    assert found.reached
    assert found.findings[0].detail == "my.host has 2 addresses"
    assert found.findings[1].detail.endswith("answers on 1 of 2 addresses (refused)")


@pytest.mark.parametrize(
    ("whose", "advice"), [("upstream", "ca-certificates"), ("site", "fullchain.pem")]
)
async def test_a_certificate_that_is_not_trusted_ends_the_way(whose: Whose, advice: str) -> None:
    async with serving(answers(), CA.issue_cert("my.host")) as upstream:
        found = await reach(machine(LOOPBACK), target(upstream.port, whose, tls=True), 5)

    assert not found.reached
    assert found.findings[2].detail.startswith("my.host: its certificate is not signed by anyone")
    assert advice in found.findings[2].advice


@pytest.mark.parametrize(("whose", "status"), [("upstream", "ok"), ("site", "warning")])
async def test_only_the_owner_of_a_site_is_told_that_its_certificate_ends(
    whose: Whose, status: str
) -> None:
    leaf = CA.issue_cert("my.host", not_after=datetime.now(UTC) + timedelta(days=3, hours=1))
    async with serving(answers(), leaf) as upstream:
        found = await reach(machine(LOOPBACK, ca=CA), target(upstream.port, whose, tls=True), 5)

    assert found.reached
    assert found.findings[2].status == status
    assert ("in 3 days" in found.findings[2].detail) == (status == "warning")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(10, "in less than a day"), (DAY, "in 1 day"), (2.5 * DAY, "in 2 days")],
)
def test_time_is_told_in_days(seconds: float, expected: str) -> None:
    assert in_days(seconds) == expected


def test_a_day_is_told_in_utc() -> None:
    assert day(1_795_000_000) == "2026-11-18"
