"""An upstream as calls reach it: its parts, and no key in its repr."""

from jarvis_proxy.routing.key_pool import KeyPool
from jarvis_proxy.upstream_client.endpoint import UpstreamApi, UpstreamEndpoint
from jarvis_proxy.upstream_client.local import EchoTransport
from jarvis_proxy.upstreams.echo import EchoUpstream


def test_keys_are_not_in_the_repr() -> None:
    pool = KeyPool(("sk-canary-0123456789",))
    endpoint = UpstreamEndpoint(UpstreamApi(EchoUpstream("jarvis"), EchoTransport()), pool)

    assert "canary" not in repr(endpoint)
    assert endpoint.loop_mark == ""


def test_each_upstream_has_breakers_of_its_own() -> None:
    one = UpstreamEndpoint(UpstreamApi(EchoUpstream("one"), EchoTransport()))
    other = UpstreamEndpoint(UpstreamApi(EchoUpstream("other"), EchoTransport()))

    assert one.breakers is not other.breakers
