"""The built-in model as a transport."""

import pytest

from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstream_client.local import EchoTransport
from tests.upstream_client.test_transport import Sink


async def test_built_in_model_answers_without_a_network() -> None:
    transport = EchoTransport()
    body = b'{"model":"jarvis-echo","messages":[{"role":"user","content":"Hi there"}]}'
    head = {"x-jarvis-call": "abc", "x-jarvis-created": "1700000000"}
    reply = await transport.send(UpstreamRequest("POST", "/chat/completions", head, body), None)

    whole = await reply.readany()
    assert reply.status == 200
    assert reply.headers == {"content-type": "application/json"}
    assert b'"id":"chatcmpl-abc"' in whole
    assert b"Hi there" in whole
    assert await reply.readany() == b""
    reply.release_at_end()
    reply.close()
    await transport.close()


async def test_built_in_model_streams_word_by_word() -> None:
    body = b'{"model":"jarvis-echo","stream":true,"messages":[{"role":"user","content":"a b c"}]}'
    reply = await EchoTransport().send(UpstreamRequest("POST", "/chat/completions", {}, body), None)

    sink = Sink()
    while await reply.stream_to(sink):
        pass

    assert len(sink.pieces) == 6  # the role, three words, the finish reason, [DONE]
    assert sink.pieces[-1] == b"data: [DONE]\n\n"


async def test_built_in_model_refuses_what_is_no_conversation() -> None:
    with pytest.raises(ProxyError) as caught:
        await EchoTransport().send(
            UpstreamRequest("POST", "/chat/completions", {}, b'{"messages":5}'), None
        )

    assert (caught.value.status, caught.value.param) == (400, "messages")
