"""Wire types of a Messages request: what passes as it came, and what is skipped."""

import msgspec
import pytest
from msgspec import Raw

from jarvis_proxy.dialects.messages.types import Request, Tool, is_given


@pytest.mark.parametrize(
    ("raw", "given"),
    [(b"", False), (b"null", False), (b"0", True), (b'""', True), (b"{}", True)],
)
def test_what_is_null_is_not_given(raw: bytes, given: bool) -> None:
    assert is_given(Raw(raw)) is given


def test_a_raw_field_keeps_its_bytes() -> None:
    tool = msgspec.json.decode(b'{"name":"f","strict": true,"cache_control":{ "a" :1}}', type=Tool)

    assert (bytes(tool.strict), bytes(tool.cache_control)) == (b"true", b'{ "a" :1}')
    assert not is_given(tool.input_examples)


def test_unknown_fields_are_skipped() -> None:
    body = b'{"messages":[{"role":"user","content":"hi","x":1}],"y":[{}]}'

    assert msgspec.json.decode(body, type=Request).messages[0].content == "hi"
