"""What other gateways got wrong in Messages requests; by the numbers of a list."""

import json

import pytest

from jarvis_proxy.canonical.sealed_state import SealedState, seal
from jarvis_proxy.dialects.messages.request import read_request
from tests.dialects.messages.requests import (
    base64_source,
    body,
    call,
    chat,
    messages,
    model,
    reading,
    result,
    text,
    thinking,
    user,
)

SECRET = "a thought that nobody may see"


def test_system_words_within_messages_are_no_error() -> None:
    late = {"role": "system", "content": [text("s", cache_control={"type": "ephemeral"})]}
    assert [m["role"] for m in messages(user("a"), late, model("b"), user("c"))] == [
        "user",
        "system",
        "assistant",
        "user",
    ]


@pytest.mark.parametrize(
    "block",
    [
        thinking("EqQBCkYIBRgC", SECRET),
        {"type": "redacted_thinking", "data": SECRET},
        thinking("", SECRET),
        thinking("gemini:U2ln", SECRET),
    ],
)
def test_thoughts_are_no_error_and_no_text(block: dict[str, str]) -> None:
    _, found = messages(user("a"), model(block, text("b")))
    assert found["content"] == "b"
    carried = found.get("thinking_blocks", [])
    assert [SECRET in json.dumps(one) for one in carried] == [True] * len(carried)


@pytest.mark.parametrize("place", ["user", "tool_result"])
def test_images_stay_images(place: str) -> None:
    source = base64_source("image/png", "iVBORw0K")
    link = {"type": "url", "url": "https://a.example/b.png"}
    images = [{"type": "image", "source": one} for one in (source, link)]
    if place == "user":
        found = messages(user(*images))
    else:
        found = messages(user("a"), model(call("1")), user(result("1", images)))
    urls = [part["image_url"]["url"] for part in found[-1]["content"]]
    assert urls == ["data:image/png;base64,iVBORw0K", "https://a.example/b.png"]


def test_a_signature_of_geminis_returns_to_the_call_that_it_signs() -> None:
    steps = [
        user("a"),
        model(thinking("gemini:U2lnMQ==", ""), call("call_A")),
        user(result("call_A", "x")),
        model(text("b"), thinking("gemini:U2lnMg==", ""), call("call_B"), call("call_C")),
        user(result("call_B", "y"), result("call_C", "z")),
    ]
    calls = [call for message in messages(*steps) for call in message.get("tool_calls", ())]
    signatures = [
        call.get("extra_content", {}).get("google", {}).get("thought_signature") for call in calls
    ]
    assert signatures == ["U2lnMQ==", "U2lnMg==", None]


def test_a_signature_of_anthropics_is_never_put_on_a_call() -> None:
    sealed = seal(SealedState("chat.deepseek", "so I think"))
    blocks = [thinking("EqQBCkYIBRgC"), thinking(sealed, ""), call("toolu_B")]
    _, found = messages(user("a"), model(*blocks))
    assert "extra_content" not in found
    assert "extra_content" not in found["tool_calls"][0]


def test_an_input_that_is_a_string_becomes_an_object() -> None:
    _, found = messages(user("a"), model(call("1", '{"a": 1}')))
    assert json.loads(found["tool_calls"][0]["function"]["arguments"]) == {"a": 1}


def test_each_call_has_its_result() -> None:
    found = messages(user("a"), model(call("1"), call("2")), user("never mind"), model("b"))
    assert [m["role"] for m in found] == ["user", "assistant", "tool", "tool", "user", "assistant"]


def test_a_mark_for_the_cache_stays_on_the_result() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    *_, found = messages(user("a"), model(call("1")), user(result("1", "x", cache_control=mark)))
    assert found["cache_control"] == mark


def test_the_billing_line_is_kept_from_prompts() -> None:
    lines = [f"x-anthropic-billing-header: cc_version=2.1.{n}; cch={n:05};" for n in (1, 2)]
    first, second = (
        read_request(body(system=[text(line), text("Be brief.")])).body for line in lines
    )
    assert first == second


def test_a_tool_of_anthropics_servers_is_no_error() -> None:
    request = reading(tools=[{"type": "computer_20251124", "name": "computer"}])
    assert request.ignored == ("tools.0",)


@pytest.mark.slow
def test_a_conversation_of_twenty_thousand_calls_is_read_in_linear_time() -> None:
    """Looking each result up in a list would take 400 million steps: past any test's limit."""
    count = 9_000
    found = messages(
        user("a"),
        model(*[call(str(n)) for n in range(count)]),
        user(*[result(str(n), "x") for n in range(count)]),
    )
    assert [m["tool_call_id"] for m in found[2:]] == [str(n) for n in range(count)]


def test_the_canonical_request_is_deterministic() -> None:
    assert chat() == chat()
