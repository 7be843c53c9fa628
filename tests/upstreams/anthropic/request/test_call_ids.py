"""Tool call ids that Anthropic takes, on a call and on its result alike."""

import pytest

from tests.upstreams.anthropic.chat import (
    assistant,
    call,
    result,
    turns_for,
    user,
)


@pytest.mark.parametrize(
    ("call_id", "sent"),
    [
        ("call_1", "call_1"),
        ("toolu_01", "toolu_01"),
        ("a.b:c d", "a_b_c_d"),
        ("", "toolu_1"),
        ("call_1__thought__QUJD", "call_1"),
    ],
)
def test_x6_ids_are_made_legal_on_call_and_result(call_id: str, sent: str) -> None:
    turns = turns_for(user(), assistant(None, call(call_id)), result(call_id))

    assert turns[1][1][0]["id"] == sent
    assert turns[2][1][0]["tool_use_id"] == sent


def test_x6_equal_ids_are_numbered_on_call_and_result() -> None:
    step = [assistant(None, call("c")), result("c", "x")]
    turns = turns_for(user(), *step, *step, assistant(None, call("c_2")), result("c_2", "y"))

    assert [turns[i][1][0]["id"] for i in (1, 3, 5)] == ["c", "c_2", "c_2_2"]
    assert [turns[i][1][0]["tool_use_id"] for i in (2, 4, 6)] == ["c", "c_2", "c_2_2"]
