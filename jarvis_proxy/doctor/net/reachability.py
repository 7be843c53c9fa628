"""Checks whether a host can be reached: its name, a connection, TLS. IO."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from typing import Final, Literal
from urllib.parse import urlsplit

from jarvis_proxy.config.addresses import address_in
from jarvis_proxy.config.budgets import day_of
from jarvis_proxy.doctor.findings import Check, Finding, counted
from jarvis_proxy.doctor.net.machine import ProbeEnv, connect, describe_os_error

Owner = Literal["upstream", "outbound_proxy", "site"]

DAY: Final = 86_400
EXPIRES_SOON: Final = 14 * DAY
"""Certificates are renewed a month before their end, so at two weeks the renewal has failed."""

_PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_DNS_TIMEOUT: Final = 10.0
# OpenSSL's X509_V_ERR_*: https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
_CERTIFICATE_ERRORS: Final = {
    9: "not_yet_valid",
    10: "expired",
    **dict.fromkeys((2, 18, 19, 20, 21, 27), "unknown_issuer"),
    **dict.fromkeys((62, 64), "other_name"),
}
_NOT_TLS: Final = frozenset(("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"))


class Reachability:
    """Checks the host of *url*: name, connection, TLS. *reached*: requests are possible.

    *setting* is the source of the URL, *label* precedes the checks' names, and *owner* selects the
    advice.
    """

    def __init__(
        self, env: ProbeEnv, url: str, setting: str, label: str = "", *, owner: Owner = "upstream"
    ) -> None:
        parts = urlsplit(url)
        self.findings: list[Finding] = []
        self.reached = False
        self._env = env
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._tls = parts.scheme == "https"
        self._setting, self._label, self._owner = setting, label, owner

    async def check(self, timeout_s: float) -> bool:
        """Resolve, connect and perform the handshake, up to the first failure; return *reached*."""
        addresses = await self._resolve()
        address = await self._connect(addresses, timeout_s) if addresses else None
        self.reached = address is not None
        if address is not None and self._tls:
            self.reached = await self._check_tls(address, timeout_s)
        return self.reached

    def _add(self, name: str, result: str, **values: str) -> None:
        check = Check("net/reachability", name, label=self._label, audience=self._owner)
        values |= {"host": self._host, "port": str(self._port), "setting": self._setting}
        self.findings.append(check.finding(result, **values))

    async def _resolve(self) -> Sequence[str]:
        if address_in(self._host) is not None:
            self._add("name", "is_address")
            return (self._host,)
        addresses: list[str] = []
        # TimeoutError and gaierror are OSErrors.
        with contextlib.suppress(OSError):
            async with asyncio.timeout(_DNS_TIMEOUT):
                resolver = self._env.resolver()
                found = await resolver.resolve(self._host, self._port, socket.AF_UNSPEC)
                addresses = list(dict.fromkeys(each["host"] for each in found))
        count = counted(len(addresses), "address", "addresses")
        self._add("name", "resolved" if addresses else "unknown", count=count)
        return addresses

    async def _connect(self, addresses: Sequence[str], timeout_s: float) -> str | None:
        # Connect concurrently: an address family without a route must not cost the whole timeout.
        attempts = (connect(address, self._port, timeout_s) for address in addresses)
        results = await asyncio.gather(*attempts, return_exceptions=True)
        errors = [describe_os_error(each) for each in results if isinstance(each, OSError)]
        reached = [a for a, each in zip(addresses, results, strict=True) if isinstance(each, tuple)]
        result = "partly_connected" if errors else "connected"
        if not reached:
            result = "refused" if set(errors) == {"refused"} else "silent"
        share = f"{len(reached)} of {len(results)}"
        self._add("connection", result, errors=", ".join(dict.fromkeys(errors)), share=share)
        return reached[0] if reached else None

    async def _check_tls(self, address: str, timeout_s: float) -> bool:
        context = self._env.tls()
        try:
            found = await connect(address, self._port, timeout_s, tls=context, host=self._host)
        except OSError as exc:
            result, reason = classify_tls_error(exc)
            self._add("TLS", result, reason=reason)
            return False
        version, certificate = found
        not_after = ssl.cert_time_to_seconds(certificate["notAfter"])
        left = not_after - self._env.now()
        result = "ends_soon" if self._owner == "site" and left < EXPIRES_SOON else "trusted"
        self._add("TLS", result, version=version, day=day_of(not_after), left=in_days(left))
        return True


def classify_tls_error(exc: OSError) -> tuple[str, str]:
    """Return the result and the reason for an error that a TLS handshake raised."""
    # Not every ssl.SSLError has a reason.
    reason = str(getattr(exc, "reason", None) or "")
    if isinstance(exc, ssl.SSLCertVerificationError):
        return _CERTIFICATE_ERRORS.get(exc.verify_code, "refused"), exc.verify_message
    if isinstance(exc, TimeoutError):
        return "silent", ""
    if reason in _NOT_TLS:
        return "not_tls", ""
    return ("failed", reason.lower()) if reason else ("cut", "")


def in_days(seconds: float) -> str:
    """Return a duration as distance in the future, such as "in 3 days"."""
    days = int(seconds // DAY)
    return f"in {counted(days, 'day')}" if days else "in less than a day"
