"""Tool call ids as clients send them back."""

import pytest

from jarvis_proxy.canonical.call_ids import ID_MARK, alnum_id, strip_signature_suffix


@pytest.mark.parametrize(
    ("call_id", "bare"),
    [
        ("call_1", "call_1"),
        (f"call_1{ID_MARK}QUJD", "call_1"),
        (f"call_1{ID_MARK}a{ID_MARK}b", "call_1"),
        (ID_MARK, ""),
        ("", ""),
    ],
)
def test_a_signature_behind_an_id_is_cut_off(call_id: str, bare: str) -> None:
    assert strip_signature_suffix(call_id) == bare


@pytest.mark.parametrize(
    ("call_id", "plain"), [("call_1", "call1"), ("a-B.9:ü", "aB9"), ("", ""), ("abc", "abc")]
)
def test_an_id_is_cleaned_as_clients_do(call_id: str, plain: str) -> None:
    assert alnum_id(call_id) == plain
