"""Who is calling: every place a key may stand in, and nothing that can make it fail."""

import hashlib
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from jarvis_proxy.access.client_keys import ClientKeys, presented_keys

KEY = "test-key-0123456789abcdef"


@dataclass(frozen=True)
class Key:
    name: str
    secret: bytes = field(repr=False)

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.secret).digest()


RING = ClientKeys(
    [Key("laptop", KEY.encode()), Key("phone", b"other-key"), Key("bytes", b"\xff\xfe")]
)


def caller(*fields: tuple[str, str], query: str | None = None) -> str | None:
    return RING.authenticate(presented_keys(CIMultiDict(fields), query))


@pytest.mark.parametrize(
    "value",
    [
        f"Bearer {KEY}",
        f"bearer {KEY}",
        f"BEARER {KEY}",
        f"bEaReR   {KEY}",
        f"  Bearer {KEY}  ",
        KEY,
        f" {KEY} ",
    ],
)
@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_authorization_counts_in_any_case_with_or_without_bearer(name: str, value: str) -> None:
    assert caller((name, value)) == "laptop"


@pytest.mark.parametrize("name", ["x-api-key", "X-Api-Key", "api-key", "x-goog-api-key"])
@pytest.mark.parametrize("value", [KEY, f" {KEY}\t"])
def test_key_headers_of_other_apis_count(name: str, value: str) -> None:
    assert caller((name, value)) == "laptop"


def test_key_in_the_query_counts() -> None:
    assert caller(query=KEY) == "laptop"


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("Authorization", "")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer ")],
        [("Authorization", "   ")],
        [("x-api-key", "")],
        [("x-api-key", "   ")],
    ],
)
@pytest.mark.parametrize("query", [None, ""])
def test_request_without_a_key_presents_none(
    fields: list[tuple[str, str]], query: str | None
) -> None:
    assert presented_keys(CIMultiDict(fields), query) == ()


@pytest.mark.parametrize(
    "value",
    [
        "Bearer wrong",
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        f"Bearer {KEY.upper()}",
        f"Basic {KEY}",
        f"Bearer,{KEY}",
        f"Bearer{KEY}",
        f"Bearer Bearer {KEY}",
        f"Bearer {KEY} {KEY}",
        "Bearer \udcff",
        "\udcff\udc80 \udcff",
        "Bearer ключ",
        "Bearer " + "x" * 100_000,
        "\0",
    ],
)
def test_wrong_or_malformed_key_is_not_authenticated(value: str) -> None:
    assert caller(("Authorization", value)) is None
    assert caller(("x-api-key", value)) is None


def test_key_of_bytes_that_are_no_utf8_is_compared_as_bytes() -> None:
    """aiohttp hands such bytes over as surrogates."""
    value = b"Bearer \xff\xfe".decode("utf-8", "surrogateescape")

    assert caller(("Authorization", value)) == "bytes"


@pytest.mark.parametrize("name", ["Authorization", "x-api-key"])
def test_of_a_header_that_comes_twice_each_value_counts(name: str) -> None:
    assert caller((name, "wrong"), (name, KEY)) == "laptop"


def test_first_right_key_names_the_caller() -> None:
    both = [("Authorization", f"Bearer {KEY}"), ("x-api-key", "other-key")]

    assert caller(*both, query="wrong") == "laptop"
    assert caller(("Authorization", "Bearer nothing"), both[1]) == "phone"


def test_every_presented_key_is_found_in_order() -> None:
    headers = CIMultiDict(
        [
            ("X-Goog-Api-Key", "d"),
            ("api-key", "c"),
            ("x-api-key", "b"),
            ("authorization", "Bearer a"),
        ]
    )

    assert presented_keys(headers, None) == (b"a", b"b", b"c", b"d")
    assert presented_keys(CIMultiDict([("api-key", "c")]), "e") == (b"c", b"e")


def test_a_key_that_stands_in_several_places_is_one() -> None:
    headers = CIMultiDict([("Authorization", "Bearer a"), ("x-api-key", "a"), ("api-key", "b")])

    assert presented_keys(headers, "a") == (b"a", b"b")


@pytest.mark.parametrize("name", ["Authorization", "x-api-key", "api-key", "x-goog-api-key"])
def test_at_most_four_keys_of_a_request_are_compared(name: str) -> None:
    wrong = [(name, f"wrong {n}") for n in range(56)]

    assert len(presented_keys(CIMultiDict(wrong), "query")) == 4
    assert caller(*wrong[:3], (name, KEY)) == "laptop"
    assert caller(*wrong[:4], (name, KEY)) is None


def test_a_key_may_stand_among_the_subprotocols_of_a_websocket() -> None:
    offered = "realtime, OpenAI-Insecure-Api-Key.a,openai-insecure-api-key."
    headers = CIMultiDict(
        [
            ("Sec-WebSocket-Protocol", offered),
            ("Sec-WebSocket-Protocol", f"x,openai-insecure-api-key.{KEY}"),
        ]
    )

    assert presented_keys(headers, None) == (b"a", KEY.encode())
    assert caller(*headers.items()) == "laptop"


def test_without_keys_nobody_is_authenticated() -> None:
    assert ClientKeys([]).authenticate([b"", KEY.encode()]) is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["Authorization", "x-api-key"]), st.binary())))
def test_no_header_bytes_can_raise_or_get_in(fields: list[tuple[str, bytes]]) -> None:
    headers = [(name, value.decode("utf-8", "surrogateescape")) for name, value in fields]

    assert caller(*headers) in (None, "bytes")  # two bytes are soon guessed


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_key_is_recognised_again(secret: str) -> None:
    ring = ClientKeys([Key("anyone", secret.encode())])

    assert ring.authenticate(presented_keys(CIMultiDict(), secret)) == "anyone"


@dataclass(frozen=True)
class Digest:
    """A key that is known by its digest only."""

    name: str
    digest: bytes


@pytest.mark.parametrize("byte", range(32))
def test_every_byte_of_a_digest_is_compared(byte: int) -> None:
    digest = bytearray(hashlib.sha256(b"presented").digest())
    digest[byte] ^= 1
    ring = ClientKeys([Digest("nearly", bytes(digest))])

    assert ring.authenticate([b"presented"]) is None
    digest[byte] ^= 1
    assert ClientKeys([Digest("exactly", bytes(digest))]).authenticate([b"presented"]) == "exactly"


def test_a_part_of_a_digest_is_no_key() -> None:
    right = hashlib.sha256(KEY.encode()).digest()
    ring = ClientKeys([Digest(f"{length}", right[:length]) for length in range(32)])

    assert ring.authenticate([KEY.encode()]) is None
