"""notes: what a translation leaves out."""

import pytest

from jarvis_proxy.canonical.ignored_params import Notes
from jarvis_proxy.errors import ProxyError


def test_names_keep_their_order_and_come_once() -> None:
    notes = Notes()
    for name in ("logit_bias", "messages[3].prefill", "logit_bias"):
        notes.ignore(name)

    assert notes.names == ("logit_bias", "messages[3].prefill")


def test_names_are_short_printable_ascii_whatever_the_client_made_up() -> None:
    notes = Notes()
    notes.ignore("google.\r\nSet-Cookie: ü")
    notes.ignore("x" * 500)

    assert notes.names == ("google.__Set-Cookie___", "x" * 64)


def test_a_flood_of_names_is_cut() -> None:
    notes = Notes()
    for number in range(1000):
        notes.ignore(f"google.k{number}")

    assert len(notes.names) == 40


def test_strict_mode_refuses_instead() -> None:
    with pytest.raises(ProxyError) as caught:
        Notes(strict=True).ignore("logit_bias")

    assert (
        caught.value.status,
        caught.value.code,
        caught.value.param,
    ) == (400, "unsupported_parameter", "logit_bias")


def test_what_the_upstream_made_us_change_is_never_refused() -> None:
    notes = Notes(strict=True)
    notes.mention("reasoning_effort")

    assert notes.names == ("reasoning_effort",)
