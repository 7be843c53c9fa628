"""The store: bounds, expiry, and ids as clients bring them back."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.upstreams.gemini.signature_store import (
    KEY_LENGTH,
    MemorySignatureStore,
    SignatureStore,
    StoredSignature,
    lookup_keys,
)

ALNUM = string.ascii_letters + string.digits
ONE, OTHER = StoredSignature("sig-one", "n1"), StoredSignature(None, "n2")
HOUR = 3600.0


def an_id(number: int) -> str:
    return f"call_{number:024d}"


def mangled(call_id: str) -> str:
    """Strip to letters and digits and cut to 40: what OpenClaw 2026.9.6 sends back."""
    return re.sub("[^A-Za-z0-9]", "", call_id)[:40]


def test_what_was_put_is_found_by_its_id() -> None:
    store: SignatureStore = MemorySignatureStore()
    store.put(an_id(1), ONE, 0.0)
    store.put(an_id(2), OTHER, 0.0)

    assert store.get(an_id(1), 1.0) == ONE
    assert store.get(an_id(2), 1.0) == OTHER
    assert store.get(an_id(3), 1.0) is None


new_ids = st.text(ALNUM, min_size=24, max_size=24).map("call_".__add__)


@given(st.lists(new_ids, min_size=1, max_size=20, unique=True))
def test_ids_survive_openclaws_mangling(call_ids: list[str]) -> None:
    store = MemorySignatureStore()
    for number, call_id in enumerate(call_ids):
        store.put(call_id, StoredSignature(f"sig{number}", None), 0.0)

    found = [store.get(mangled(call_id), 1.0) for call_id in call_ids]

    assert found == [StoredSignature(f"sig{number}", None) for number in range(len(call_ids))]


@given(new_ids, st.text(max_size=30), st.sampled_from(["-", "_", ".", ":", "|", " "]))
def test_ids_survive_a_suffix_and_other_punctuation(call_id: str, tail: str, mark: str) -> None:
    store = MemorySignatureStore()
    store.put(call_id, ONE, 0.0)

    assert store.get(f"{call_id}{mark}{tail}", 1.0) == ONE
    assert store.get(call_id.replace("_", mark), 1.0) == ONE
    assert store.get(mangled(call_id + tail), 1.0) == ONE


@given(new_ids, st.integers(0, KEY_LENGTH - 1))
def test_an_id_cut_too_short_finds_nothing_rather_than_anothers(call_id: str, length: int) -> None:
    """A corrupted signature is a 400; a missing one is what the placeholder is for."""
    store = MemorySignatureStore()
    store.put(call_id, ONE, 0.0)

    assert store.get(mangled(call_id)[:length], 1.0) is None
    assert store.get(mangled(call_id)[:KEY_LENGTH], 1.0) == ONE


@given(new_ids, new_ids)
def test_no_id_finds_the_signature_of_another(one: str, other: str) -> None:
    store = MemorySignatureStore()
    store.put(one, ONE, 0.0)

    assert (store.get(other, 1.0) == ONE) == (one == other)


@given(st.text())
def test_any_text_may_be_asked_for_or_put(call_id: str) -> None:
    store = MemorySignatureStore()

    assert store.get(call_id, 0.0) is None
    store.put(call_id, ONE, 0.0)
    assert (store.get(call_id, 0.0) == ONE) == bool(lookup_keys(call_id))


def test_putting_again_replaces() -> None:
    store = MemorySignatureStore()
    store.put(an_id(1), ONE, 0.0)
    store.put(an_id(1), OTHER, 0.0)

    assert store.get(an_id(1), 1.0) == OTHER
    assert store.stats.entries == 1


def test_an_entry_expires_however_often_it_is_read() -> None:
    store = MemorySignatureStore(ttl=24 * HOUR)
    store.put(an_id(1), ONE, 0.0)

    assert store.get(an_id(1), 23 * HOUR) == ONE
    assert store.get(an_id(1), 24 * HOUR) is None
    assert store.stats.expired == 1
    assert store.stats.entries == 0
    assert store.stats.bytes == 0


def test_the_default_lifetime_is_a_day() -> None:
    store = MemorySignatureStore()
    store.put(an_id(1), ONE, 0.0)

    assert store.get(an_id(1), 24 * HOUR - 1) == ONE
    assert store.get(an_id(1), 24 * HOUR + 1) is None


def test_expired_entries_leave_when_another_comes() -> None:
    store = MemorySignatureStore(ttl=10.0)
    store.put(an_id(1), ONE, 0.0)
    store.put(an_id(2), ONE, 5.0)

    store.put(an_id(3), ONE, 12.0)

    assert store.stats.entries == 2
    assert store.stats.expired == 1


def test_the_least_recently_used_goes_first() -> None:
    store = MemorySignatureStore(max_entries=2)
    store.put(an_id(1), ONE, 0.0)
    store.put(an_id(2), ONE, 0.0)
    store.get(an_id(1), 1.0)

    store.put(an_id(3), ONE, 2.0)

    assert store.get(an_id(1), 3.0) == ONE
    assert store.get(an_id(2), 3.0) is None
    assert store.stats.evicted == 1


@pytest.mark.parametrize(
    "value", [StoredSignature("s" * 5000, None), StoredSignature(None, "n" * 5000)]
)
def test_bytes_are_bounded(value: StoredSignature) -> None:
    store = MemorySignatureStore(max_bytes=20_000)
    for number in range(50):
        store.put(an_id(number), value, 0.0)

    assert store.stats.entries == 3
    assert store.stats.bytes <= 20_000
    assert store.get(an_id(49), 1.0) == value


def test_one_that_alone_exceeds_the_bytes_is_not_kept_and_drives_out_nothing() -> None:
    store = MemorySignatureStore(max_bytes=1000)
    store.put(an_id(1), ONE, 0.0)

    store.put(an_id(2), StoredSignature("s" * 1000, None), 0.0)

    assert store.get(an_id(1), 1.0) == ONE
    assert store.get(an_id(2), 1.0) is None


def test_id_without_letters_and_digits_has_no_signature() -> None:
    store = MemorySignatureStore()
    store.put("--", ONE, 0.0)

    assert store.stats.entries == 0


def test_counters_count_hits_and_misses() -> None:
    store = MemorySignatureStore()
    store.put(an_id(1), ONE, 0.0)
    store.get(an_id(1), 0.0)
    store.get(mangled(an_id(1)), 0.0)
    store.get("elsewhere", 0.0)

    stats = store.stats
    assert (stats.hits, stats.misses, stats.entries) == (2, 1, 1)
    assert stats.bytes >= len("sig-one") + len("n1")


def test_a_look_without_use_is_not_counted() -> None:
    store = MemorySignatureStore(ttl=10.0)
    store.put(an_id(1), ONE, 0.0)

    assert store.knows(mangled(an_id(1)), 9.0)
    assert not store.knows(an_id(1), 10.0)
    assert not store.knows(an_id(2), 1.0)
    assert (store.stats.hits, store.stats.misses) == (0, 0)


def test_a_long_id_is_looked_for_by_its_beginning_too() -> None:
    assert lookup_keys("call_" + "a" * 40) == ("call" + "a" * 40, "call" + "a" * 24)
    assert lookup_keys("call_a") == ("calla",)
