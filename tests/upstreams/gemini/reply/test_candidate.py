"""A candidate's parts, one kind after the other."""

import json
from typing import Any

import msgspec
import pytest

from jarvis_proxy.canonical.answer import CallStart, Finish
from jarvis_proxy.canonical.sealed_state import GEMINI, SealedState
from jarvis_proxy.upstreams.gemini.reply.candidate import (
    CandidateReader,
    is_audio,
    is_image,
    to_image,
    translate_logprobs,
)
from jarvis_proxy.upstreams.gemini.reply.frames import Blob, Candidate, LogprobsResult
from jarvis_proxy.wire.chat_types import TokenLogprob, TopLogprob
from tests.upstreams.gemini.replies import JSON, Choice, Plan, a_context, a_function_call, a_plan

PCM = "audio/L16;codec=pcm;rate=24000"


class Reading:
    """A reader that is fed candidates as JSON, and what it sent to its sink."""

    def __init__(self, plan: Plan | None = None) -> None:
        self.sink = Choice()
        self.reader = CandidateReader(a_context(plan), self.sink)

    def take(self, *parts: JSON, **more: Any) -> "Reading":
        candidate = {"content": {"parts": list(parts)}, **more}
        raw = json.dumps(candidate).encode()
        self.reader.take(msgspec.json.decode(raw, type=Candidate, strict=False))
        return self

    @property
    def received(self) -> list[tuple[str, Any]]:
        return self.sink.events

    @property
    def calls(self) -> list[tuple[CallStart, object]]:
        return self.sink.calls()

    @property
    def seals(self) -> list[Any]:
        return [value for kind, value in self.received if kind == "seal"]

    @property
    def content(self) -> str:
        return self.sink.joined("text")

    def end(self) -> Finish:
        self.reader.finish()
        assert self.sink.finished is not None
        return self.sink.finished


def test_text_is_text_and_thoughts_are_thoughts() -> None:
    reading = Reading().take({"text": "hm", "thought": True}, {"text": "so", "thought": False})

    assert reading.received == [("thought", "hm"), ("text", "so")]


def test_empty_parts_and_unknown_kinds_say_nothing() -> None:
    reading = Reading().take(
        {},
        {"text": ""},
        {"text": "", "thought": True},
        {"thought": True},
        {"toolCall": {"id": "x"}},
        {"toolResponse": {}},
        {"functionResponse": {"name": "f"}},
        {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}},
        {"inlineData": {"mimeType": "image/png"}},
    )

    assert reading.received == []
    assert reading.reader.unusable


def test_a_call_without_a_name_cannot_be_executed_and_is_none() -> None:
    reading = Reading().take({"functionCall": {}}, {"functionCall": {"name": "", "args": {}}})

    assert reading.received == []


def test_calls_are_counted_over_all_frames() -> None:
    reading = Reading().take(a_function_call("f")).take(a_function_call("f"), a_function_call("g"))

    assert [call.name for call, _ in reading.calls] == ["f", "f", "g"]
    assert len({call.id for call, _ in reading.calls}) == 3
    assert reading.end().reason == "tool_calls"


def test_of_parallel_calls_a_client_that_wants_one_gets_the_first() -> None:
    reading = Reading(a_plan(first_call_only=True))

    reading.take({**a_function_call("f"), "thoughtSignature": "s"}).take(a_function_call("g"))

    ((call, arguments),) = reading.calls
    assert (call.name, arguments) == ("f", "")
    assert reading.received[0] == ("seal", SealedState(GEMINI, "s"))


def test_a_legacy_client_gets_one_call() -> None:
    reading = Reading(a_plan(legacy_functions=True))

    reading.take(a_function_call("f", {"a": 1}), a_function_call("g"))

    ((call, arguments),) = reading.calls
    assert (call.name, arguments) == ("f", '{"a":1}')
    assert reading.end().reason == "tool_calls"


def test_a_call_in_pieces_is_put_together() -> None:
    reading = Reading()
    reading.take({"functionCall": {"name": "f", "willContinue": True}, "thoughtSignature": "s"})
    piece = {"jsonPath": "$.a", "stringValue": "x"}
    reading.take({"functionCall": {"partialArgs": [piece], "willContinue": True}})
    assert reading.calls == []

    reading.take({"functionCall": {}}).take(a_function_call("g"))

    assert [(call.name, arguments) for call, arguments in reading.calls] == [
        ("f", '{"a":"x"}'),
        ("g", ""),
    ]
    assert reading.received[0] == ("seal", SealedState(GEMINI, "s"))
    assert len(reading.seals) == 1


