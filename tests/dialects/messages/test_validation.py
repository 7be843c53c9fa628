"""Row R33: requests that cannot be read are refused in Anthropic's words."""

import pytest

from jarvis_proxy.dialects.messages.request import read_request
from jarvis_proxy.errors import ProxyError


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"model": "m", "max_tokens": 1, "messages": [', "The body is not valid JSON"),
        (b"[]", "The request body must be a JSON object."),
        (b'{"model": "m", "max_tokens": 1}', "messages: Field required"),
        (b'{"max_tokens": 1, "messages": []}', "model: Field required"),
        (b'{"model":"m","max_tokens":1,"messages":[]}', "messages: at least one message is"),
        (b'{"model":"m","max_tokens":1,"messages":[{"role":"user"}]}', "messages.0.content: Field"),
        (
            b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{}]}]}',
            "messages.0.content.0.type: Field required",
        ),
        (
            b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":7}]}',
            "messages.0.content: Input should be a valid string",
        ),
        (b'{"model":"m","max_tokens":1,"x":' + b"[" * 5000, "The body is nested too deeply"),
        (b'{"model":"m","x":[' + b"0," * 500_001 + b"0]}", "There are too many JSON values"),
        (
            b'{"model":"m","max_tokens":1,"messages":['
            + b",".join([b'{"role":"user","content":""}'] * 20_001)
            + b"]}",
            "Invalid 'messages': array too long",
        ),
    ],
)
def test_a_body_that_cannot_be_read(raw: bytes, message: str) -> None:
    with pytest.raises(ProxyError, match=message.replace(".", r"\.")) as caught:
        read_request(raw)
    assert caught.value.status == 400
