"""The cipher: what is sealed opens here only, unchanged only."""

from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.canonical.siv_cipher import SivCipher

OURS = SivCipher(b"key", b"purpose")


@given(st.binary(max_size=300))
def test_sealed_bytes_open_here_only(plain: bytes) -> None:
    sealed = OURS.seal(plain)

    assert OURS.open(sealed) == plain
    assert SivCipher(b"other", b"purpose").open(sealed) is None
    assert SivCipher(b"key", b"another").open(sealed) is None
    assert len(sealed) == len(plain) + 32


@given(st.binary(max_size=100), st.integers(0), st.integers(1, 255))
def test_any_changed_byte_closes_it(plain: bytes, at: int, change: int) -> None:
    sealed = bytearray(OURS.seal(plain))
    sealed[at % len(sealed)] ^= change

    assert OURS.open(bytes(sealed)) is None


@given(st.binary(max_size=40))
def test_any_bytes_are_taken(sealed: bytes) -> None:
    assert OURS.open(sealed) is None


def test_equal_texts_give_equal_bytes_and_others_do_not() -> None:
    assert OURS.seal(b"a") == OURS.seal(b"a")
    assert OURS.seal(b"a")[:32] != OURS.seal(b"b")[:32]
