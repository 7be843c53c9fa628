"""Finish reasons: the whole enum, and what it depends on."""

from typing import get_args

import pytest
from google.genai.types import FinishReason as NativeReason
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.upstreams.gemini.reply.finish_reasons import (
    is_malformed,
    meaningful_message,
    translate_finish,
)
from jarvis_proxy.wire.chat_types import FinishReason

# native → without calls and words, with words, with calls
TABLE = {
    "STOP": ("stop", "stop", "tool_calls"),
    "MAX_TOKENS": ("length", "length", "tool_calls"),
    "SAFETY": ("content_filter",) * 3,
    "RECITATION": ("content_filter",) * 3,
    "BLOCKLIST": ("content_filter",) * 3,
    "PROHIBITED_CONTENT": ("content_filter",) * 3,
    "SPII": ("content_filter",) * 3,
    "LANGUAGE": ("content_filter",) * 3,
    "ESCALATION": ("content_filter",) * 3,
    "PUP_LIMITED_DISABLED": ("content_filter",) * 3,
    "MODEL_ARMOR": ("content_filter",) * 3,
    "IMAGE_SAFETY": ("content_filter",) * 3,
    "IMAGE_PROHIBITED_CONTENT": ("content_filter",) * 3,
    "IMAGE_RECITATION": ("content_filter",) * 3,
    "IMAGE_OTHER": ("stop", "stop", "tool_calls"),
    "NO_IMAGE": ("stop", "stop", "tool_calls"),
    "OTHER": ("content_filter", "stop", "tool_calls"),
    "MALFORMED_FUNCTION_CALL": ("stop", "stop", "tool_calls"),
    "UNEXPECTED_TOOL_CALL": ("stop", "stop", "tool_calls"),
    "TOO_MANY_TOOL_CALLS": ("stop", "stop", "tool_calls"),
    "MALFORMED_RESPONSE": ("stop", "stop", "tool_calls"),
    "MISSING_THOUGHT_SIGNATURE": ("stop", "stop", "tool_calls"),
    "FINISH_REASON_UNSPECIFIED": ("stop", "stop", "tool_calls"),
    "CONTINUATION": ("length", "length", "tool_calls"),
    "": ("stop", "stop", "tool_calls"),
    "A_REASON_OF_NEXT_YEAR": ("stop", "stop", "tool_calls"),
    "PROMPT_BLOCKED:JAILBREAK": ("content_filter",) * 3,
}


@pytest.mark.parametrize("native", TABLE)
def test_each_reason_has_its_openai_word(native: str) -> None:
    actual = (
        translate_finish(native, has_tool_call=False, has_content=False),
        translate_finish(native, has_tool_call=False, has_content=True),
        translate_finish(native, has_tool_call=True, has_content=True),
    )

    assert TABLE[native] == actual


def test_every_reason_that_googles_sdk_knows_is_in_the_table() -> None:
    assert {reason.value for reason in NativeReason} <= TABLE.keys()


def test_case_of_the_enum_does_not_matter() -> None:
    assert translate_finish("max_tokens", has_tool_call=False, has_content=True) == "length"
    assert is_malformed("malformed_function_call")


@given(native=st.text(), called=st.booleans(), said=st.booleans())
def test_no_sixth_word_ever_comes_out(*, native: str, called: bool, said: bool) -> None:
    actual = translate_finish(native, has_tool_call=called, has_content=said)

    assert actual in get_args(FinishReason)


def test_exactly_the_calls_gone_wrong_are_malformed() -> None:
    malformed = {native for native in TABLE if is_malformed(native)}

    assert malformed == {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
    }


def test_only_a_message_that_says_something_is_passed_on() -> None:
    assert meaningful_message("Model generated function call(s).") is None
    assert meaningful_message("") is None
    assert meaningful_message(None) is None
    assert (
        meaningful_message("The response violated a filter.") == "The response violated a filter."
    )
