"""Input items as chat messages."""

from typing import Any

import pytest

from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.request import MessageOrigin
from jarvis_proxy.canonical.sealed_state import ANTHROPIC, SealedState, chat_owner, seal
from jarvis_proxy.dialects.responses.input_items import read_input
from jarvis_proxy.errors import ProxyError

Json = dict[str, Any]


def messages(*items: Json, instructions: str | None = None) -> list[Json]:
    """Return the messages that *items* are, without what is empty in them."""
    found, _ = read(*items, instructions=instructions)
    return [{key: value for key, value in message.items() if value != []} for message in found]


def read(
    *items: Json, instructions: str | None = None, ignored: IgnoredParams | None = None
) -> tuple[list[Json], list[MessageOrigin]]:
    return read_input(list(items), instructions, ignored or IgnoredParams())


def refusal(item: Json) -> ProxyError:
    with pytest.raises(ProxyError) as caught:
        read(item)
    assert caught.value.status == 400
    return caught.value


def text(said: str) -> Json:
    return {"type": "text", "text": said}


def call(call_id: str, **more: Any) -> Json:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}", **more}


def as_chat(call_id: str, **more: Any) -> Json:
    function = {"name": "f", "arguments": "{}"}
    return {"id": call_id, "type": "function", "function": function, **more}


def test_a_text_is_what_the_user_says() -> None:
    found, places = read_input("Hi", "Be brief.", IgnoredParams())

    assert found == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]
    assert [place.path for place in places] == ["instructions", "input"]


@pytest.mark.parametrize("role", ["user", "system", "developer"])
@pytest.mark.parametrize("kind", [{}, {"type": "message"}])
def test_messages_keep_role_and_place(role: str, kind: Json) -> None:
    assert messages({"role": role, "content": "a", **kind}, {"role": role, "content": None}) == [
        {"role": role, "content": [text("a")]},
        {"role": role},
    ]


PARTS: list[tuple[Json, Json]] = [
    ({"type": "input_text", "text": "a"}, text("a")),
    ({"type": "output_text", "text": "a", "annotations": [{}]}, text("a")),
    (text("a"), text("a")),
    (
        {"type": "input_image", "image_url": "https://x/a.png", "detail": "low"},
        {"type": "image_url", "image_url": {"url": "https://x/a.png", "detail": "low"}},
    ),
    (
        {"type": "input_image", "file_id": "files/a", "detail": "auto"},
        {"type": "file", "file": {"file_id": "files/a"}},
    ),
    (
        {"type": "input_file", "file_data": "data:,a", "filename": "a.txt"},
        {
            "type": "file",
            "file": {"file_data": "data:,a", "file_id": None, "file_url": None,
                     "filename": "a.txt"},
        },
    ),
    (
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    ),
    ({"type": "refusal", "refusal": "no"}, {"type": "refusal", "refusal": "no"}),
    ({"type": "video_url", "video_url": "https://x/v"},) * 2,
]  # fmt: skip


@pytest.mark.parametrize(("part", "chat"), PARTS)
def test_parts_are_spelled_as_in_chat(part: Json, chat: Json) -> None:
    assert messages({"role": "user", "content": [part]}) == [{"role": "user", "content": [chat]}]
    output = {"type": "function_call_output", "call_id": "c", "output": [part, "b"]}
    assert messages(output) == [{"role": "tool", "tool_call_id": "c", "content": [chat, "b"]}]


def test_a_picture_without_an_address_is_missing_one() -> None:
    error = refusal({"role": "user", "content": [{"type": "input_image"}]})

    assert (error.code, error.param) == (
        "missing_required_parameter",
        "input[0].content[0].image_url",
    )


