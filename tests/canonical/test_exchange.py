"""The interface between the shell and the upstreams."""

import pytest

from jarvis_proxy.canonical import exchange as errors
from jarvis_proxy.canonical.call import Decoded
from jarvis_proxy.canonical.exchange import (
    NOTHING_NEEDED,
    EmptyAnswerError,
    Prerequisites,
    RetryableError,
)
from jarvis_proxy.errors import ProxyError


def test_what_is_needed_is_compared_without_what_was_decoded() -> None:
    assert Prerequisites(decoded=Decoded("x", 1)) == NOTHING_NEEDED
    assert Prerequisites(urls=("https://host/a",)) != NOTHING_NEEDED
    assert "secret" not in repr(Prerequisites(decoded=Decoded("secret", 1)))


def test_an_empty_answer_may_be_asked_for_again() -> None:
    assert isinstance(EmptyAnswerError(502, "It said nothing."), RetryableError)


@pytest.mark.parametrize("error", [errors.empty_reply(), errors.empty_answer()])
def test_an_answer_of_nothing_is_worth_a_retry(error: ProxyError) -> None:
    assert isinstance(error, RetryableError)
    assert (error.status, error.code) == (502, "empty_response")


def test_only_an_answer_in_order_is_taken_the_second_time() -> None:
    assert isinstance(errors.empty_answer(), EmptyAnswerError)
    assert not isinstance(errors.empty_reply(), EmptyAnswerError)


@pytest.mark.parametrize("error", [errors.truncated(), errors.bad_frame(), errors.bad_response()])
def test_a_broken_answer_is_the_upstreams_fault(error: ProxyError) -> None:
    assert not isinstance(error, RetryableError)
    assert error.status == 502
    assert str(error.code).startswith("upstream_")
