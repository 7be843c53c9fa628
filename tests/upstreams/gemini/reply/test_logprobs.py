"""Log probabilities, after recorded ones."""

import msgspec

from jarvis_proxy.upstreams.gemini.reply.frames import LogprobsResult
from jarvis_proxy.upstreams.gemini.reply.logprobs import translate_logprobs
from jarvis_proxy.wire.chat_types import TokenLogprob, TopLogprob


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


def test_a_logarithm_of_nought_stays_a_number() -> None:
    actual = translate_logprobs(
        result(b'{"chosenCandidates":[{"token":"a","logProbability":"-Infinity"},{}]}')
    )

    assert [token.logprob for token in actual] == [-9999.0, 0.0]


def test_nothing_gives_nothing() -> None:
    assert translate_logprobs(result(b"{}")) == []
