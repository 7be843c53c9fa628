"""Client secrets: what one stands for comes back whole, and only here, and only in time."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.access.client_secrets import ClientSecret, ClientSecrets


@dataclass
class Key:
    name: str
    digest: bytes


KEYS = [Key("a", bytes(32)), Key("b", bytes([1]) * 32)]
OURS = ClientSecrets(b"s" * 32, KEYS)


@given(st.text(), st.text(), st.integers(1, 2**40))
def test_it_comes_back_whole(model: str, secret: str, expires_at: int) -> None:
    token = OURS.make("b", "openai", model, secret, expires_at)

    found = OURS.find([b"other", token.encode()], expires_at - 1)
    assert found == ClientSecret("b", bytes([1]) * 16, "openai", model, secret, expires_at)
    assert OURS.find([token.encode()], expires_at) is None
    assert token.startswith("ek_")
    assert "=" not in token


@pytest.mark.parametrize(
    "others",
    [
        ClientSecrets(b"t" * 32, KEYS),
        ClientSecrets(b"s" * 32, [Key("a", bytes([2]) * 32)]),
        ClientSecrets(b"s" * 32, [Key("c", bytes(32))]),
    ],
    ids=["another secret", "another digest", "another name"],
)
def test_others_do_not_take_it(others: ClientSecrets) -> None:
    token = OURS.make("a", "openai", "m", "ek_1", 100).encode()

    assert OURS.find([token], 1) is not None
    assert others.find([token], 1) is None


@given(st.integers(0, 1000), st.binary(max_size=2))
def test_a_changed_one_is_none(at: int, piece: bytes) -> None:
    token = OURS.make("a", "openai", "m", "ek_1", 100).encode()
    at %= len(token)
    changed = token[:at] + piece + token[at + 1 :]

    found = OURS.find([changed], 1)
    # The last letter of base64 may have bits that mean nothing.
    assert found is None or found == OURS.find([token], 1)


@given(st.binary())
def test_nothing_else_is_one(token: bytes) -> None:
    assert OURS.find([token, b"ek_" + token], 1) is None
    assert OURS.find([b"ek_" + b"A" * 5000], 1) is None


def test_what_it_holds_cannot_be_read() -> None:
    assert "ek_canary" not in OURS.make("a", "openai", "m", "ek_canary", 100)
