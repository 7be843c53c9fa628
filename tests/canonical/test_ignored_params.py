"""notes: what a translation leaves out."""

import pytest

from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.errors import ProxyError


def test_names_keep_their_order_and_come_once() -> None:
    notes = IgnoredParams()
    for name in ("logit_bias", "messages[3].prefill", "logit_bias"):
        notes.add_or_reject(name)

    assert notes.names == ("logit_bias", "messages[3].prefill")


def test_names_are_short_printable_ascii_whatever_the_client_made_up() -> None:
    notes = IgnoredParams()
    notes.add_or_reject("google.\r\nSet-Cookie: ü")
    notes.add_or_reject("x" * 500)

    assert notes.names == ("google.__Set-Cookie___", "x" * 64)


def test_a_flood_of_names_is_cut() -> None:
    notes = IgnoredParams()
    for number in range(1000):
        notes.add_or_reject(f"google.k{number}")

    assert len(notes.names) == 40


def test_strict_mode_refuses_instead() -> None:
    with pytest.raises(ProxyError) as caught:
        IgnoredParams(strict=True).add_or_reject("logit_bias")

    assert (
        caught.value.status,
        caught.value.code,
        caught.value.param,
    ) == (400, "unsupported_parameter", "logit_bias")


def test_what_the_upstream_made_the_proxy_change_is_never_refused() -> None:
    notes = IgnoredParams(strict=True)
    notes.add("reasoning_effort")

    assert notes.names == ("reasoning_effort",)
