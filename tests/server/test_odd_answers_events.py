"""Events that official SDKs can read are relayed, however odd."""

import json

import pytest

from tests.server.odd_answers import DONE, FINISH, WHOLE, Json, ask, events, replying, streaming
from tests.support.raw_upstream import Peer, Received, chat_chunk, completion

pytestmark = pytest.mark.slow


HALVES = (
    b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"\\ude00"}}]}\n\n',
)
INFINITE = (
    b'data: {"choices":[{"index":0,"delta":{"content":"a"},"logprobs":'
    b'{"content":[{"token":"a","logprob":-Infinity}]}}]}\n\n'
)


@pytest.mark.parametrize(
    "pieces",
    [
        (*HALVES, FINISH, DONE),
        (HALVES[0] + HALVES[1] + FINISH + DONE,),
        (INFINITE, FINISH, DONE),
        (INFINITE + FINISH, DONE),
        (FINISH.replace(b'"index": 0', b'"index": "0"'), DONE),
        (b'data: {"choices":[{"index":0,"finish_reason":"stop"}],"usage":[]}\n\n', DONE),
    ],
    ids=[
        "halves",
        "halves-at-once",
        "inf",
        "inf-at-once",
        "index",
        "usage",
    ],
)
async def test_what_sdks_read_is_relayed(pieces: tuple[bytes, ...]) -> None:
    response, log = await ask(streaming(*pieces))

    assert response.body == b"".join(pieces)
    assert "outcome=ok" in log


async def test_a_choice_that_is_odd_still_finishes_the_answer() -> None:
    """No ``[DONE]`` comes: that the answer is whole is known by the finish reason alone."""
    odd = b'data: {"choices":[{"index":0.0,"delta":{"x":"\\ud83d"},"finish_reason":"stop"}]}\n\n'

    response, _ = await ask(streaming(odd))

    assert response.body == odd + DONE


@pytest.mark.parametrize(
    "junk",
    [
        b"data: junk\n\n",
        b"data: <html>\n\n",
        b'data: {"error":{"message":"late"}}\n\n',
        b'event: error\ndata: {"message":"late"}\n\n',
        b'data: {"detail":"late"}\n\n',
        b'data: {"half',
        b"data: [1]\n\n",
        b"junk\n\n",
    ],
    ids=lambda junk: junk[:24].decode().strip(),
)
@pytest.mark.parametrize("end", ["chunk", "rst", "bad chunk"])
async def test_after_a_finish_reason_nothing_makes_it_an_error(junk: bytes, end: str) -> None:
    usage = chat_chunk(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 2})
    head = chat_chunk("Hé") + FINISH

    response, log = await ask(streaming(head, usage, junk, end=end))
    together, _ = await ask(streaming(head + usage + junk, end=end))

    assert response.body == together.body == head + usage + DONE
    assert response.whole
    assert "outcome=ok" in log
    assert "prompt_tokens=3 completion_tokens=2" in log


async def test_usage_behind_junk_is_relayed() -> None:
    usage = chat_chunk(choices=[], usage={"prompt_tokens": "3", "completion_tokens": 2.0})

    response, log = await ask(streaming(FINISH, b"data: junk\n\n", usage, DONE))

    assert response.body == FINISH + usage + DONE
    assert "prompt_tokens=3 completion_tokens=2" in log


@pytest.mark.parametrize("end", ["hold"])
async def test_silence_after_a_finish_reason_ends_the_answer(end: str) -> None:
    response, log = await ask(
        streaming(chat_chunk("Hé"), FINISH, end=end), IDLE_TIMEOUT="0.5", FIRST_BYTE_TIMEOUT="0.5"
    )

    assert response.body == chat_chunk("Hé") + FINISH + DONE
    assert response.whole
    assert "outcome=ok" in log


async def test_an_endless_event_after_a_finish_reason_ends_the_answer() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(FINISH + b"data: ")
        for _ in range(40):
            await peer.chunk(b"x" * 1024 * 1024)

    response, _ = await ask(play)

    assert response.body == FINISH + DONE


async def test_before_every_finish_reason_an_error_is_one() -> None:
    chunk = chat_chunk(choices=[{"index": i, "delta": {"content": "a"}} for i in range(2)])

    response, _ = await ask(streaming(chunk, FINISH, b"data: junk\n\n", DONE))

    assert events(response)[-1]["error"]["code"] == "upstream_bad_frame"


USAGE = {"prompt_tokens": 3, "completion_tokens": 2}


@pytest.mark.parametrize(
    "more",
    [
        {"usage": USAGE},
        {"usage": {"prompt_tokens": "3", "completion_tokens": 2.0, "total_tokens": []}},
        {"usage": None, "x_groq": {"usage": USAGE}},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}]},
        {"choices": [{"index": 0, "finish_reason": "stop", "usage": USAGE}], "usage": []},
    ],
    ids=["usage", "odd", "groq", "choice", "list"],
)
async def test_usage_is_counted_wherever_it_stands(more: Json) -> None:
    chunk = chat_chunk(None, "stop", **more)
    whole = json.loads(completion()) | {"usage": None} | more

    streamed, stream_log = await ask(streaming(chunk, DONE))
    response, log = await ask(replying(json.dumps(whole).encode()), WHOLE)

    assert streamed.body == chunk + DONE
    assert json.loads(response.body) == whole
    for text in (stream_log, log):
        assert "prompt_tokens=3 completion_tokens=2" in text
