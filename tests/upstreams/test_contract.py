"""Every upstream keeps the contract: it describes a chat call and sends nothing."""

import json

import pytest

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import Upstream, UpstreamRequest
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.echo import EchoUpstream
from jarvis_proxy.upstreams.openai import OpenAIUpstream
from tests.support.translated import gemini

UPSTREAMS: tuple[Upstream, ...] = (
    OpenAIUpstream("openai"),
    gemini(),
    EchoUpstream("jarvis"),
)
by_name = pytest.mark.parametrize("upstream", UPSTREAMS, ids=lambda upstream: upstream.name)


def call(endpoint: str = "chat/completions", *, stream: bool = True) -> Call:
    body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
    return Call(
        endpoint=endpoint,
        model="m",
        target_model="m",
        stream=stream,
        body=json.dumps(body).encode(),
        id="b" * 24,
        created=1,
        now=0.0,
    )


@by_name
def test_a_chat_call_is_described_and_nothing_is_sent(upstream: Upstream) -> None:
    assert upstream.needs(call()) == type(upstream.needs(call()))()
    exchange = upstream.exchange(call(), {})
    (request,) = exchange.requests

    assert isinstance(request, UpstreamRequest)
    assert request.path.startswith("/")
    assert b"Hi" in request.body
    # The shell adds them: no translator ever sees a key.
    assert not {"authorization", "x-goog-api-key"} & {name.lower() for name in request.headers}


@by_name
def test_a_stream_that_says_nothing_is_never_complete(upstream: Upstream) -> None:
    translator = upstream.exchange(call(), {}).stream_translator()

    with pytest.raises(ProxyError):
        translator.feed_eof()
    assert not translator.done


@pytest.mark.parametrize("upstream", UPSTREAMS[1:], ids=["gemini", "jarvis"])
def test_an_endpoint_that_is_not_served_is_refused(upstream: Upstream) -> None:
    with pytest.raises(ProxyError) as refused:
        upstream.exchange(call("audio/speech"), {})

    assert (refused.value.status, refused.value.code) == (400, "unsupported_endpoint")


def test_a_call_cannot_be_changed_by_who_shapes_it() -> None:
    with pytest.raises(AttributeError):
        call().model = "other"  # type: ignore[misc]
