"""Who stands between a client and the proxy, by the headers that they leave. Pure.

The proxy itself sends no ``Server`` and no ``Via``: whoever is named there is in between.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_NGINX: Final = """\
location / {
    proxy_pass http://127.0.0.1:9000;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_buffering off;
    proxy_cache off;
    gzip off;
}"""
_APACHE: Final = """\
ProxyPass / http://127.0.0.1:9000/ flushpackets=on
SetEnv no-gzip 1"""
_CADDY: Final = """\
reverse_proxy 127.0.0.1:9000 {
    flush_interval -1
}"""


@dataclass(frozen=True, slots=True)
class Intermediary:
    """Somebody in between: *streaming* says what lets event streams through there."""

    name: str
    streaming: str
    example: str = ""
    body_limit: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    hop: Intermediary
    signs: tuple[tuple[str, str], ...]
    """Header names, and patterns of which one is found in the value."""


def _row(hop: Intermediary, *signs: tuple[str, str]) -> _Row:
    return _Row(hop, signs)


_BEHIND_CDN: Final = (
    " If that is so already, the server behind it holds the stream: run this test against that"
    " server directly, with --url http://ITS-ADDRESS:PORT."
)
_NGINX_LIMIT: Final = "client_max_body_size 80m;"

_TABLE: Final = (
    _row(
        Intermediary(
            "Cloudflare",
            "Cloudflare passes event streams on as they come, unless Response Buffering is on or a"
            " Worker reads the whole answer: turn that off." + _BEHIND_CDN,
            body_limit="Cloudflare's own limit is 100 MB and more, so it is the server behind it;"
            f" nginx: {_NGINX_LIMIT}",
        ),
        ("cf-ray", ""),
        ("server", "cloudflare"),
    ),
    _row(
        Intermediary(
            "Amazon CloudFront",
            "Give the path a behaviour with the cache policy CachingDisabled and without"
            " compression." + _BEHIND_CDN,
        ),
        ("x-amz-cf-id", ""),
        ("via", "cloudfront"),
    ),
    _row(
        Intermediary(
            "Amazon API Gateway",
            "HTTP APIs of API Gateway collect the whole answer: put a load balancer in its place,"
            " or use a REST API with response streaming.",
        ),
        ("apigw-requestid", ""),
        ("x-amz-apigw-id", ""),
    ),
    _row(
        Intermediary(
            "Fastly",
            "Set beresp.do_stream = true and pass the path without caching." + _BEHIND_CDN,
        ),
        ("x-served-by", "^cache-"),
        ("x-fastly-request-id", ""),
    ),
    _row(
        Intermediary(
            "Azure Front Door",
            "Turn caching and compression off for the route." + _BEHIND_CDN,
        ),
        ("x-azure-ref", ""),
    ),
    _row(
        Intermediary(
            "Alibaba Cloud CDN",
            "Turn caching, range requests to the origin and page optimisation off for the"
            " path; its dynamic acceleration (DCDN, ESA) lets streams through." + _BEHIND_CDN,
        ),
        ("eagleid", ""),
        ("via", r"\b(?:ens-)?cache\d*\.[a-z]"),
    ),
    _row(
        Intermediary(
            "Tencent EdgeOne",
            "Turn caching and smart compression off for the path." + _BEHIND_CDN,
        ),
        ("eo-log-uuid", ""),
        ("server", "edgeone"),
    ),
    _row(
        Intermediary(
            "Vercel", "Rewrites to another server stream; functions must return the stream itself."
        ),
        ("x-vercel-id", ""),
    ),
    _row(
        Intermediary(
            "Google's load balancer",
            "It streams by itself: turn Cloud CDN off for the path." + _BEHIND_CDN,
        ),
        ("via", r"\bgoogle\b"),
        ("server", "^(?:gws|google frontend)"),
    ),
    _row(
        Intermediary(
            "nginx",
            "Set proxy_http_version 1.1, proxy_buffering off and gzip off where nginx passes on to"
            " the proxy, and take out any proxy_ignore_headers X-Accel-Buffering. Of two nginx in a"
            " row, both need it: the inner one keeps the X-Accel-Buffering header to itself. Then:"
            " nginx -s reload (deploy/nginx.conf is a whole file that does it).",
            _NGINX,
            _NGINX_LIMIT,
        ),
        ("server", r"^(?:nginx|openresty|tengine|angie|freenginx)\b"),
    ),
    _row(
        Intermediary(
            "Apache",
            "Let ProxyPass flush each packet, and keep mod_deflate away from event streams.",
            _APACHE,
            "LimitRequestBody 83886080",
        ),
        ("server", "^apache"),
    ),
    _row(
        Intermediary(
            "Caddy",
            "Set flush_interval -1 in reverse_proxy, and no encode for this site"
            " (deploy/Caddyfile does it).",
            _CADDY,
            "request_body { max_size 80MB }",
        ),
        ("server", "^caddy"),
        ("via", r"\bcaddy\b"),
    ),
    _row(
        Intermediary(
            "Envoy",
            "Take the buffer filter and the compressor out of the route to the proxy.",
            body_limit="max_request_bytes of the buffer filter",
        ),
        ("server", "^(?:envoy|istio-envoy)"),
        ("x-envoy-upstream-service-time", ""),
    ),
    _row(
        Intermediary(
            "IIS",
            "In Application Request Routing set the response buffer threshold to 0"
            ' (responseBufferLimit="0").',
            body_limit="maxAllowedContentLength",
        ),
        ("server", "^microsoft-iis"),
        ("x-powered-by", r"\barr\b"),
    ),
    _row(
        Intermediary("LiteSpeed", "Turn its cache and compression off for this site."),
        ("server", "^(?:openlitespeed|litespeed)"),
    ),
    _row(
        Intermediary(
            "lighttpd", "Set server.stream-response-body = 2.", "server.stream-response-body = 2"
        ),
        ("server", "^lighttpd"),
    ),
    _row(
        Intermediary(
            "Varnish",
            "Set beresp.do_stream = true, or pipe the path.",
            "set beresp.do_stream = true;",
        ),
        ("x-varnish", ""),
        ("via", "varnish"),
    ),
    _row(
        Intermediary("Squid", "Go around it for this host: it keeps answers together."),
        ("via", "squid"),
        ("x-squid-error", ""),
    ),
)

UNNAMED: Final = Intermediary(
    "something on the way that does not name itself",
    "Look at every reverse proxy, CDN, tunnel and virus scanner between this machine and the"
    " proxy, and turn response buffering and compression off for text/event-stream. Run the test"
    " on the server itself, with --url http://127.0.0.1:PORT, to see that the proxy is not it.",
)
_UNKNOWN_ADVICE: Final = "Turn response buffering and compression off for text/event-stream there."


def find_intermediaries(headers: Mapping[str, str]) -> tuple[Intermediary, ...]:
    """Return who left a sign in *headers* (names in lower case): CDNs first, then servers."""
    known = tuple(row.hop for row in _TABLE if any(_is_found(headers, *sign) for sign in row.signs))
    if known:
        return known
    server = headers.get("server") or headers.get("via", "")
    if re.fullmatch(r"[ -~]{1,60}", server):
        return (Intermediary(server, _UNKNOWN_ADVICE),)
    return ()


def names(hops: tuple[Intermediary, ...]) -> str:
    """Return what to call them in a sentence."""
    return " and ".join(hop.name for hop in hops) or UNNAMED.name


def _is_found(headers: Mapping[str, str], name: str, pattern: str) -> bool:
    value = headers.get(name)
    return value is not None and re.search(pattern, value.lower()) is not None
