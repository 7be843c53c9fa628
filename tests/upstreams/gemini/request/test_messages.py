"""messages: a conversation as Google wants it."""

import json
from typing import Any

import msgspec
import pytest

from jarvis_proxy.canonical.chat_request import ChatMessage
from jarvis_proxy.canonical.function_names import FunctionNames
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.model_traits import traits_of
from jarvis_proxy.upstreams.gemini.recovery import RequestFallbacks
from jarvis_proxy.upstreams.gemini.request.content import ContentReader
from jarvis_proxy.upstreams.gemini.request.messages import build_messages, results_last
from jarvis_proxy.upstreams.gemini.request.signature_lookup import PLACEHOLDER, SignatureResolver
from jarvis_proxy.upstreams.gemini.request.tool_results import MISSING
from jarvis_proxy.upstreams.gemini.request.tools import GEMINI_NAMES
from jarvis_proxy.upstreams.gemini.request.types import Content, FunctionResponse, Part
from jarvis_proxy.upstreams.gemini.signature_store import StoredSignature
from tests.upstreams.gemini.chat import (
    NEWEST,
    OLD,
    PNG,
    DictSignatureStore,
    called,
    plan_for,
    result,
    user,
)

Json = dict[str, Any]
PREFILLING = "gemini-3.5-flash"
PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
BLOB = {"inlineData": {"mimeType": "image/png", "data": PNG}}


class Built:
    """Contents and what else came of messages."""

    def __init__(self, *messages: Json, model: str = NEWEST, store: Any = None) -> None:
        traits = traits_of(model)
        self.notes = IgnoredParams()
        built = build_messages(
            msgspec.convert(messages, list[ChatMessage]),
            traits=traits,
            reader=ContentReader(traits, {}),
            resolver=SignatureResolver(traits, DictSignatureStore(store), 0.0),
            names=FunctionNames(["f", "9f"], rule=GEMINI_NAMES),
            ignored=self.notes,
        )
        self.contents: list[Json] = msgspec.to_builtins(built.contents)
        self.system = built.system

    @property
    def short(self) -> list[tuple[str, list[str]]]:
        return [(c["role"], [_short(part) for part in c["parts"]]) for c in self.contents]


def _short(part: Json) -> str:
    signature = "" if part.get("thoughtSignature") in (None, PLACEHOLDER) else " signed"
    if "text" in part:
        return f"{part['text']}{signature}"
    if "functionCall" in part:
        return f"call {part['functionCall'].get('id')}{signature}"
    if "functionResponse" in part:
        return f"result {part['functionResponse'].get('id')}"
    return "media"


def said(text: object, **fields: object) -> Json:
    return {"role": "assistant", "content": text, **fields}


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([user("a")], [("user", ["a"])]),
        ([user("a"), user("b")], [("user", ["a", "b"])]),
        ([user("a"), user([PICTURE]), user("b")], [("user", ["a", "media", "b"])]),
        ([user("")], [("user", [" "])]),
        ([user(None), user("a")], [("user", ["a"])]),
        ([user([])], [("user", [" "])]),
        (
            [user("a"), said("b"), said("c"), user("d")],
            [("user", ["a"]), ("model", ["b", "c"]), ("user", ["d"])],
        ),
        ([user("a"), said(""), user("b")], [("user", ["a", "b"])]),
        ([user("a"), said(None), said([]), user("b")], [("user", ["a", "b"])]),
        (
            [user("a"), said("b", refusal="No."), user("c")],
            [("user", ["a"]), ("model", ["b", "No."]), ("user", ["c"])],
        ),
        (
            [user("a"), said([{"type": "refusal", "refusal": "No."}]), user("c")],
            [("user", ["a"]), ("model", ["No."]), ("user", ["c"])],
        ),
        ([said("a"), user("b")], [("model", ["a"]), ("user", ["b"])]),
        (
            [user("q"), called("a", content="wait"), result("a"), user("and")],
            [("user", ["q"]), ("model", ["wait", "call a"]), ("user", ["result a", "and"])],
        ),
        (
            [user("q"), said("first"), called("a"), result("a"), said("done"), user("x")],
            [
                ("user", ["q"]),
                ("model", ["first", "call a"]),
                ("user", ["result a"]),
                ("model", ["done"]),
                ("user", ["x"]),
            ],
        ),
        (
            [user("q"), called("a", "b"), result("b"), user("between"), result("a")],
            [
                ("user", ["q"]),
                ("model", ["call a", "call b"]),
                ("user", ["result a", "result b", "between"]),
            ],
        ),
        (
            [user("q"), called("a"), called("b"), result("a"), result("b")],
            [
                ("user", ["q"]),
                ("model", ["call a"]),
                ("user", ["result a"]),
                ("model", ["call b"]),
                ("user", ["result b"]),
            ],
        ),
        (
            [called("a"), result("a")],
            [("user", [" "]), ("model", ["call a"]), ("user", ["result a"])],
        ),
        ([user("q"), result("a", "42")], [("user", ["q", "Tool result (a): 42"])]),
    ],
    ids=lambda value: None,
)
def test_turns_alternate_and_keep_their_parts(
    messages: list[Json], expected: list[tuple[str, list[str]]]
) -> None:
    assert expected == Built(*messages).short


