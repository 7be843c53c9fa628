"""Errors of answers, whatever the upstream's API."""

import pytest

from jarvis_proxy.canonical import answer_errors as errors
from jarvis_proxy.canonical.exchange import EmptyAnswerError, RetryableError
from jarvis_proxy.errors import ProxyError


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
