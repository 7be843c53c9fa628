"""The table of client APIs."""

from jarvis_proxy.routing.endpoints import MESSAGES
from jarvis_proxy.server.dialects import CHAT, RESPONSES, build_dialects


def test_each_client_api_has_its_row() -> None:
    assert {CHAT, RESPONSES, MESSAGES} <= set(build_dialects(lambda: "x" * 24))


def test_an_upstreams_own_api_is_not_translated() -> None:
    assert CHAT not in build_dialects(lambda: "x" * 24, without=CHAT)