def test_instructions_of_system_and_developer_are_collected_in_order() -> None:
    built = Built(
        {"role": "system", "content": "one"},
        user("a"),
        {"role": "developer", "content": [{"type": "text", "text": "two"}, "three"]},
        {"role": "system", "content": ""},
    )

    assert built.system == ["one", "two", "three"]
    assert built.short == [("user", ["a"])]


def test_a_system_message_that_is_not_text_names_its_part() -> None:
    with pytest.raises(ProxyError) as caught:
        Built(user(), {"role": "system", "content": [PICTURE]})

    assert caught.value.param == "messages[1].content[0].type"


@pytest.mark.parametrize(
    ("model", "expected", "ignored"),
    [
        (PREFILLING, [("user", ["a"]), ("model", ["b"])], ()),
        (OLD, [("user", ["a"]), ("model", ["b"])], ()),
        (
            NEWEST,
            [("user", ["a"]), ("model", ["b"]), ("user", ["Continue."])],
            ("messages[1].prefill",),
        ),
        (
            "gemini-4-carbon",
            [("user", ["a"]), ("model", ["b"]), ("user", ["Continue."])],
            ("messages[1].prefill",),
        ),
    ],
)
def test_a_prefill_is_continued_where_the_model_does_not(
    model: str, expected: list[tuple[str, list[str]]], ignored: tuple[str, ...]
) -> None:
    built = Built(user("a"), said("b"), user(""), model=model)

    assert (expected, ignored) == (built.short, built.notes.names)


def test_the_oldest_models_want_the_user_first() -> None:
    assert Built(said("a"), user("b"), model="gemini-2.0-flash").short[0] == ("user", [" "])


def test_a_call_without_a_result_gets_an_error_for_one() -> None:
    built = Built(user(), called("a", "b"), result("b"), user("go on"))
    results = built.contents[2]["parts"]

    assert results[0]["functionResponse"]["response"] == {"error": MISSING}
    assert results[1]["functionResponse"]["response"] == {"output": "ok"}
    assert built.notes.names == ("messages[1].tool_calls[0]",)


def test_an_orphan_result_becomes_the_users_words_with_its_pictures() -> None:
    sent = [{"type": "text", "text": "seen"}, PICTURE]
    built = Built(user("q"), {"role": "tool", "name": "f", "content": sent}, {"role": "function"})

    assert built.short == [
        ("user", ["q", "Tool result (f): seen", "media", "Tool result (unknown): "])
    ]
    assert built.notes.names == ("messages[1]", "messages[2]")


