"""The vault: bounds, expiry, and ids as clients bring them back."""

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
    vault: SignatureStore = MemorySignatureStore()
    vault.put(an_id(1), ONE, 0.0)
    vault.put(an_id(2), OTHER, 0.0)

    assert vault.get(an_id(1), 1.0) == ONE
    assert vault.get(an_id(2), 1.0) == OTHER
    assert vault.get(an_id(3), 1.0) is None


new_ids = st.text(ALNUM, min_size=24, max_size=24).map("call_".__add__)


@given(st.lists(new_ids, min_size=1, max_size=20, unique=True))
def test_ids_survive_openclaws_mangling(call_ids: list[str]) -> None:
    vault = MemorySignatureStore()
    for number, call_id in enumerate(call_ids):
        vault.put(call_id, StoredSignature(f"sig{number}", None), 0.0)

    found = [vault.get(mangled(call_id), 1.0) for call_id in call_ids]

    assert found == [StoredSignature(f"sig{number}", None) for number in range(len(call_ids))]


@given(new_ids, st.text(max_size=30), st.sampled_from(["-", "_", ".", ":", "|", " "]))
def test_ids_survive_a_suffix_and_other_punctuation(call_id: str, tail: str, mark: str) -> None:
    vault = MemorySignatureStore()
    vault.put(call_id, ONE, 0.0)

    assert vault.get(f"{call_id}{mark}{tail}", 1.0) == ONE
    assert vault.get(call_id.replace("_", mark), 1.0) == ONE
    assert vault.get(mangled(call_id + tail), 1.0) == ONE


@given(new_ids, st.integers(0, KEY_LENGTH - 1))
def test_an_id_cut_too_short_finds_nothing_rather_than_anothers(call_id: str, length: int) -> None:
    """A corrupted signature is a 400; a missing one is what the placeholder is for."""
    vault = MemorySignatureStore()
    vault.put(call_id, ONE, 0.0)

    assert vault.get(mangled(call_id)[:length], 1.0) is None
    assert vault.get(mangled(call_id)[:KEY_LENGTH], 1.0) == ONE


@given(new_ids, new_ids)
def test_no_id_finds_the_signature_of_another(one: str, other: str) -> None:
    vault = MemorySignatureStore()
    vault.put(one, ONE, 0.0)

    assert (vault.get(other, 1.0) == ONE) == (one == other)


@given(st.text())
def test_any_text_may_be_asked_for_or_put(call_id: str) -> None:
    vault = MemorySignatureStore()

    assert vault.get(call_id, 0.0) is None
    vault.put(call_id, ONE, 0.0)
    assert (vault.get(call_id, 0.0) == ONE) == bool(lookup_keys(call_id))


def test_putting_again_replaces() -> None:
    vault = MemorySignatureStore()
    vault.put(an_id(1), ONE, 0.0)
    vault.put(an_id(1), OTHER, 0.0)

    assert vault.get(an_id(1), 1.0) == OTHER
    assert vault.stats.entries == 1


def test_an_entry_expires_however_often_it_is_read() -> None:
    vault = MemorySignatureStore(ttl=24 * HOUR)
    vault.put(an_id(1), ONE, 0.0)

    assert vault.get(an_id(1), 23 * HOUR) == ONE
    assert vault.get(an_id(1), 24 * HOUR) is None
    assert vault.stats.expired == 1
    assert vault.stats.entries == 0
    assert vault.stats.bytes == 0


def test_the_default_lifetime_is_a_day() -> None:
    vault = MemorySignatureStore()
    vault.put(an_id(1), ONE, 0.0)

    assert vault.get(an_id(1), 24 * HOUR - 1) == ONE
    assert vault.get(an_id(1), 24 * HOUR + 1) is None


def test_expired_entries_leave_when_another_comes() -> None:
    vault = MemorySignatureStore(ttl=10.0)
    vault.put(an_id(1), ONE, 0.0)
    vault.put(an_id(2), ONE, 5.0)

    vault.put(an_id(3), ONE, 12.0)

    assert vault.stats.entries == 2
    assert vault.stats.expired == 1


def test_the_least_recently_used_goes_first() -> None:
    vault = MemorySignatureStore(max_entries=2)
    vault.put(an_id(1), ONE, 0.0)
    vault.put(an_id(2), ONE, 0.0)
    vault.get(an_id(1), 1.0)

    vault.put(an_id(3), ONE, 2.0)

    assert vault.get(an_id(1), 3.0) == ONE
    assert vault.get(an_id(2), 3.0) is None
    assert vault.stats.evicted == 1


@pytest.mark.parametrize(
    "value", [StoredSignature("s" * 5000, None), StoredSignature(None, "n" * 5000)]
)
def test_bytes_are_bounded(value: StoredSignature) -> None:
    vault = MemorySignatureStore(max_bytes=20_000)
    for number in range(50):
        vault.put(an_id(number), value, 0.0)

    assert vault.stats.entries == 3
    assert vault.stats.bytes <= 20_000
    assert vault.get(an_id(49), 1.0) == value


def test_one_that_alone_exceeds_the_bytes_is_not_kept_and_drives_out_nothing() -> None:
    vault = MemorySignatureStore(max_bytes=1000)
    vault.put(an_id(1), ONE, 0.0)

    vault.put(an_id(2), StoredSignature("s" * 1000, None), 0.0)

    assert vault.get(an_id(1), 1.0) == ONE
    assert vault.get(an_id(2), 1.0) is None


def test_an_id_without_letters_and_digits_is_nobodys() -> None:
    vault = MemorySignatureStore()
    vault.put("--", ONE, 0.0)

    assert vault.stats.entries == 0


def test_counters_count_hits_and_misses() -> None:
    vault = MemorySignatureStore()
    vault.put(an_id(1), ONE, 0.0)
    vault.get(an_id(1), 0.0)
    vault.get(mangled(an_id(1)), 0.0)
    vault.get("elsewhere", 0.0)

    stats = vault.stats
    assert (stats.hits, stats.misses, stats.entries) == (2, 1, 1)
    assert stats.bytes >= len("sig-one") + len("n1")


def test_a_look_without_use_is_not_counted() -> None:
    vault = MemorySignatureStore(ttl=10.0)
    vault.put(an_id(1), ONE, 0.0)

    assert vault.knows(mangled(an_id(1)), 9.0)
    assert not vault.knows(an_id(1), 10.0)
    assert not vault.knows(an_id(2), 1.0)
    assert (vault.stats.hits, vault.stats.misses) == (0, 0)