def test_what_the_model_did_in_a_row_is_one_message() -> None:
    found, places = read(
        {"role": "user", "content": "a"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None},
        {"type": "message", "id": "msg_1", "role": "assistant",
         "content": [{"type": "output_text", "text": "b"}]},
        call("call_1"),
        call("call_2"),
        {"type": "function_call_output", "call_id": "call_1", "output": "1"},
        {"type": "function_call_output", "call_id": "call_2", "output": "2"},
        {"role": "assistant", "content": "c"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    )  # fmt: skip

    assert found == [
        {"role": "user", "content": [text("a")]},
        {
            "role": "assistant",
            "content": [text("b")],
            "tool_calls": [as_chat("call_1"), as_chat("call_2")],
            "images": [],
            "id": "msg_1",
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
        {"role": "tool", "tool_call_id": "call_2", "content": "2"},
        {
            "role": "assistant",
            "content": [text("c"), {"type": "refusal", "refusal": "no"}],
            "tool_calls": [],
            "images": [],
        },
    ]
    assert places[1] == MessageOrigin("input[2]", ["input[2].content[0]"], ["input[3]", "input[4]"])
    assert places[4].parts == ["input[7].content", "input[8].content[0]"]


def test_a_custom_tool_s_call_and_result_are_understood() -> None:
    assert messages(
        {"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "SELECT 1"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "1"},
    ) == [
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]


def test_a_call_without_a_call_id_goes_by_its_item_s() -> None:
    (message,) = messages({"type": "function_call", "id": "fc_1", "name": "f", "arguments": "{}"})

    assert message["tool_calls"][0]["id"] == "fc_1"


def sealed(secret: str | None) -> Json:
    return {"type": "reasoning", "summary": [], "encrypted_content": secret}


def test_a_sealed_signature_is_the_next_call_s() -> None:
    google = {"google": {"thought_signature": "c2ln"}}

    (message,) = messages(
        sealed("gemini:c2ln"), {"role": "assistant", "content": "a"}, call("x"), call("y")
    )

    assert message["tool_calls"] == [as_chat("x", extra_content=google), as_chat("y")]


@pytest.mark.parametrize("secret", ["gAAAAABoyXus", "", None, "c2ln"])
def test_another_s_secret_is_no_signature(secret: str | None) -> None:
    (message,) = messages(sealed(secret), call("x"))

    assert message["tool_calls"] == [as_chat("x")]


def test_a_signature_does_not_outlive_its_turn() -> None:
    found = messages(sealed("gemini:c2ln"), {"role": "user", "content": "a"}, call("x"))

    assert found[1]["tool_calls"] == [as_chat("x")]


def test_only_the_proxys_ids_of_messages_are_kept() -> None:
    (message,) = messages({"role": "assistant", "content": "a", "id": "run-1"})

    assert "id" not in message


def test_a_picture_of_the_model_s_is_given_back() -> None:
    (message,) = messages({"type": "image_generation_call", "id": "ig_1", "result": "iVBORw0KGgo="})

    assert message["images"] == [{"image_url": {"url": "data:;base64,iVBORw0KGgo="}}]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "image_generation_call", "result": None},
        {"type": "web_search_call", "action": {"type": "search"}},
        {"type": "computer_call_output", "output": {"type": "computer_screenshot"}},
        {"type": "tool_search_output", "tools": []},
        {"type": "mcp_approval_request", "arguments": "{}"},
    ],
)
def test_what_tools_of_openai_s_servers_did_is_left_out_and_named(item: Json) -> None:
    ignored = IgnoredParams()

    assert read({"role": "user", "content": "a"}, item, ignored=ignored)[0] == [
        {"role": "user", "content": [text("a")]}
    ]
    assert ignored.names == ("input[1]",)


@pytest.mark.parametrize(
    "item",
    [
        {"type": "compaction", "encrypted_content": "x"},
        {"type": "compaction_trigger"},
        {"type": "context_compaction", "id": None},
        {"type": "agent_message", "content": [{"type": "text"}], "role": 5},
        {"type": "of_next_month", "id": 5, "name": {}, "output": {"a": 1}, "role": ["x"]},
        {"type": "", "content": 5},
    ],
    ids=lambda item: item["type"],
)
def test_items_that_mean_nothing_here_are_left_out_and_named(item: Json) -> None:
    ignored = IgnoredParams()
    said = read(call("a"), item, {"role": "user", "content": "a"}, ignored=ignored)[0]

    assert [message["role"] for message in said] == ["assistant", "user"]
    assert ignored.names == ("input[1]",)


def test_a_call_keeps_its_namespace() -> None:
    named = {"name": "f", "namespace": "mcp__wx", "arguments": "{}"}
    custom = {"name": "sql", "namespace": "db", "input": "SELECT 1"}

    (said,) = messages(
        {"type": "function_call", "call_id": "a", **named},
        {"type": "custom_tool_call", "call_id": "b", **custom},
    )

    assert [one.get("function") or one["custom"] for one in said["tool_calls"]] == [named, custom]


def test_a_search_and_what_it_found_are_a_call_and_its_result() -> None:
    tool = {"type": "function", "name": "f"}
    loaded: list[Any] = []
    ignored = IgnoredParams()
    said, _ = read_input(
        [
            {"type": "reasoning", "encrypted_content": "gemini:QUJD"},
            {
                "type": "tool_search_call",
                "call_id": "a",
                "execution": "client",
                "arguments": {"query": "weather"},
            },
            {"type": "tool_search_output", "call_id": "a", "execution": "client", "tools": [tool]},
            {"type": "additional_tools", "role": "developer", "tools": [tool]},
        ],
        None,
        ignored,
        loaded,
    )

    function = {"name": "tool_search", "arguments": {"query": "weather"}}
    (asked,) = said[0]["tool_calls"]
    assert asked == {
        "id": "a",
        "type": "function",
        "function": function,
        "extra_content": {"google": {"thought_signature": "QUJD"}},
    }
    assert said[1:] == [
        {"role": "tool", "tool_call_id": "a", "content": "Tools that are available now: f"}
    ]
    assert loaded == [(tool, "input[2].tools[0]"), (tool, "input[3].tools[0]")]
    assert ignored.names == ()


