"""What passes between the shell and the upstreams."""

from jarvis_proxy.canonical.exchange import (
    NOTHING_NEEDED,
    Decoded,
    EmptyAnswerError,
    Prerequisites,
    RetryableError,
)


def test_what_was_decoded_is_taken_once() -> None:
    value = object()
    decoded = Decoded(value, 10)

    assert decoded.peek() is value
    assert decoded.take() is value
    assert (decoded.take(), decoded.peek(), decoded.size) == (None, None, 10)


def test_what_is_needed_is_compared_without_what_was_decoded() -> None:
    assert Prerequisites(decoded=Decoded("x", 1)) == NOTHING_NEEDED
    assert Prerequisites(urls=("https://host/a",)) != NOTHING_NEEDED
    assert "secret" not in repr(Prerequisites(decoded=Decoded("secret", 1)))


def test_an_empty_answer_may_be_asked_for_again() -> None:
    assert isinstance(EmptyAnswerError(502, "It said nothing."), RetryableError)
