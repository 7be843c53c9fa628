"""Who is in between, by real headers."""

import pytest

from jarvis_proxy.doctor.checks.intermediaries import UNNAMED, find_intermediaries, names


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
def test_a_hop_is_known_by_what_it_leaves(headers: dict[str, str], expected: list[str]) -> None:
    found = find_intermediaries(headers)

    assert expected == [hop.name for hop in found]
    assert all(hop.streaming.endswith((".", ")")) for hop in found)


def test_hops_are_named_together_and_nobody_has_a_name_too() -> None:
    both = find_intermediaries({"server": "nginx", "cf-ray": "x"})

    assert names(both) == "Cloudflare and nginx"
    assert UNNAMED.name == names(())


def test_nginx_is_told_its_settings() -> None:
    (nginx,) = find_intermediaries({"server": "nginx"})

    assert "proxy_buffering off;" in nginx.example
    assert "X-Accel-Buffering" in nginx.streaming
    assert nginx.body_limit == "client_max_body_size 80m;"
