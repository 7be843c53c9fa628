"""Secrets in answers: each is replaced, and an answer that would show one is none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.dialects.realtime.secrets import with_own_secrets
from jarvis_proxy.errors import ProxyError


def own(secret: str, expires_at: int) -> str:
    return f"ours-{expires_at}"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"value": "ek_1", "expires_at": 50}, {"value": "ours-50", "expires_at": 50}),
        ({"client_secret": {"value": "ek_1"}}, {"client_secret": {"value": "ours-7300"}}),
        (
            {"session": {"client_secret": {"value": "ek_1", "expires_at": 10**9}}},
            {"session": {"client_secret": {"value": "ours-7300", "expires_at": 10**9}}},
        ),
    ],
)
def test_each_secret_is_replaced(answer: dict[str, object], expected: dict[str, object]) -> None:
    assert json.loads(with_own_secrets(json.dumps(answer).encode(), 100.9, own)) == expected


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b'{"value":""}',
        b'{"value":1}',
        b'{"client_secret":"ek_1"}',
        b'{"value":"ek_1","again":"so ek_1"}',
        b"[" * 100_000,
    ],
)
def test_an_answer_without_one_or_with_more_is_refused(answer: bytes) -> None:
    with pytest.raises(ProxyError) as refused:
        with_own_secrets(answer, 100, own)
    assert refused.value.code == "upstream_bad_response"


@given(st.binary(max_size=60))
def test_any_bytes_are_an_answer_or_an_error(answer: bytes) -> None:
    with pytest.raises(ProxyError):
        with_own_secrets(answer, 100, own)
