"""Whether a host can be reached: its name, a connection, TLS. IO."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final, Literal

from jarvis_proxy.doctor.findings import Finding, ok, problem, warning
from jarvis_proxy.doctor.net.machine import Attempt, ProbeEnv, connect, tls_handshake
from jarvis_proxy.doctor.net.tls_errors import classify_tls_error, own_site_advice, upstream_advice

Whose = Literal["upstream", "proxy", "site"]

DAY: Final = 86_400
EXPIRES_SOON: Final = 14 * DAY
"""Automatic renewal happens a month before the end: at two weeks it has failed."""

_DNS_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class ReachTarget:
    """What is to be reached. *label* stands before the names of its checks; *setting* says where
    its address comes from."""

    label: str
    setting: str
    host: str
    port: int
    tls: bool
    whose: Whose = "upstream"

    def check(self, step: str) -> str:
        """Return the name of one of its checks."""
        return f"{self.label}: {step}" if self.label else step


@dataclass(frozen=True, slots=True)
class Reachability:
    """What was found; *reached* tells whether asking further makes sense."""

    findings: tuple[Finding, ...]
    reached: bool


async def reach(machine: ProbeEnv, target: ReachTarget, timeout_s: float) -> Reachability:
    """Resolve, connect and shake hands with *target*, in this order, up to the first failure."""
    name, addresses = await _resolve(machine, target)
    if not addresses:
        return Reachability((name,), reached=False)
    connection, address = await _connect(target, addresses, timeout_s)
    if address is None:
        return Reachability((name, connection), reached=False)
    if not target.tls:
        return Reachability((name, connection), reached=True)
    tls, trusted = await _shake_hands(machine, target, address, timeout_s)
    return Reachability((name, connection, tls), reached=trusted)


async def _resolve(machine: ProbeEnv, target: ReachTarget) -> tuple[Finding, Sequence[str]]:
    check = target.check("name")
    if _is_address(target.host):
        return ok(check, f"{target.host} is an address, there is nothing to resolve"), (
            target.host,
        )
    try:
        async with asyncio.timeout(_DNS_TIMEOUT):
            addresses = await machine.resolve(target.host, target.port)
    except OSError:  # TimeoutError and gaierror are such
        addresses = ()
    if not addresses:
        detail = f"{target.host} cannot be resolved to an address"
        return problem(check, detail, _name_advice(target)), ()
    count = f"{len(addresses)} address{'' if len(addresses) == 1 else 'es'}"
    return ok(check, f"{target.host} has {count}"), addresses


def _name_advice(target: ReachTarget) -> str:
    if target.whose == "site":
        return (
            "Make an A (and AAAA) record for this name that leads to the server; a fresh one"
            " takes some minutes to be seen everywhere."
        )
    advice = (
        f"Is the name in {target.setting} spelled right? If it is, DNS does not work here: see what"
        f" `getent hosts {target.host}` says, and look at /etc/resolv.conf."
    )
    if target.whose == "upstream":
        advice += " Where only an HTTP proxy leads out, set UPSTREAM_PROXY."
    return advice


async def _connect(
    target: ReachTarget, addresses: Sequence[str], timeout_s: float
) -> tuple[Finding, str | None]:
    check = target.check("connection")
    # All at the same time: an address family without a route must not cost the whole timeout.
    attempts = await asyncio.gather(
        *(connect(address, target.port, timeout_s) for address in addresses)
    )
    reached = [attempt.address for attempt in attempts if not attempt.fault]
    if not reached:
        detail = f"no connection to port {target.port}: {_faults(attempts)}"
        return problem(check, detail, _connection_advice(target, attempts)), None
    detail = f"port {target.port} answers"
    if len(reached) < len(attempts):
        detail += f" on {len(reached)} of {len(attempts)} addresses ({_faults(attempts)})"
    return ok(check, detail), reached[0]


def _faults(attempts: Sequence[Attempt]) -> str:
    return ", ".join(dict.fromkeys(attempt.fault for attempt in attempts if attempt.fault))


def _connection_advice(target: ReachTarget, attempts: Sequence[Attempt]) -> str:
    is_refused = all(attempt.fault == "refused" for attempt in attempts)
    match target.whose:
        case "site" if is_refused:
            return (
                "Nothing listens there. Is the reverse proxy running (or HOST not 127.0.0.1, if"
                " there is none), and is this the right port?"
            )
        case "site":
            return (
                "Open the port in the server's firewall (ufw allow PORT/tcp) and in the provider's"
                " console (security group); behind a home router, forward it."
            )
        case "proxy":
            return f"Is the address in {target.setting} right, and is that proxy running?"
        case _ if is_refused:
            return f"Nothing listens there: are host and port in {target.setting} right?"
        case _:
            return (
                "A firewall seems to keep this machine from going out: allow TCP to port"
                f" {target.port}, or set UPSTREAM_PROXY to an HTTP proxy that may."
            )


async def _shake_hands(
    machine: ProbeEnv, target: ReachTarget, address: str, timeout_s: float
) -> tuple[Finding, bool]:
    check = target.check("TLS")
    try:
        handshake = await tls_handshake(
            address, target.port, target.host, context=machine.tls(), timeout_s=timeout_s
        )
    except OSError as exc:
        fault = classify_tls_error(exc)
        advise = own_site_advice if target.whose == "site" else upstream_advice
        return problem(check, f"{target.host}: {fault.detail}", advise(fault)), False
    left = handshake.not_after - machine.now()
    detail = f"{handshake.version}, the certificate is valid until {day(handshake.not_after)}"
    if target.whose == "site" and left < EXPIRES_SOON:
        advice = "Automatic renewal seems to have failed: renew it (certbot renew, for example)."
        return warning(check, f"{detail}, {in_days(left)}", advice), True
    return ok(check, detail), True


def day(moment: float) -> str:
    """Return the date of *moment* (epoch seconds, UTC) as 2026-11-23."""
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def in_days(seconds: float) -> str:
    """Return how far away something is, such as "in 3 days"."""
    days = int(seconds // DAY)
    if days == 0:
        return "in less than a day"
    return f"in {days} day{'' if days == 1 else 's'}"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
