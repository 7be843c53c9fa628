"""A choice of a stream at the socket: whole events, its end, errors, comments."""

import asyncio

import pytest

from tests.server.relay.streams import DONE, error_event, playing, stream
from tests.support.raw_upstream import Peer, Received, chat_chunk

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("cut", range(1, len(chat_chunk("é", None)), 7))
async def test_whole_events_only_whatever_the_cut(cut: int) -> None:
    event, last = chat_chunk("é"), chat_chunk(None, "stop")

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(event[:cut])
        await asyncio.sleep(0.01)
        await peer.chunk(event[cut:] + last[:cut])
        await asyncio.sleep(0.01)
        await peer.chunk(last[cut:] + DONE)
        await peer.last_chunk()

    response, _ = await stream(play)

    assert response.body == event + last + DONE
    assert response.whole


@pytest.mark.parametrize("end", ["chunk", "fin", "rst"])
async def test_cut_stream_ends_with_an_error_event_and_no_done(end: str) -> None:
    response, log = await stream(playing(chat_chunk("Hel"), b'data: {"half', end=end))

    assert error_event(response)["code"] == "upstream_truncated"
    assert response.body.startswith(chat_chunk("Hel"))
    assert b"[DONE]" not in response.body
    assert b"half" not in response.body
    assert response.whole
    assert "outcome=upstream_error code=upstream_truncated" in log


async def test_missing_done_is_added_when_every_choice_has_finished() -> None:
    sent = chat_chunk("Hi") + chat_chunk(None, "stop")

    response, _ = await stream(playing(sent))

    assert response.body == sent + DONE


async def test_answer_ends_at_done_though_the_upstream_holds_the_socket() -> None:
    sent = chat_chunk("Hi") + chat_chunk(None, "stop") + DONE

    response, _ = await stream(playing(sent, chat_chunk("late") + DONE, end="hold"))

    assert response.body == sent
    assert response.whole


async def test_error_in_the_first_event_becomes_a_status() -> None:
    event = b'data: {"error":{"message":"slow down","type":"rate_limit_error","code":"x"}}\n\n'

    response, _ = await stream(playing(event))

    assert response.status == 429
    assert response.error()["message"] == "slow down"


async def test_error_in_mid_stream_is_said_once_and_ends_the_stream() -> None:
    event = b'data: {"error":{"message":"broke","type":"server_error","code":"x"}}\n\n'

    response, _ = await stream(playing(chat_chunk("Hi") + event + chat_chunk("more")))

    assert response.body.startswith(chat_chunk("Hi"))
    assert error_event(response)["message"] == "broke"
    assert b"more" not in response.body


@pytest.mark.parametrize("comment", [b": processing\n\n", b"\n\n", b"\r\n\r\n"])
async def test_a_comment_of_the_upstream_is_no_answer_yet(comment: bytes) -> None:
    event = b'data: {"error":{"message":"slow down","type":"rate_limit_error","code":"x"}}\n\n'

    apart, _ = await stream(playing(comment, event))
    together, _ = await stream(playing(comment + event))

    assert (apart.status, together.status) == (429, 429)
