"""What a chat answer has as its id, its tier and its end."""

import pytest

from tests.dialects.chat.answers import STOP, an_answer, ended


def test_an_answer_without_an_id_has_the_calls() -> None:
    answer = an_answer()
    answer.choice(0).finish(STOP)

    assert ended(answer)["id"] == "chatcmpl-req-1"


def test_an_id_in_openais_form_stays() -> None:
    answer = an_answer()
    answer.choice(0).begin("chatcmpl-x", None)
    answer.choice(0).finish(STOP)

    assert ended(answer)["id"] == "chatcmpl-x"


@pytest.mark.parametrize(("asked", "named"), [(True, "flex"), (False, None)])
def test_the_tier_is_sent_to_those_who_asked_for_one(asked: bool, named: str | None) -> None:
    answer = an_answer(service_tier=asked)
    answer.choice(0).finish(STOP)

    assert ended(answer, "flex").get("service_tier") == named
