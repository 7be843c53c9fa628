"""A call is a value: nobody on its way can change it."""

import pytest

from jarvis_proxy.canonical.call import Decoded
from tests.canonical.fakes import a_call


def test_a_call_cannot_be_changed() -> None:
    call = a_call(b"x")
    with pytest.raises(AttributeError):
        call.body = b"y"  # type: ignore[misc]

    assert call.body == b"x"


def test_calls_without_headers_share_none() -> None:
    first, second = a_call(), a_call()

    assert first.headers == {}
    assert first.headers is not second.headers


def test_what_was_decoded_is_taken_once() -> None:
    value = object()
    decoded = Decoded(value, 10)

    assert decoded.peek() is value
    assert decoded.take() is value
    assert (decoded.take(), decoded.peek(), decoded.size) == (None, None, 10)