def test_pictures_of_a_result_follow_all_results_on_older_models() -> None:
    built = Built(user("q"), called("a", "b"), result("a", [PICTURE]), result("b"), model=OLD)

    assert built.short[2] == (
        "user",
        ["result None", "result None", "[image returned by f]", "media"],
    )


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (("x", "x"), ["x", "x_1"]),
        (("", ""), ["call_1", "call_2"]),
        (("call_1", "", "call_1"), ["call_1", "call_2", "call_1_1"]),
        (("a__thought__QUJD",), ["a"]),
    ],
)
def test_ids_are_the_same_on_both_sides_and_unique(
    ids: tuple[str, ...], expected: list[str]
) -> None:
    built = Built(user(), called(*ids), *(result(call_id) for call_id in ids))
    calls = [part["functionCall"]["id"] for part in built.contents[1]["parts"]]
    results = [part["functionResponse"]["id"] for part in built.contents[2]["parts"]]

    assert expected == calls == results


def test_the_models_own_id_goes_back_to_it() -> None:
    store = {"call_a": StoredSignature("QUJD", "jm4owj31")}
    built = Built(user(), called("call_a"), result("call_a"), store=store)

    assert built.short[1:] == [("model", ["call jm4owj31 signed"]), ("user", ["result jm4owj31"])]
    assert "id" not in json.dumps(
        Built(user(), called("call_a"), result("call_a"), store=store, model=OLD).contents
    )


def test_names_are_gemini_s_on_both_sides() -> None:
    built = Built(user(), called("a", name="9f"), result("a"))

    assert built.contents[1]["parts"][0]["functionCall"]["name"] == "_9f"
    assert built.contents[2]["parts"][0]["functionResponse"]["name"] == "_9f"


def test_the_first_call_of_each_step_is_signed_and_siblings_stay_bare() -> None:
    built = Built(user(), called("a", "b"), result("a"), result("b"), called("c"), result("c"))
    signatures = [
        part.get("thoughtSignature")
        for content in built.contents
        for part in content["parts"]
        if "functionCall" in part
    ]

    assert signatures == [PLACEHOLDER, None, PLACEHOLDER]


def test_a_message_s_signature_goes_on_its_last_text() -> None:
    signed = {"extra_content": {"google": {"thought_signature": "QUJD"}}}
    built = Built(user(), said(["a", "b"], **signed), user(), said("", **signed), user())

    assert built.short[1] == ("model", ["a", "b signed"])


def test_a_spoken_answer_goes_back_as_its_transcript() -> None:
    built = Built(
        user("a"),
        said(None, audio={"id": "x", "transcript": "spoken"}),
        user("b"),
        said("written", audio={"id": "y", "transcript": "spoken"}),
        said(None, audio={"id": "z"}),
        user("c"),
    )

    assert [texts for role, texts in built.short if role == "model"] == [["spoken"], ["written"]]
    assert built.notes.names == ("messages[1].audio", "messages[3].audio", "messages[4].audio")


IMAGES = [
    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    {"image_url": f"data:image/png;base64,{PNG}"},
    {"image_url": {"url": "https://x.test/a.png"}},
    {"image_url": {"url": 3}},
    "junk",
]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gemini-3-pro-image", [("model", ["here"]), ("user", ["media", "media", "bluer"])]),
        (NEWEST, [("model", ["here"]), ("user", ["bluer"])]),
    ],
)
def test_pictures_that_the_model_made_go_back_as_the_user_s(
    model: str, expected: list[tuple[str, list[str]]]
) -> None:
    built = Built(user("paint"), said("here", images=IMAGES), user("bluer"), model=model)

    assert expected == built.short[1:]


def test_pictures_that_are_no_list_are_passed_over() -> None:
    built = Built(user(), said("here", images="x"), user("b"), model="gemini-3-pro-image")

    assert built.short[1:] == [("model", ["here"]), ("user", ["b"])]


def test_a_picture_in_an_assistant_s_content_goes_to_the_user() -> None:
    built = Built(user("a"), said(["look", PICTURE]), user("b"))

    assert built.short == [("user", ["a"]), ("model", ["look"]), ("user", ["media", "b"])]
    assert built.contents[2]["parts"][0] == BLOB


