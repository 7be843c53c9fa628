"""What the answers of an address say about the way from a client to the proxy. Pure."""

from dataclasses import dataclass
from typing import Final

import msgspec

from jarvis_proxy.catalog import parse_openai_models
from jarvis_proxy.doctor.checks.intermediaries import find_intermediaries, names
from jarvis_proxy.doctor.findings import Finding, ok, problem, skipped, warning
from jarvis_proxy.doctor.net.http_answer import HttpAnswer, error_codes, printable_url
from jarvis_proxy.doctor.net.proxy_url import ProxyUrl
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.settings_addresses import is_local

SERVICE: Final = "jarvis-openai-proxy"

_CLOUDFLARE: Final = {
    520: "its server answers nothing that makes sense",
    521: "its server refuses the connection",
    522: "its server does not answer",
    523: "its server cannot be reached",
    524: "its server answers too late",
    525: "the TLS handshake with its server fails",
    526: "its server's certificate is not valid",
    530: "the name of its server, or its tunnel, does not work",
}


class _Health(msgspec.Struct):
    service: str = ""


@dataclass(frozen=True, slots=True)
class CheckTarget:
    """Which address was visited; *here*: it is this machine's own server, asked directly."""

    site: ProxyUrl
    here: bool


def is_ours(answer: HttpAnswer) -> bool:
    """Tell whether an answer to GET /health is this proxy's."""
    try:
        return msgspec.json.decode(answer.body, type=_Health).service == SERVICE
    except (ValueError, RecursionError):
        return False


def encryption(site: ProxyUrl) -> Finding:
    """Return whether what is sent to *site* can be read on the way."""
    check = "encryption"
    if site.scheme == "https":
        return ok(check, "HTTPS")
    if is_local(site.host):
        return ok(check, "plain HTTP, inside this network")
    return warning(
        check,
        "plain HTTP to a public address: keys and prompts can be read on the way",
        "Serve HTTPS (deploy/Caddyfile gets a certificate by itself). Web pages served by HTTPS"
        " cannot call this address at all.",
    )


def evaluate_health(site: ProxyUrl, answer: HttpAnswer) -> Finding:
    """Return the finding for an answer to GET /health without a key."""
    check = "health"
    hops = find_intermediaries(answer.headers)
    who = names(hops) if hops else "what"
    status = answer.status
    if status == 200 and is_ours(answer):
        through = f", through {names(hops)}" if hops else ""
        return ok(check, f"the proxy answers{through}")
    if 300 <= status < 400:
        return _redirected(check, answer)
    if status in _CLOUDFLARE:
        return problem(
            check,
            f"{status}: Cloudflare says that {_CLOUDFLARE[status]}",
            "Is the proxy running, does Cloudflare's DNS record (or tunnel) lead to it, and does"
            " its SSL mode fit (Full needs HTTPS on the server)?",
        )
    if status in (502, 503, 504):
        return problem(
            check,
            f"{status}: {who} answers, but does not reach the proxy behind it",
            "Is the proxy running, and does proxy_pass (or the like) name its HOST and PORT?",
        )
    if status in (401, 403, 407) or answer.header("cf-mitigated"):
        return problem(
            check,
            f"{status}: {who} answers, and wants a login or a browser",
            "Take the login, the access rule or the bot check off for this address: API clients"
            " cannot pass it. The proxy asks for a key itself.",
        )
    if status == 400 and b"HTTPS port" in answer.body:
        return problem(
            check, "400: this port speaks HTTPS", f"Use https://: {_with_scheme(site, 'https')}"
        )
    where = f" under {site.path}" if site.path else ""
    return problem(
        check,
        f"{status} ({answer.content_type}): {who} answers, but it is not this proxy",
        f"Does this address lead to the proxy, with nothing else at /health{where}?",
    )


def _redirected(check: str, answer: HttpAnswer) -> Finding:
    place = printable_url(answer.header("location")).removesuffix("/health")
    return problem(
        check,
        f"{answer.status}: this address redirects to {place}",
        "Give clients that address in place of this one: many of them lose the key or the body on"
        " a redirect. Then run the doctor with it.",
    )


def _with_scheme(site: ProxyUrl, scheme: str) -> str:
    return ProxyUrl(scheme, site.host, site.port, site.path).url


def evaluate_auth(without_key: HttpAnswer, wrong_key: HttpAnswer) -> Finding:
    """Return the finding for two answers to GET /v1/models: without a key, and with a wrong one."""
    check = "auth"
    for what, answer in (("without a key", without_key), ("with a wrong key", wrong_key)):
        if answer.status == 401 and "invalid_api_key" in error_codes(answer.body):
            continue
        hops = find_intermediaries(answer.headers)
        if answer.status == 200:
            who = f" ({names(hops)})" if hops else ""
            return problem(
                check,
                f"a request {what} is let in",
                f"Does the reverse proxy{who} put a key of its own into requests? Take that out, or"
                " everyone who finds the address spends your upstream keys.",
            )
        who = names(hops) if hops else "somebody in between"
        return problem(
            check,
            f"{answer.status} and not the proxy's 401 for a request {what}: {who} answers",
            "Let that server pass on every path below this address as it came.",
        )
    return ok(check, "no key and a wrong key get 401")


def evaluate_models(visit: CheckTarget, bearer: HttpAnswer, api_key: HttpAnswer | None) -> Finding:
    """Return the finding for GET /v1/models with a good key.

    *api_key* is the answer when the key came as ``x-api-key``, asked where *bearer* is a 401.
    """
    check = "models"
    if bearer.status == 401 and api_key is not None and api_key.status == 200:
        who = names(find_intermediaries(bearer.headers))
        return problem(
            check,
            f"the key arrives as x-api-key, but not as Authorization: {who} drops that header",
            "Let it pass on; nginx, for example, inside the location:",
            "proxy_set_header Authorization $http_authorization;",
        )
    if bearer.status == 401:
        return problem(
            check,
            "401: the key is refused",
            "Was .env changed after the start? Then start the server again."
            if visit.here
            else "Was .env changed after the start, or does another server answer there? Start it"
            " again; on another machine set JARVIS_KEY to a key of that server.",
        )
    if bearer.status != 200:
        return problem(check, f"{bearer.status} ({bearer.content_type}) in place of the list")
    try:
        number = len(parse_openai_models(bearer.body))
    except ProxyError:
        return problem(check, f"200, but no list of models ({bearer.content_type})")
    count = f"{number} model{'' if number == 1 else 's'}"
    if stale := bearer.header("x-jarvis-warning"):
        return warning(
            check, f"{count}; {stale[:200]}", "The section on upstreams says more about it."
        )
    return ok(check, count)


def evaluate_large_body(answer: HttpAnswer) -> Finding:
    """Return the finding for a request of 1.5 MB, as large as one with a picture."""
    check = "large request"
    if answer.status == 200:
        return ok(check, "1.5 MB pass")
    if "request_too_large" in error_codes(answer.body):
        return skipped(check, "MAX_BODY_MB allows no 1.5 MB")
    hops = find_intermediaries(answer.headers)
    if answer.status == 413:
        settings = [hop.body_limit for hop in hops if hop.body_limit]
        return warning(
            check,
            f"413: {names(hops)} refuses 1.5 MB, so pictures and long conversations will fail",
            "Raise its limit on request bodies above MAX_BODY_MB"
            + (":" if settings else "; the proxy keeps its own limit."),
            "\n".join(settings),
        )
    return warning(check, f"{answer.status} ({answer.content_type}) for a request of 1.5 MB")