def test_thoughts_alone_are_no_answer() -> None:
    assert Reading().take({"text": "a", "thought": True}).reader.unusable


def test_code_and_its_output_are_fenced() -> None:
    reading = Reading().take(
        {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        {"executableCode": {"language": "LANGUAGE_UNSPECIFIED", "code": "x"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "no"}},
        {"executableCode": {}},
        {"codeExecutionResult": {}},
    )

    assert reading.content == "".join(
        [
            "\n```python\nprint(1)\n```\n",
            "\n```output\n1\n```\n",
            "\n```\nx\n```\n",
            "\n```output\nOUTCOME_FAILED\nno\n```\n",
            "\n```\n\n```\n",
            "\n```output\n\n```\n",
        ]
    )


def test_pictures_are_counted_and_sketches_made_while_thinking_are_not_shown() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}

    reading = Reading().take({**picture, "thought": True}, picture).take(picture)

    assert [(kind, value.index) for kind, value in reading.received] == [("image", 0), ("image", 1)]
    assert [sketch.image_url.url for sketch in reading.sink.sketches] == [
        "data:image/png;base64,AAAA"
    ]
    assert not reading.reader.unusable


def test_sound_goes_to_the_sink() -> None:
    reading = Reading().take({"inlineData": {"mimeType": "audio/L16", "data": "AAAA"}})

    assert reading.received == [("speech", ("audio/L16", "AAAA"))]
    assert reading.reader.has_content


@pytest.mark.parametrize(
    "parts",
    [
        [{"text": "a", "thoughtSignature": "s"}],
        [{"text": "a"}, {"text": "", "thoughtSignature": "s"}],
        [{"text": "", "thoughtSignature": "old"}, {"text": "a", "thoughtSignature": "s"}],
    ],
)
def test_a_texts_signature_has_a_place_of_its_own(parts: list[JSON]) -> None:
    reading = Reading().take(*parts)

    reading.end()

    assert reading.received == [
        ("text", "a"),
        ("seal", SealedState(GEMINI, "s")),
        ("finish", "stop"),
    ]


def test_signatures_of_other_parts_are_not_the_texts() -> None:
    reading = Reading().take(
        {"text": "hm", "thought": True, "thoughtSignature": "t"},
        {"thought": True, "thoughtSignature": "t"},
        {**a_function_call("f"), "thoughtSignature": "c"},
        {"toolCall": {}, "thoughtSignature": "x"},
        {"toolResponse": {}, "thoughtSignature": "x"},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thoughtSignature": "x"},
    )

    reading.end()

    assert reading.seals == [SealedState(GEMINI, "c")]


def test_the_last_finish_reason_counts() -> None:
    reading = Reading().take({"text": "a"}, finishReason="STOP").take(finishReason="SAFETY").take()

    assert (reading.reader.native, reading.end().reason) == ("SAFETY", "content_filter")


def test_a_finish_message_is_passed_on_where_it_means_something() -> None:
    assert Reading().take(finishMessage="Because.").end().message == "Because."
    assert Reading().take(finishMessage="Model generated function call(s).").end().message is None


def test_a_refused_prompt_ends_what_has_not_ended_itself() -> None:
    blocked, ended = Reading(), Reading().take(finishReason="STOP")
    for reading in (blocked, ended):
        reading.reader.block("PROMPT_BLOCKED:SAFETY", "why")

    refused, stopped = blocked.end(), ended.end()

    assert (refused.native, refused.message) == ("PROMPT_BLOCKED:SAFETY", "why")
    assert (stopped.native, stopped.message) == ("STOP", None)


def test_grounding_is_the_last_that_is_not_empty() -> None:
    full = {
        "groundingChunks": [{"web": {"uri": "u", "title": "t"}}],
        "groundingSupports": [{"segment": {"endIndex": 2}, "groundingChunkIndices": [0]}],
    }
    reading = Reading().take({"text": "a"}, groundingMetadata={})
    reading.take({"text": "b"}, groundingMetadata=full).take(groundingMetadata={})

    end = reading.end()

    assert end.grounding == full
    assert [a.url_citation.end_index for a in end.annotations] == [2]