def test_thoughts_and_annotations_of_the_past_are_not_sent() -> None:
    extras = {
        "reasoning_content": "hm",
        "reasoning": "hm",
        "thinking_blocks": [{"thinking": "hm"}],
        "annotations": [{"type": "url_citation"}],
        "name": "bot",
    }
    built = Built(
        user(
            "a",
        )
        | {"name": "bob"},
        said("b", **extras),
        user("c"),
    )

    assert built.short == [("user", ["a"]), ("model", ["b"]), ("user", ["c"])]
    assert built.notes.names == ()


@pytest.mark.slow
def test_thousands_of_equal_ids_are_told_apart_quickly() -> None:
    """Each id continues its own count, so this is linear; quadratic would take minutes."""
    ids = ["x"] * 20_000
    built = Built(user(), called(*ids), *(result(call_id) for call_id in ids))
    sent = {part["functionCall"]["id"] for part in built.contents[1]["parts"]}

    assert len(sent) == len(ids)


# -- media that the model does not take --------------------------------------------------------

GIF = {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlh"}}
LEFT_OUT = "[image/gif left out: the model cannot read it]"


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([user([GIF]), said("a"), user()], "messages[0].content[0]"),
        ([user([GIF, GIF]), called("a"), result("a")], "messages[0].content[0]"),
        ([user(), said([GIF]), user()], "messages[1].content[0]"),
        ([user(), called("a"), result("a", [GIF])], "messages[2].content[0]"),
        ([user(), called("a"), result("a", [GIF]), said("b"), user()], "messages[2].content[0]"),
        ([user(), result("a", [GIF]), user()], "messages[1].content[0]"),
    ],
    ids=["old turn", "before calls", "model", "result", "old", "orphan"],
)
def test_words_stand_for_a_picture_of_the_past(messages: list[Json], param: str) -> None:
    built = Built(*messages)

    assert LEFT_OUT in json.dumps(built.contents)
    assert "inlineData" not in json.dumps(built.contents)
    assert param in built.notes.names


@pytest.mark.parametrize(
    "messages",
    [
        [user([GIF])],
        [user(), said("a"), user([GIF])],
        [user(), said("a"), user([GIF]), user("and")],
        [user([GIF]), said("prefilled")],
    ],
    ids=["only turn", "last turn", "last of two messages", "before a prefill"],
)
def test_picture_in_the_last_turn_is_a_400(messages: list[Json]) -> None:
    with pytest.raises(ProxyError, match="does not take image/gif") as caught:
        Built(*messages)

    assert (caught.value.status, caught.value.code) == (400, "invalid_image_format")


def test_strict_parameters_do_not_stop_a_conversation() -> None:
    messages = [user([GIF]), said("a"), user()]

    plan = plan_for({"messages": messages}, strict_params=True)

    assert plan.ignored == ("messages[0].content[0]",)


def test_type_that_the_upstream_refused_is_left_out_of_the_past() -> None:
    bitmap = {"type": "image_url", "image_url": {"url": "data:image/bmp;base64,Qk0="}}
    refused = RequestFallbacks(refused_types=frozenset({"image/bmp"}))
    body = {"messages": [user([bitmap]), said("a"), user()]}

    assert b"image/bmp left out" in plan_for(body, fallbacks=refused).body
    assert b'"mimeType":"image/bmp"' in plan_for(body).body
    with pytest.raises(ProxyError, match="image/bmp"):
        plan_for({"messages": [user([bitmap])]}, fallbacks=refused)


def test_link_to_a_picture_of_the_past_is_left_out_where_links_are_passed() -> None:
    link = {"type": "image_url", "image_url": {"url": "https://example.com/a.gif"}}
    body = {"messages": [user([link]), said("a"), user()]}

    assert LEFT_OUT.encode() in plan_for(body, image_urls="pass").body


# -- what some models take for the model's last word -----------------------------------------------


def test_results_come_last_in_their_turn() -> None:
    contents = [
        Content("user", [Part(text="q")]),
        Content("user", [_answered("a"), Part(text="b"), _answered("c"), Part(text="d")]),
    ]

    assert results_last(contents)
    assert [part.text for part in contents[1].parts] == ["b", "d", None, None]
    assert not results_last(contents)


def _answered(name: str) -> Part:
    return Part(function_response=FunctionResponse(name, {}))
