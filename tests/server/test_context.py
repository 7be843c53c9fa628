"""What requests share must not show a key, wherever it is printed."""

from tests.conftest import GEMINI_KEY, KEY, OPENAI_KEY, running_proxy


async def test_no_key_is_in_any_repr() -> None:
    async with running_proxy(
        UPSTREAMS="extra",
        EXTRA_BASE_URL="http://127.0.0.1:9/v1",
        EXTRA_API_KEY="extra-canary-key",
        UPSTREAM_PROXY="http://user:proxy-canary@127.0.0.1:9",
    ) as proxy:
        context = proxy.context
        printed = "\n".join(
            [
                repr(context),
                str(context),
                *map(repr, context.endpoints.values()),
                *(repr(place.key_pool) for place in context.endpoints.values()),
                *(repr(place.api.transport) for place in context.endpoints.values()),
                repr(context.settings),
                repr(context.client_keys),
            ]
        )

    assert "tester" in printed  # the keys' names may show
    for secret in (KEY, OPENAI_KEY, GEMINI_KEY, "extra-canary-key", "proxy-canary"):
        assert secret not in printed