def test_a_search_that_openai_ran_is_left_out_but_its_tools_are_not() -> None:
    tool = {"type": "function", "name": "f"}
    loaded: list[Any] = []
    ignored = IgnoredParams()
    said, _ = read_input(
        [
            {"type": "tool_search_call", "call_id": None, "execution": "server", "arguments": {}},
            {"type": "tool_search_output", "call_id": None, "execution": "server", "tools": [tool]},
        ],
        None,
        ignored,
        loaded,
    )

    assert (said, loaded) == ([], [(tool, "input[1].tools[0]")])
    assert ignored.names == ("input[0]", "input[1]")


REFUSALS: list[tuple[Json, str, str]] = [
    ({"type": "item_reference", "id": "msg_1"}, "unsupported_parameter", "input[0]"),
    ({"type": 5}, "invalid_type", "input[0].type"),
    ({"type": ["message"]}, "invalid_type", "input[0].type"),
    ({"type": {}}, "invalid_type", "input[0].type"),
    ({"type": "function_call", "name": 5}, "invalid_type", "input[0].name"),
    ({"role": "tool", "content": "x"}, "invalid_value", "input[0].role"),
    ({"content": "x"}, "missing_required_parameter", "input[0].role"),
    ({"role": "user", "content": {"a": 1}}, "invalid_type", "input[0].content"),
    ({"role": "user", "content": [1]}, "invalid_type", "input[0].content"),
    (
        {"type": "function_call_output", "call_id": "c", "output": {"a": 1}},
        "invalid_type",
        "input[0].output",
    ),
]


@pytest.mark.parametrize(("item", "code", "param"), REFUSALS)
def test_what_cannot_be_read_is_refused(item: Json, code: str, param: str) -> None:
    error = refusal(item)

    assert (error.code, error.param) == (code, param)


def test_a_reference_to_reasoning_says_nothing_and_is_no_mistake() -> None:
    """Vercel's SDK refers to it where it stores by default; the calls behind it come whole."""
    ignored = IgnoredParams()
    said = read({"type": "item_reference", "id": "rs_1"}, call("a"), ignored=ignored)[0]

    assert [message["tool_calls"] for message in said] == [[as_chat("a")]]
    assert ignored.names == ()


def test_a_reference_is_refused_with_what_to_do() -> None:
    assert '"store": false' in refusal({"type": "item_reference", "id": "msg_1"}).message


ANTHROPICS = SealedState(ANTHROPIC, '[{"type":"thinking","thinking":"hm","signature":"s"}]')
CHATS = SealedState(chat_owner("deepseek"), "hm")


def reasoning(state: SealedState | None) -> Json:
    return {"type": "reasoning", "encrypted_content": None if state is None else seal(state)}


def test_state_of_other_upstreams_comes_back_on_the_models_message() -> None:
    (message,) = messages(reasoning(ANTHROPICS), reasoning(CHATS), call("a"))

    assert message["thinking_blocks"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "thinking", "thinking": "hm", "signature": seal(CHATS)},
    ]
    assert message["tool_calls"] == [as_chat("a")]


def test_state_in_the_middle_of_a_turn_belongs_to_that_turn() -> None:
    (message,) = messages(call("a"), reasoning(CHATS), call("b"))

    assert len(message["thinking_blocks"]) == 1
    assert [tool_call["id"] for tool_call in message["tool_calls"]] == ["a", "b"]


def test_reasoning_that_nothing_follows_belongs_to_no_turn() -> None:
    written = messages(reasoning(CHATS), {"role": "user", "content": "Hi"}, reasoning(CHATS))

    assert written == [{"role": "user", "content": [text("Hi")]}]


@pytest.mark.parametrize("sealed", [None, "", "gemini:", "chat.x:damaged", "gAAAA"])
def test_what_is_no_seal_is_nothing(sealed: str | None) -> None:
    item = {"type": "reasoning", "encrypted_content": sealed}

    assert messages(item, call("a")) == [{"role": "assistant", "tool_calls": [as_chat("a")]}]


def test_reasoning_that_is_not_sealed_comes_back_as_it_is() -> None:
    one = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm. "}]}
    two = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "So."}]}
    (message,) = messages(one, call("a"), two, call("b"))

    assert message["reasoning_content"] == "Hm. So."


@pytest.mark.parametrize(
    "item",
    [
        {"content": None},
        {"content": [5, {"type": "reasoning_text"}]},
        {"summary": [{"type": "summary_text", "text": "Hm."}]},
        {"content": [{"type": "reasoning_text", "text": "Hm."}], "encrypted_content": "gAAAA"},
    ],
)
def test_summaries_and_reasoning_of_others_are_not_used(item: Json) -> None:
    (message,) = messages({"type": "reasoning", **item}, call("a"))

    assert "reasoning_content" not in message


def test_unsealed_reasoning_that_nothing_follows_belongs_to_no_turn() -> None:
    item = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm."}]}
    written = messages(item, {"role": "user", "content": "Hi"}, call("a"))

    assert "reasoning_content" not in written[1]
