"""What joins a client API to an upstream API is there in each of them."""

import inspect
from typing import Any

import pytest

from jarvis_proxy.canonical.adapters import Dialect, ModelFeatures, UpstreamAdapter
from jarvis_proxy.server.upstream_apis import build_dialects
from jarvis_proxy.upstreams.anthropic.upstream import AnthropicUpstream
from jarvis_proxy.upstreams.gemini.upstream import GeminiUpstream


def parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


@pytest.mark.parametrize("adapter", [AnthropicUpstream, GeminiUpstream])
@pytest.mark.parametrize(
    "method", ["features", "canonical_needs", "translate", "needs", "exchange"]
)
def test_each_adapter_takes_what_the_translation_gives(adapter: type, method: str) -> None:
    assert parameters(getattr(adapter, method)) == parameters(getattr(UpstreamAdapter, method))


def test_each_dialect_reads_a_call_for_a_model() -> None:
    for dialect in build_dialects(lambda: "x" * 24).values():
        assert parameters(dialect.read) == parameters(Dialect.read)


def test_unknown_model_answers_in_text_only() -> None:
    assert not any(ModelFeatures())
