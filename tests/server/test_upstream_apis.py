"""From an upstream's settings to the APIs by which calls reach it."""

import re

import pytest

from jarvis_proxy.routing.endpoints import MESSAGES
from jarvis_proxy.server.upstream_apis import CHAT, RESPONSES, build_dialects, new_call_id
from tests.conftest import running_proxy

KEYS = {
    "ANTHROPIC_API_KEY": "anthropic-key-0123456789",
    "UPSTREAMS": "extra",
    "EXTRA_BASE_URL": "http://127.0.0.1:9/v1",
    "EXTRA_API_KEY": "extra-key-0123456789",
}


@pytest.mark.parametrize(
    ("name", "kind", "relays_messages", "relays_googles"),
    [
        ("openai", "openai", False, False),
        ("extra", "openai", False, False),
        ("anthropic", "messages", True, False),
        ("gemini", "gemini", False, True),
    ],
)
async def test_each_upstream_relays_its_own_api_alone(
    name: str, kind: str, relays_messages: bool, relays_googles: bool
) -> None:
    async with running_proxy(**KEYS) as proxy:
        endpoint = proxy.context.endpoints[name]

        assert endpoint.api.kind == kind
        assert endpoint.relays("messages") is relays_messages
        assert endpoint.relays("generateContent") is relays_googles
        assert not endpoint.relays("chat/completions")


async def test_a_service_with_a_second_address_relays_messages_there() -> None:
    async with running_proxy(**KEYS, EXTRA_ANTHROPIC_URL="http://127.0.0.1:9") as proxy:
        endpoint = proxy.context.endpoints["extra"]

        assert endpoint.relays("messages")
        assert endpoint.api.kind == "openai"


def test_call_ids_are_letters_and_digits_that_every_client_keeps() -> None:
    ids = {new_call_id() for _ in range(1000)}

    assert len(ids) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9]{24}", call_id) for call_id in ids)


def test_each_client_api_has_its_row() -> None:
    assert {CHAT, RESPONSES, MESSAGES} <= set(build_dialects(lambda: "x" * 24))


def test_an_upstreams_own_api_is_not_translated() -> None:
    assert CHAT not in build_dialects(lambda: "x" * 24, without=CHAT)
