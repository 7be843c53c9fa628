"""What an upstream's answer to "list your models" says about a key and a base URL. Pure.

Listing models is free of charge everywhere, so that is all a key is tried with: a good key without
credit is found good here. Sources: https://platform.openai.com/docs/guides/error-codes and
https://ai.google.dev/gemini-api/docs/troubleshooting (read 2026-11), and recorded answers.
"""

from dataclasses import dataclass
from typing import Final

from jarvis_proxy.catalog import parse_gemini_models, parse_openai_models
from jarvis_proxy.doctor.findings import Finding, ok, problem, warning
from jarvis_proxy.doctor.net.http_answer import HttpAnswer, error_codes, printable_url
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.registry import GEMINI, OPENAI
from jarvis_proxy.settings import UpstreamSettings

_CONSOLES: Final = {
    OPENAI: "https://platform.openai.com/api-keys",
    GEMINI: "https://aistudio.google.com/apikey",
}
_BAD_KEY: Final = frozenset(
    ("API_KEY_INVALID", "API_KEY_EXPIRED", "invalid_api_key", "invalid_authentication")
)
_WRONG_PLACE: Final = frozenset(
    ("unsupported_country_region_territory", "FAILED_PRECONDITION", "LOCATION_NOT_SUPPORTED")
)
_RESTRICTED: Final = {
    "API_KEY_IP_ADDRESS_BLOCKED": "the key may not be used from this machine's address",
    "API_KEY_HTTP_REFERRER_BLOCKED": "the key may be used by web pages only",
    "API_KEY_ANDROID_APP_BLOCKED": "the key may be used by an Android app only",
    "API_KEY_IOS_APP_BLOCKED": "the key may be used by an iOS app only",
    "API_KEY_SERVICE_BLOCKED": "the key may not be used for the Gemini API",
    "SERVICE_DISABLED": "the Gemini API is not enabled in the key's project",
    "CONSUMER_SUSPENDED": "the key's project is suspended",
    "BILLING_DISABLED": "billing is off in the key's project",
}
_NO_SCOPE: Final = frozenset(("insufficient_permissions", "missing_scope", "insufficient_scope"))
_NO_CREDIT: Final = frozenset(("insufficient_quota", "billing_hard_limit_reached"))


@dataclass(frozen=True, slots=True)
class KeyVerdict:
    """What is known of one key; *models* are the ids that were listed, None without a list."""

    finding: Finding
    models: frozenset[str] | None = None


def evaluate(upstream: UpstreamSettings, label: str, answer: HttpAnswer) -> KeyVerdict:
    """Return the verdict on the key called *label*, from the answer to its list of models."""
    check = f"{upstream.name}: {label}"
    if answer.status == 200:
        return _listed(upstream, check, answer)
    if 300 <= answer.status < 400:
        place = printable_url(answer.header("location"))
        return KeyVerdict(
            problem(
                check,
                f"{answer.status}: the base URL redirects, to {place}, which is not followed",
                f"Set {upstream.url_setting} to where it leads.",
            )
        )
    return KeyVerdict(_refused(upstream, check, answer))


def _listed(upstream: UpstreamSettings, check: str, answer: HttpAnswer) -> KeyVerdict:
    try:
        if upstream.name == GEMINI:
            entries, _ = parse_gemini_models(answer.body)
        else:
            entries = parse_openai_models(answer.body)
    except ProxyError:
        return KeyVerdict(
            problem(
                check,
                f"200, but what came is no list of models ({answer.content_type})",
                f"{upstream.url_setting} leads to something else, a website or a login page:"
                " it must be the API's address.",
            )
        )
    count = f"{len(entries)} model{'' if len(entries) == 1 else 's'}"
    return KeyVerdict(ok(check, f"valid, lists {count}"), frozenset(e.id for e in entries))


def _refused(upstream: UpstreamSettings, check: str, answer: HttpAnswer) -> Finding:
    codes = error_codes(answer.body)
    said = f"{answer.status} {codes[0]}" if codes else str(answer.status)
    status = answer.status
    if not _BAD_KEY.isdisjoint(codes) or status == 401:
        return problem(check, f"refused ({said})", _new_key(upstream))
    if not _WRONG_PLACE.isdisjoint(codes):
        return problem(
            check,
            f"{upstream.name} does not serve the place where this machine is ({said})",
            "Run the proxy elsewhere, or set UPSTREAM_PROXY to an HTTP proxy elsewhere.",
        )
    for code in codes:
        if code in _RESTRICTED:
            return problem(check, f"{_RESTRICTED[code]} ({said})", _mend_key(upstream))
    if not _NO_CREDIT.isdisjoint(codes) or status == 402:
        return problem(
            check,
            f"its credit is used up ({said})",
            f"Add credit at {upstream.name}, or take another key.",
        )
    if not _NO_SCOPE.isdisjoint(codes):
        return warning(
            check,
            f"accepted, but it may not list models ({said}), so no more can be told",
            "If its models answer, leave it; a key with the right to read models keeps"
            " GET /v1/models up to date.",
        )
    if status == 403:
        return problem(check, f"refused ({said})", _mend_key(upstream))
    return _without_verdict(upstream, check, status=status, said=said)


def _without_verdict(upstream: UpstreamSettings, check: str, *, status: int, said: str) -> Finding:
    if status in (404, 405):
        return _no_list(upstream, check, said)
    if status == 407:
        return problem(
            check,
            "the outbound proxy wants other credentials (407)",
            proxy_password(upstream),
        )
    if status == 429:
        return warning(
            check, f"limited at this moment ({said})", "Wait a little and run the doctor again."
        )
    if status >= 500:
        return warning(
            check,
            f"{upstream.name} itself fails at this moment ({said})",
            "Look at its status page, and run the doctor again later.",
        )
    return warning(check, f"an unexpected answer ({said}), so nothing can be told")


def _no_list(upstream: UpstreamSettings, check: str, said: str) -> Finding:
    setting = upstream.url_setting
    if upstream.name in (OPENAI, GEMINI):
        version = "/v1beta" if upstream.name == GEMINI else "/v1"
        return problem(
            check,
            f"no list of models under this base URL ({said})",
            f"Is the {version} at the end of {setting} missing, or doubled?",
        )
    return warning(
        check,
        f"{upstream.name} gives no list of models ({said}), so the key was not tried",
        f"If calls fail too: is the /v1 (or the like) at the end of {setting} missing?",
    )


def proxy_password(upstream: UpstreamSettings) -> str:
    """Return the advice for an outbound proxy that wants other credentials."""
    setting = "UPSTREAM_PROXY" if upstream.proxy is None else upstream.proxy.setting
    return f"Put user name and password into {setting}: http://user:password@host:3128"


def _new_key(upstream: UpstreamSettings) -> str:
    console = _CONSOLES.get(upstream.name)
    where = f" Keys are made at {console}" if console else ""
    until = "calls to it fail" if len(upstream.keys) == 1 else "calls go on with the others"
    return (
        f"Put a valid key into {upstream.key_setting} and start the server again; until then"
        f" {until}.{where}"
    )


def _mend_key(upstream: UpstreamSettings) -> str:
    console = _CONSOLES.get(upstream.name, "the upstream's console")
    return f"Change what the key is allowed, or make another one, at {console}"
