"""Messages calls answered by a chat completions service: what other gateways get wrong.

The numbers are those of known bugs of gateways, each with what is right.
"""

import itertools
import json
from typing import Any

import pytest

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.sealed_state import SealedState, seal
from jarvis_proxy.dialects.messages.dialect import MessagesDialect
from jarvis_proxy.upstreams.chat.upstream import CompatibleUpstream
from tests.support.strict_chat import check

Json = dict[str, Any]
USER: Json = {"role": "user", "content": "Hi"}
LATE: Json = {"role": "system", "content": "Answer in French."}
SAID: Json = {"role": "assistant", "content": "Hello."}


def asked(*messages: Json, upstream: str = "deepseek", **fields: Any) -> Json:
    """Return the body that goes to the service."""
    counter = itertools.count()
    service = CompatibleUpstream(
        upstream,
        {"openai": "https://api.openai.com/v1"}.get(upstream, "https://api.deepseek.com"),
        dialects={"messages": MessagesDialect(lambda: f"{next(counter):024}")},
        new_id=lambda: f"{next(counter):024}",
        apis=("chat",),
    )
    body = {"model": "m", "max_tokens": 100, "messages": list(messages), **fields}
    call = Call(
        endpoint="messages",
        model="m",
        target_model="gpt-5.1" if upstream == "openai" else "deepseek-chat",
        stream=False,
        body=json.dumps(body).encode(),
        id="c" * 24,
        created=5,
        now=0.0,
    )
    (request,) = service.exchange(call, {}, service.needs(call).decoded).requests
    found: Json = json.loads(request.body)
    return found


@pytest.mark.parametrize("system", [None, "Be brief.", [{"type": "text", "text": "Be brief."}]])
def test_system_words_behind_the_user_become_the_users(system: Any) -> None:
    more = {} if system is None else {"system": system}
    body = asked(USER, LATE, SAID, LATE, USER, **more)

    check(body)
    roles = [message["role"] for message in body["messages"]]
    assert "system" not in roles[1:]
    assert json.dumps(body["messages"]).count("Answer in French.") == 2


def test_all_system_words_at_the_beginning_are_one_message() -> None:
    body = asked(
        LATE, USER, system=[{"type": "text", "text": "A."}, {"type": "text", "text": "B."}]
    )

    check(body)
    first, second = body["messages"]
    assert (first["role"], second["role"]) == ("system", "user")
    assert all(words in first["content"] for words in ("A.", "B.", "Answer in French."))


SIGNATURES = [
    "EqQBCkYIBRgC",
    seal(SealedState("chat.zhipu", "canary")),
    seal(SealedState("anthropic", '[{"type":"thinking","thinking":"canary"}]')),
    "gemini:canary",
    "",
]


@pytest.mark.parametrize("signature", SIGNATURES)
@pytest.mark.parametrize("upstream", ["openai", "deepseek"])
def test_thinking_of_another_service_is_dropped(upstream: str, signature: str) -> None:
    thinking = {"type": "thinking", "thinking": "canary", "signature": signature}
    past = {"role": "assistant", "content": [thinking, {"type": "text", "text": "Hello."}]}
    body = asked(USER, past, USER, upstream=upstream)

    assert "canary" not in json.dumps(body)
    assert not signature or signature not in json.dumps(body)
    assert body["model"] == ("gpt-5.1" if upstream == "openai" else "deepseek-chat")


def test_the_limit_has_the_name_that_the_service_takes() -> None:
    assert asked(USER, upstream="openai").get("max_completion_tokens") == 100
    assert "max_tokens" not in asked(USER, upstream="openai")
    assert asked(USER)["max_tokens"] == 100
    assert "max_completion_tokens" not in asked(USER)


def test_a_search_of_anthropics_servers_is_not_declared() -> None:
    tool = {"type": "web_search_20250305", "name": "web_search"}

    assert "tools" not in asked(USER, tools=[tool])
