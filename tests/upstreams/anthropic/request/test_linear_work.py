"""The work of writing a request grows with its size and no faster, whatever its shape."""

import pytest

from bench.shapes import Shape
from jarvis_proxy.canonical.translation import TranslatedUpstream
from jarvis_proxy.server.upstream_apis import build_dialects
from jarvis_proxy.upstreams.anthropic.upstream import AnthropicUpstream
from tests.support.recorded_answer import ids_in_order
from tests.test_linear_work import ENDPOINTS, SHAPES, calls_of
from tests.upstreams.anthropic.upstream import new_call

pytestmark = pytest.mark.slow

MINE = [shape for shape in SHAPES if "embeddings" not in shape.path]


def write(shape: Shape, body: bytes) -> None:
    """Write the request that *body* becomes."""
    adapter = AnthropicUpstream("anthropic", new_id=ids_in_order())
    upstream = TranslatedUpstream(adapter, build_dialects(ids_in_order()))
    call = new_call(endpoint=ENDPOINTS[shape.path], body=body)
    upstream.exchange(call, {}, upstream.needs(call).decoded)


@pytest.mark.parametrize("shape", MINE, ids=lambda shape: shape.name)
def test_twice_the_request_is_twice_the_work(shape: Shape) -> None:
    small, large = shape.body(80_000), shape.body(160_000)
    few, _ = calls_of(lambda: write(shape, small))
    many, is_refused = calls_of(lambda: write(shape, large))

    # A refused request may stop anywhere, so its work has only an upper end.
    assert many <= 2.3 * few * len(large) / (2 * len(small)) + 2000 or is_refused
    assert many <= 12 * (25_000 + len(large))