def test_citations_are_gathered_once_each() -> None:
    one = {"citationSources": [{"endIndex": 5, "uri": "u"}]}
    two = {"citations": [{"endIndex": 5, "uri": "u"}, {"endIndex": 9, "uri": "v"}]}

    end = Reading().take(citationMetadata=one).take(citationMetadata=two).end()

    assert [citation["uri"] for citation in end.citations] == ["u", "v"]


def test_log_probabilities_go_to_the_sink_where_there_are_any() -> None:
    reading = Reading().take(logprobsResult={"chosenCandidates": [{"token": "a"}]})
    reading.take(logprobsResult={})

    ((kind, tokens),) = reading.received
    assert (kind, [token.token for token in tokens]) == ("logprobs", ["a"])


def test_a_continuation_token_is_kept_for_the_next_request() -> None:
    reading = Reading().take(continuationToken="t1").take()

    assert reading.reader.continuation_token == "t1"


def test_a_candidate_without_content_is_one() -> None:
    reading = Reading()
    reading.reader.take(Candidate(finish_reason="MAX_TOKENS"))

    assert reading.end().reason == "length"


def test_kinds_follow_from_the_type_and_only_where_there_is_data() -> None:
    assert is_image(Blob("image/png", "AA=="))
    assert is_image(Blob("IMAGE/PNG", "AA=="))
    assert is_audio(Blob(PCM, "AA=="))
    assert not any(is_image(b) for b in (Blob("image/png", ""), Blob(None, "AA=="), Blob(PCM, "A")))
    assert not any(is_audio(b) for b in (Blob(PCM, None), Blob("video/mp4", "AA==")))


def test_a_picture_is_a_data_url_in_the_standard_alphabet() -> None:
    image = to_image(Blob("image/png", "-_-_"), 3)

    assert image.image_url.url == "data:image/png;base64,+/+/"
    assert (image.index, image.type) == (3, "image_url")


def result(text: bytes) -> LogprobsResult:
    return msgspec.json.decode(text, type=LogprobsResult, strict=False)


def test_tokens_have_their_alternatives_and_their_bytes() -> None:
    actual = translate_logprobs(
        result(
            '{"chosenCandidates":[{"token":"é","tokenId":1,"logProbability":-0.5}],'
            '"topCandidates":[{"candidates":[{"token":"é","logProbability":-0.5},'
            '{"token":"e","logProbability":-4.0}]}]}'.encode()
        )
    )

    tops = [TopLogprob("é", -0.5, [0xC3, 0xA9]), TopLogprob("e", -4.0, [0x65])]
    assert [TokenLogprob("é", -0.5, [0xC3, 0xA9], tops)] == actual


def test_without_alternatives_each_token_stands_alone() -> None:
    actual = translate_logprobs(result(b'{"chosenCandidates":[{"token":"4"},{"token":"2"}]}'))

    assert actual == [TokenLogprob("4", 0.0, [0x34], []), TokenLogprob("2", 0.0, [0x32], [])]


def test_lists_that_differ_in_length_give_what_both_have() -> None:
    one_more = b'{"chosenCandidates":[{"token":"a"},{"token":"b"}],"topCandidates":[{}]}'
    one_less = b'{"chosenCandidates":[{"token":"a"}],"topCandidates":[{},{"candidates":[]}]}'

    assert [t.token for t in translate_logprobs(result(one_more))] == ["a"]
    assert [t.token for t in translate_logprobs(result(one_less))] == ["a"]


def test_a_logarithm_of_zero_stays_a_number() -> None:
    actual = translate_logprobs(
        result(b'{"chosenCandidates":[{"token":"a","logProbability":"-Infinity"},{}]}')
    )

    assert [token.logprob for token in actual] == [-9999.0, 0.0]


def test_nothing_gives_nothing() -> None:
    assert translate_logprobs(result(b"{}")) == []


def test_sound_made_while_thinking_goes_nowhere() -> None:
    sound = {"inlineData": {"mimeType": "audio/L16", "data": "AAAA"}, "thought": True}

    assert Reading().take(sound).received == []
