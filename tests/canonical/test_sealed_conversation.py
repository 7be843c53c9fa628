"""Conversations within ids: what comes back, and what never opens."""

import json
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.canonical.sealed_conversation import (
    MAX_ID,
    MAX_ITEMS,
    PREFIX,
    ConversationSeal,
)

MINE = ConversationSeal(b"digest of my key")
OTHERS = ConversationSeal(b"digest of another key")
ITEMS = json.dumps([{"role": "user", "content": "canary of the prompt"}]).encode()
ANSWER = json.dumps([{"type": "message", "role": "assistant", "content": "Hello"}]).encode()


def an_id(items: bytes = ITEMS, answer: bytes = ANSWER) -> str:
    begun = MINE.begin(items)
    assert begun is not None
    found = begun.response_id(answer)
    assert found is not None
    return found


def incompressible(size: int) -> bytes:
    """Return a JSON list of one text of *size* characters that do not repeat."""
    digits = "".join(format(pow(7, n, 2**61 - 1), "x") for n in range(1, size // 12))
    return json.dumps([digits[:size]]).encode()


@given(st.lists(st.text()), st.lists(st.text()))
def test_a_conversation_comes_back_with_its_answer(items: list[str], answer: list[str]) -> None:
    opened = MINE.open(an_id(json.dumps(items).encode(), json.dumps(answer).encode()))

    assert opened is not None
    assert json.loads(opened) == [*items, *answer]


def test_an_id_is_opaque_and_the_same_for_the_same_conversation() -> None:
    found = an_id()

    assert found.startswith(PREFIX)
    assert found == an_id()
    assert zlib.compress(ITEMS)[2:12] not in found.encode()
    assert found[len(PREFIX) : len(PREFIX) + 20] != an_id(answer=b"[]")[len(PREFIX) :][:20]


def test_another_client_s_key_does_not_open_it() -> None:
    assert OTHERS.open(an_id()) is None


def test_no_changed_id_opens() -> None:
    found = an_id()

    for at in range(len(PREFIX), len(found) - 4, 7):
        letter = "A" if found[at] != "A" else "B"
        assert MINE.open(found[:at] + letter + found[at + 1 :]) is None
    assert MINE.open(found[:-8]) is None


def test_who_knows_what_an_id_holds_cannot_make_another_of_it() -> None:
    """The difference of two texts turns the cipher of one into that of the other."""
    mine, wanted = zlib.compress(b'[{"a":1}]', 0), zlib.compress(b'[{"a":2}]', 0)
    sealed = urlsafe_b64decode(MINE.seal(mine)[len(PREFIX) :])
    tag, cipher = sealed[:32], sealed[32:]
    forged = bytes(c ^ m ^ w for c, m, w in zip(cipher, mine, wanted, strict=True))

    assert MINE.open(PREFIX + urlsafe_b64encode(tag + cipher).decode()) == b'[{"a":1}]'
    assert MINE.open(PREFIX + urlsafe_b64encode(tag + forged).decode()) is None


@pytest.mark.parametrize(
    "text", ["", "resp_1", PREFIX, f"{PREFIX}AAAA", f"{PREFIX}ä", f"{PREFIX}A", "resp_" + "a" * 24]
)
def test_what_is_no_id_of_the_proxy_does_not_open(text: str) -> None:
    assert MINE.open(text) is None


def test_a_conversation_that_does_not_fit_has_no_id() -> None:
    begun = MINE.begin(incompressible(900_000))

    assert begun is not None
    assert begun.response_id(ANSWER) is None
    assert MINE.begin(b"[" + b" " * MAX_ITEMS + b"]") is None


def test_an_answer_that_makes_it_too_large_has_no_id() -> None:
    begun = MINE.begin(b"[1," + b" " * (MAX_ITEMS - 1000) + b"1]")

    assert begun is not None
    assert begun.response_id(b"[" + b"1," * 1000 + b"1]") is None


def test_the_largest_conversation_that_has_an_id_opens_again() -> None:
    size, found = 400_000, None
    while found is None:
        begun = MINE.begin(incompressible(size))
        assert begun is not None
        found, size = begun.response_id(ANSWER), size + 100_000

    assert len(found) <= MAX_ID
    assert MINE.open(found) is not None


def test_an_id_that_unpacks_to_more_than_allowed_does_not_open() -> None:
    """A client knows its own key, so it can make ids of its own."""
    bomb = MINE.seal(zlib.compress(b"[" + b" " * (64 * 1024 * 1024) + b"]"))

    assert len(bomb) < MAX_ID
    assert MINE.open(bomb) is None


def test_an_item_s_id_carries_it_and_is_no_response_s() -> None:
    begun = MINE.begin(ITEMS)
    assert begun is not None
    found = begun.item_id(b'{"a":1}', "msg_s1_")

    assert found is not None
    assert MINE.open(found, "msg_s1_") == b'[{"a":1}]'
    assert MINE.open(found) is None
    assert OTHERS.open(found, "msg_s1_") is None
    assert begun.item_id(incompressible(300_000), "msg_s1_") is None
    assert begun.item_id(b" " * MAX_ITEMS, "msg_s1_") is None


def test_an_id_without_a_whole_archive_does_not_open() -> None:
    assert MINE.open(MINE.seal(zlib.compress(ITEMS)[:-6])) is None
    assert MINE.open(MINE.seal(b"no archive")) is None
    assert MINE.open(MINE.seal(zlib.compress(ITEMS))) == ITEMS
