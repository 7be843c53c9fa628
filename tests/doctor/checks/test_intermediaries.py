"""Who is in between, by real headers."""

import pytest

from jarvis_proxy.doctor.checks.intermediaries import (
    Intermediary,
    describe_intermediaries,
    find_intermediaries,
)
from jarvis_proxy.doctor.net.http_answer import HttpAnswer


def found_in(headers: dict[str, str]) -> tuple[Intermediary, ...]:
    return find_intermediaries(HttpAnswer(200, headers))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, []),
        ({"date": "x", "content-type": "text/event-stream"}, []),
        ({"server": "nginx"}, ["nginx"]),
        ({"server": "nginx/1.22.1"}, ["nginx"]),
        ({"server": "openresty/1.25.3.1"}, ["nginx"]),
        ({"server": "Tengine"}, ["nginx"]),
        ({"server": "cloudflare", "cf-ray": "8f1-FRA"}, ["Cloudflare"]),
        ({"server": "nginx", "cf-ray": "8f1-FRA"}, ["Cloudflare", "nginx"]),
        (
            {"via": "1.1 0a1b.cloudfront.net (CloudFront)", "x-amz-cf-id": "x"},
            ["Amazon CloudFront"],
        ),
        ({"apigw-requestid": "x"}, ["Amazon API Gateway"]),
        ({"x-served-by": "cache-fra-1"}, ["Fastly"]),
        ({"x-azure-ref": "x"}, ["Azure Front Door"]),
        ({"server": "Tengine", "eagleid": "x"}, ["Alibaba Cloud CDN", "nginx"]),
        ({"via": "ens-cache12.l2de2[0,0,200-0,H]"}, ["Alibaba Cloud CDN"]),
        ({"eo-log-uuid": "1"}, ["Tencent EdgeOne"]),
        ({"x-vercel-id": "fra1"}, ["Vercel"]),
        ({"via": "1.1 google"}, ["Google's load balancer"]),
        ({"server": "Apache/2.4.57 (Debian)"}, ["Apache"]),
        ({"server": "Caddy"}, ["Caddy"]),
        ({"via": "1.1 Caddy"}, ["Caddy"]),
        ({"server": "envoy"}, ["Envoy"]),
        ({"server": "Microsoft-IIS/10.0", "x-powered-by": "ARR/3.0"}, ["IIS"]),
        ({"server": "LiteSpeed"}, ["LiteSpeed"]),
        ({"server": "lighttpd/1.4.69"}, ["lighttpd"]),
        ({"via": "1.1 varnish (Varnish/7.1)", "x-varnish": "3"}, ["Varnish"]),
        ({"via": "1.1 proxy (squid/5.7)"}, ["Squid"]),
        ({"server": "MyGateway/3"}, ["MyGateway/3"]),
        ({"via": "1.1 office-proxy"}, ["1.1 office-proxy"]),
        ({"server": "\x1b[31mred"}, []),
        ({"server": "x" * 61}, []),
    ],
)
def test_intermediary_is_recognised_by_its_headers(
    headers: dict[str, str], expected: list[str]
) -> None:
    found = found_in(headers)

    assert expected == [each.name for each in found]
    assert all(each.streaming.endswith((".", ")")) for each in found)


def test_intermediaries_are_named_together_and_each_has_its_advice() -> None:
    both = describe_intermediaries(HttpAnswer(200, {"server": "nginx", "cf-ray": "x"}))

    assert (both["who"], both["through"]) == (
        "Cloudflare and nginx",
        ", through Cloudflare and nginx",
    )
    assert both["streaming_advice"].startswith("Cloudflare: ")
    assert " the server behind it delays the stream" in both["streaming_advice"]
    assert " nginx: Set proxy_http_version 1.1" in both["streaming_advice"]
    assert both["body_limits"].endswith("\nclient_max_body_size 80m;")


def test_unnamed_intermediary_has_a_name_and_advice() -> None:
    described = describe_intermediaries(HttpAnswer(200, {}))

    assert (described["who"], described["through"]) == ("an unnamed server", "")
    assert "every reverse proxy" in described["streaming_advice"]
    assert (described["streaming_example"], described["body_limits"]) == ("", "")


def test_cloudflare_statuses_have_descriptions() -> None:
    described = describe_intermediaries(HttpAnswer(522, {"cf-ray": "x"}))

    assert described["cloudflare_error"] == "its server does not answer"
    assert describe_intermediaries(HttpAnswer(502, {}))["cloudflare_error"] == ""


def test_advice_for_nginx_has_its_settings() -> None:
    (nginx,) = found_in({"server": "nginx"})

    assert "proxy_buffering off;" in nginx.example
    assert "X-Accel-Buffering" in nginx.streaming
    assert nginx.body_limit == "client_max_body_size 80m;"
