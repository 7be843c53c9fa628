"""Chat answers: their choices, and where thoughts go."""

from tests.dialects.chat.answers import STOP, an_answer, ended, message


def test_choices_come_in_order_and_only_those_that_ended() -> None:
    answer = an_answer()
    for index in (2, 0, 1):
        answer.choice(index).text(str(index))
    for index in (2, 0):
        answer.choice(index).finish(STOP)

    choices = ended(answer)["choices"]
    assert [(c["index"], c["message"]["content"]) for c in choices] == [(0, "0"), (2, "2")]


def test_thoughts_go_into_the_content_of_clients_that_name_a_tag() -> None:
    answer = an_answer(think_tag="think")
    sink = answer.choice(0)
    sink.thought("hm")
    sink.text("Hi")
    sink.finish(STOP)

    assert message(answer)["content"] == "<think>hm</think>Hi"
