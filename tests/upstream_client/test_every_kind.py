"""What holds for every kind of call, over every way to an upstream, on both event loops."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from types import ModuleType
from typing import Any, Final
from unittest import mock

import pytest
import trustme

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstream_client.errors import NETWORK_ERRORS, ConnectError, map_read_error
from jarvis_proxy.upstream_client.response import UpstreamResponse
from tests.support.eventually import eventually
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.upstream_client import test_client, test_response, test_transport
from tests.upstream_client.routes import KEY, KINDS, LOOPS, WAYS, Kind, Way, Ways, rest, run_on
from tests.upstream_client.test_transport import Sink

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]

Test = Callable[[Ways, Way, Kind], Coroutine[Any, Any, None]]
OK = b'{"ok":true}'
MOST = b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n"
SECRET = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nx-of: another\r\n\r\nSECRET"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
STREAM = STREAM_HEAD + b"2\r\nab\r\n"
CHUNKS = b"2\r\nab\r\n0\r\n\r\n"
TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
every_way = pytest.mark.parametrize("way", WAYS)
every_loop = pytest.mark.parametrize("loop", LOOPS)


@pytest.fixture(scope="module")
def ways() -> Ways:
    return Ways(trustme.CA())


async def answer(peer: Peer, request: Received) -> None:
    """Answer; to a HEAD request with the head alone."""
    await peer.head(200, "application/json", length=len(OK))
    if request.method != "HEAD":
        await peer.send(OK)


def expected(kind: Kind) -> tuple[int, bytes]:
    return 200, b"" if kind.method == "HEAD" else OK


async def is_sent_whole_and_connections_are_reused(ways: Ways, way: Way, kind: Kind) -> None:
    async with ways.reached(way, answer) as (transport, upstream):
        for _ in range(3):
            assert await kind.read(transport) == expected(kind)

    assert upstream.connections == 1
    assert [seen.body for seen in upstream.received] == [kind.sent] * 3
    for seen in upstream.received:
        names = [name.lower() for name, _ in seen.headers]
        assert len(names) == len(set(names))
        assert seen.header("Authorization") == f"Bearer {KEY}"
        assert seen.header("Accept-Encoding") == "identity"
        authority = f"127.0.0.1:{upstream.port}"
        assert seen.header("Host") == authority
        assert seen.path == (f"http://{authority}/v1/any" if way == "proxy" else "/v1/any")
        assert (seen.header("Proxy-Authorization") is not None) is (way == "proxy")
        is_chunked = bool(kind.pieces) and not kind.has_length
        assert (seen.header("Transfer-Encoding") == "chunked") is is_chunked
        has_length = kind.method in ("POST", "DELETE") and not is_chunked
        assert (seen.header("Content-Length") is not None) is has_length


async def follows_no_redirect(ways: Ways, way: Way, kind: Kind) -> None:
    target = RawUpstream(answer)
    async with target.running():

        async def play(peer: Peer, request: Received) -> None:
            status = statuses.pop()
            await peer.head(status, None, extra=[f"Location: {target.base_url}/steal"], length=0)

        statuses = [308, 307, 303, 302, 301]
        async with ways.reached(way, play) as (transport, _):
            for status in reversed(statuses[:]):
                assert (await kind.read(transport))[0] == status

    assert target.connections == 0


async def forgets_cookies_and_unpacks_nothing(ways: Ways, way: Way, kind: Kind) -> None:
    packed = b"\x1f\x8bnot really"

    async def play(peer: Peer, request: Received) -> None:
        extra = ["Set-Cookie: of=one-client; Path=/", "Content-Encoding: gzip"]
        await peer.head(200, None, extra=extra, length=len(packed))
        if request.method != "HEAD":
            await peer.send(packed)

    async with ways.reached(way, play) as (transport, upstream):
        for _ in range(2):
            _, body = await kind.read(transport)
            assert body == (b"" if kind.method == "HEAD" else packed)

    assert [seen.header("Cookie") for seen in upstream.received] == [None, None]


async def is_sent_again_once_on_a_connection_that_was_closed_idle(
    ways: Ways, way: Way, kind: Kind
) -> None:
    async def play(peer: Peer, request: Received) -> None:
        if len(upstream.received) > 1 and upstream.connections < wanted:
            peer.reset()
            return
        await answer(peer, request)

    wanted = 2  # connections until the upstream answers again
    async with ways.reached(way, play) as (transport, upstream):
        assert await kind.read(transport) == expected(kind)
        if kind.is_sent_again:
            assert await kind.read(transport) == expected(kind)
            wanted = 99
        with pytest.raises(ProxyError) as failed:
            await kind.read(transport)

    assert failed.value.code == "upstream_disconnected"
    assert not isinstance(failed.value, ConnectError)
    # An upload whose connection is reset while it is sent may not arrive as a request at all.
    assert len(upstream.received) == 5 if kind.is_sent_again else len(upstream.received) <= 2


async def is_never_sent_again_after_a_byte(ways: Ways, way: Way, kind: Kind) -> None:
    async def play(peer: Peer, request: Received) -> None:
        if len(upstream.received) == 1:
            await answer(peer, request)
            return
        await peer.send(said)
        await asyncio.sleep(0.02)  # a reset overtakes what is not read yet
        peer.reset()

    all_said = (b"H", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: y\r\n")
    for said in all_said:  # noqa: B007 - read by play
        async with ways.reached(way, play) as (transport, upstream):
            assert await kind.read(transport) == expected(kind)
            with pytest.raises(ProxyError) as failed:
                await kind.read(transport)
        assert failed.value.code == "upstream_disconnected"
        assert len(upstream.received) == 2


async def answer_that_is_cut_is_an_error(ways: Ways, way: Way, kind: Kind) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.send(MOST + b"half")
        await asyncio.sleep(0.02)
        end(peer)

    for end in (Peer.close, Peer.reset):  # noqa: B007 - read by play
        async with ways.reached(way, play) as (transport, _):
            response = await kind.send(transport)
            with pytest.raises(NETWORK_ERRORS) as cut:
                await rest(response)
            response.close()
        assert map_read_error(cut.value).code == "upstream_truncated"


async def bytes_on_an_idle_connection_are_nobodys_answer(ways: Ways, way: Way, kind: Kind) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await answer(peer, request)
        if "first" in request.path:
            await pooled.wait()
            await peer.send(unasked)

    all_unasked = (SECRET, SECRET[:40], SECRET[:-3], TIMEOUT, b"H", b"\r\n", b"junk", b"\0")
    for unasked in all_unasked:  # noqa: B007 - read by play
        pooled = asyncio.Event()
        async with ways.reached(way, play) as (transport, upstream):
            assert await kind.read(transport, "/first") == expected(kind)
            pooled.set()
            await eventually(lambda: upstream.open_connections == 0)
            for _ in range(2):
                response = await kind.send(transport)
                assert (response.status, await rest(response)) == expected(kind)
                assert "x-of" not in response.headers
                response.release_at_end()
        assert upstream.connections == 2


async def bytes_behind_an_answer_cost_the_connection(ways: Ways, way: Way, kind: Kind) -> None:
    async def play(peer: Peer, request: Received) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(OK)
        await peer.send(head + (b"" if request.method == "HEAD" else OK) + behind)
        if (await peer.reader.read(1)) != b"":
            raise AssertionError("another request came on this connection")

    for behind in (SECRET, SECRET[:40], TIMEOUT, b"H", b"junk", b"\0"):  # noqa: B007 - read by play
        async with ways.reached(way, play) as (transport, upstream):
            for _ in range(3):
                assert await kind.read(transport) == expected(kind)
        assert upstream.connections == 3


async def early_answer_arrives(ways: Ways, way: Way, kind: Kind) -> None:
    """The upstream answers before it has read the body, and never reads it."""
    refused = asyncio.Event()

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        peer = Peer(reader, writer)
        await peer.reply(b"too large", 413)
        await refused.wait()
        writer.close()

    big = Kind(
        kind.name,
        body=b"x" * 30_000_000 if kind.body else b"",
        pieces=(b"x" * 1_000_000,) * 30 if kind.pieces else (),
        has_length=kind.has_length,
    )
    upstream = RawUpstream(answer)
    upstream.serve = early  # type: ignore[method-assign]
    async with ways.to(way, upstream) as (transport, _):
        assert await big.read(transport) == (413, b"too large")
        refused.set()


async def cancelled_call_closes_its_connection(ways: Ways, way: Way, kind: Kind) -> None:
    async def play(peer: Peer, request: Received) -> None:
        asked.set()
        await peer.closed()

    asked = asyncio.Event()
    async with ways.reached(way, play) as (transport, upstream):
        task = asyncio.create_task(kind.send(transport))
        await asyncio.wait_for(asked.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: upstream.open_connections == 0)


async def without_a_key_there_are_no_credentials(ways: Ways, way: Way, kind: Kind) -> None:
    async with ways.reached(way, answer) as (transport, upstream):
        response = await transport.send(kind.request(), None, kind.upload())
        response.close()

    assert [seen.header("Authorization") for seen in upstream.received] == [None]


async def path_is_asked_as_it_stands(ways: Ways, way: Way, kind: Kind) -> None:
    path = "/files/a%2Fb/%E2%82%AC?after=%20x&x=a+b&y=%3F"
    async with ways.reached(way, answer) as (transport, upstream):
        await kind.read(transport, path)

    (seen,) = upstream.received
    before = f"http://127.0.0.1:{upstream.port}" if way == "proxy" else ""
    assert seen.path == f"{before}/v1/any{path}"


async def environment_leads_nowhere_else(ways: Ways, way: Way, kind: Kind) -> None:
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    with mock.patch.dict(os.environ, dict.fromkeys(names, "http://127.0.0.1:9")):
        async with ways.reached(way, answer) as (transport, _):
            assert await kind.read(transport) == expected(kind)


async def is_sent_once_on_a_fresh_connection(ways: Ways, way: Way, kind: Kind) -> None:
    async def play(peer: Peer, request: Received) -> None:
        end(peer)

    for end in (Peer.close, Peer.reset):  # noqa: B007 - read by play
        async with ways.reached(way, play) as (transport, upstream):
            with pytest.raises(ProxyError) as failed:
                await kind.read(transport)
        assert failed.value.code == "upstream_disconnected"
        assert not isinstance(failed.value, ConnectError)
        assert len(upstream.received) == 1


async def connection_is_kept_if_the_end_comes_after_finish(
    ways: Ways, way: Way, kind: Kind
) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.send(STREAM)
        await finished.wait()
        await peer.send(b"0\r\n\r\n")

    async with ways.reached(way, play) as (transport, upstream):
        for _ in range(2):
            finished = asyncio.Event()
            response = await kind.send(transport)
            assert await response.readany() == b"ab"
            response.release_at_end()
            finished.set()
            await eventually(lambda response=response: response.is_complete)  # type: ignore[misc] # mypy's limit
        assert upstream.connections == 1


async def connection_is_closed_if_the_end_does_not_come(ways: Ways, way: Way, kind: Kind) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.send(STREAM)
        await peer.closed()

    with mock.patch("jarvis_proxy.upstream_client.response._DRAIN_SECONDS", 0.02):
        async with ways.reached(way, play) as (transport, upstream):
            response = await kind.send(transport)
            response.release_at_end()
            await eventually(lambda: upstream.open_connections == 0)


async def close_closes_at_once(ways: Ways, way: Way, kind: Kind) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.send(STREAM)
        await peer.closed()

    async with ways.reached(way, play) as (transport, upstream):
        response = await kind.send(transport)
        response.close()
        await eventually(lambda: upstream.open_connections == 0)


async def broken_chunk_is_no_silence(ways: Ways, way: Way, kind: Kind) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.send(STREAM)
        await read_on.wait()
        await peer.send(b"zz\r\nnonsense")
        await peer.closed()

    read_on = asyncio.Event()
    async with ways.reached(way, play) as (transport, _):
        response = await kind.send(transport)
        assert await response.readany() == b"ab"
        read_on.set()
        with pytest.raises(NETWORK_ERRORS) as failed:
            await asyncio.wait_for(response.readany(), 5)
        response.close()
    assert map_read_error(failed.value).code == "upstream_truncated"


async def answers_of_every_kind_follow_each_other(ways: Ways, way: Way, kind: Kind) -> None:
    async def play(peer: Peer, request: Received) -> None:
        head, body = answers[len(upstream.received) - 1]
        await peer.send(head + (b"" if request.method == "HEAD" else body))

    answers = [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"{}"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + STREAM_HEAD, CHUNKS),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\n", b"none"),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    ]
    async with ways.reached(way, play) as (transport, upstream):
        seen = [await kind.read(transport) for _ in answers]

    bodies = [b""] * 6 if kind.method == "HEAD" else [b"{}", b"", b"ab", b"none", b"", b""]
    assert seen == list(zip([200, 204, 200, 404, 304, 200], bodies, strict=True))
    assert upstream.connections == (2 if kind.method == "HEAD" else 1)  # chunks may follow there


async def pieces_are_pushed_and_wait_for_room(ways: Ways, way: Way, kind: Kind) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.send(STREAM_HEAD)
        for number in range(30):
            await peer.chunk(b"%d;" % number)
            await asyncio.sleep(0)
        await peer.last_chunk()

    async with ways.reached(way, play) as (transport, upstream):
        for room in (1, 3, 1000):
            response = await kind.send(transport)
            pieces: list[bytes] = []
            more = True
            while more:
                sink = Sink(room)
                more = await asyncio.wait_for(response.stream_to(sink), 5)
                pieces += sink.pieces
            response.release_at_end()
            assert b"".join(pieces) == b"".join(b"%d;" % number for number in range(30))
        assert upstream.connections == 1


async def cut_reaches_who_waits_for_a_push(ways: Ways, way: Way, kind: Kind) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.send(STREAM)
        await eventually(lambda: sink.pieces)
        end(peer)

    for end in (Peer.close, Peer.reset):  # noqa: B007 - read by play
        sink = Sink()
        async with ways.reached(way, play) as (transport, _):
            response = await kind.send(transport)
            with pytest.raises(NETWORK_ERRORS):
                await asyncio.wait_for(_push_all(response, sink), 5)
            response.close()
        assert sink.pieces == [b"ab"]


async def _push_all(response: UpstreamResponse, sink: Sink) -> None:
    while await response.stream_to(sink):
        pass


async def cancelled_push_leaves_the_answer_readable(ways: Ways, way: Way, kind: Kind) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.send(STREAM_HEAD)
        await go_on.wait()
        await peer.send(CHUNKS)

    go_on = asyncio.Event()
    async with ways.reached(way, play) as (transport, _):
        response = await kind.send(transport)
        pushing = asyncio.create_task(response.stream_to(Sink()))
        await asyncio.sleep(0)
        pushing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pushing
        go_on.set()
        assert await asyncio.wait_for(rest(response), 5) == b"ab"
        response.release_at_end()


async def second_answer_head_never_changes_the_status(ways: Ways, way: Way, kind: Kind) -> None:
    """The end of one answer and a part of another come in one read."""

    async def play(peer: Peer, request: Received) -> None:
        if "first" in request.path:
            await peer.send(b"HTTP/1.1 204 No Content\r\n\r\n" + SECRET[: len(SECRET) - 8])
            return
        await answer(peer, request)

    async with ways.reached(way, play) as (transport, _):
        for _ in range(3):
            assert await kind.read(transport, "/first") == (204, b"")
            assert await kind.read(transport) == expected(kind)


TESTS: tuple[Test, ...] = (
    is_sent_whole_and_connections_are_reused,
    follows_no_redirect,
    forgets_cookies_and_unpacks_nothing,
    is_sent_again_once_on_a_connection_that_was_closed_idle,
    is_never_sent_again_after_a_byte,
    answer_that_is_cut_is_an_error,
    bytes_on_an_idle_connection_are_nobodys_answer,
    bytes_behind_an_answer_cost_the_connection,
    early_answer_arrives,
    cancelled_call_closes_its_connection,
    second_answer_head_never_changes_the_status,
    without_a_key_there_are_no_credentials,
    path_is_asked_as_it_stands,
    environment_leads_nowhere_else,
    is_sent_once_on_a_fresh_connection,
    connection_is_kept_if_the_end_comes_after_finish,
    connection_is_closed_if_the_end_does_not_come,
    close_closes_at_once,
    broken_chunk_is_no_silence,
    answers_of_every_kind_follow_each_other,
    pieces_are_pushed_and_wait_for_room,
    cut_reaches_who_waits_for_a_push,
    cancelled_push_leaves_the_answer_readable,
)


NEED_A_BODY_IN_THE_ANSWER: Final = frozenset(
    {
        answer_that_is_cut_is_an_error,
        connection_is_kept_if_the_end_comes_after_finish,
        connection_is_closed_if_the_end_does_not_come,
        broken_chunk_is_no_silence,
        pieces_are_pushed_and_wait_for_room,
        cut_reaches_who_waits_for_a_push,
        cancelled_push_leaves_the_answer_readable,
    }
)
NEED_A_BODY_IN_THE_REQUEST: Final = frozenset({early_answer_arrives})


def _applies(test: Test, kind: Kind) -> bool:
    if test in NEED_A_BODY_IN_THE_ANSWER and kind.method == "HEAD":
        return False
    return test not in NEED_A_BODY_IN_THE_REQUEST or bool(kind.sent)


ONE_OF_EACH: Final = tuple(kind for kind in KINDS if kind.name in ("body", "upload"))
"""A body that is sent in one piece, and one that streams."""
CASES: Final = [
    pytest.param(test, kind, id=f"{test.__name__}-{kind.name}")
    for test in TESTS
    for kind in KINDS
    if _applies(test, kind)
]


@every_loop
@every_way
@pytest.mark.parametrize(("test", "kind"), CASES)
def test_every_kind_of_call(ways: Ways, test: Test, kind: Kind, way: Way, loop: str) -> None:
    run_on(loop, test(ways, way, kind))


@every_loop
@pytest.mark.parametrize(
    ("test", "kind"), [case for case in CASES if case.values[1] in ONE_OF_EACH]
)
def test_kinds_of_calls_through_socks(ways: Ways, test: Test, kind: Kind, loop: str) -> None:
    run_on(loop, test(ways, "socks", kind))


# No hole in the table


ELSEWHERE: Final = {
    "test_what_is_remembered_of_requests_is_bounded": "of heads, which do not know their kind",
    "test_memory_of_kinds_of_requests_is_bounded": "of heads, which do not know their kind",
    "test_nothing_long_is_remembered_of_a_request_and_nothing_of_an_upload": "names its kinds",
    "test_names_are_in_lower_case_and_the_last_of_two_values_counts": "of the parser",
    "test_head_of_an_answer_is_bounded": "of the parser",
    "test_session_overrides_every_default_that_hurts": "of the session, which all kinds share",
    "test_session_and_direct_requests_share_connections": "names its kinds",
    "test_closed_transport_sends_nothing": "of the session, which all kinds share",
    "test_control_character_never_goes_out": "of heads, which do not know their kind",
    "test_outbound_proxy_that_is_not_there": "of the pool, which does not know their kind",
    "test_redirects_cookies_and_the_like_have_no_place_where_they_could_be_set": "of the code",
    "test_request_that_the_session_makes_is_never_sent": "of the pool, which knows no kinds",
    "test_reply_has_what_the_relay_uses": "of the answer, see test_local.py",
    "test_request_is_sent_once_when_its_connection_ends_before_it_is_written": "of batched writes",
    "test_unread_bytes_on_an_idle_connection_are_discarded": "of batched writes",
    "test_one_read_is_one_piece_however_many_chunks_are_in_it": "of the parser",
    "test_large_read_is_delivered_in_pieces_with_backpressure": "of the parser",
    "test_what_came_before_a_broken_chunk_is_handed_on_before_the_error": "of the parser",
    "test_paused_sink_sees_broken_chunk_on_next_read": "of the parser",
    "test_what_comes_after_a_pause_is_not_kept_back": "of the parser",
    "test_chunks_are_read_the_same_however_they_are_cut": "of the parser",
    "test_connection_serves_the_next_call_while_the_end_of_an_answer_waits_for_room": "of pauses",
}
"""Tests that have no row in the table, and why."""
ROWS: Final[dict[str, Test]] = {
    "test_request_carries_the_proxys_key_and_nothing_that_is_not_meant": (
        is_sent_whole_and_connections_are_reused
    ),
    "test_heads_are_those_that_the_session_sends": is_sent_whole_and_connections_are_reused,
    "test_body_is_sent_as_it_is_whatever_its_size": is_sent_whole_and_connections_are_reused,
    "test_upstream_without_a_key_gets_no_credentials": without_a_key_there_are_no_credentials,
    "test_a_get_has_no_body": is_sent_whole_and_connections_are_reused,
    "test_path_is_asked_as_it_stands": path_is_asked_as_it_stands,
    "test_streamed_body_arrives_whole": is_sent_whole_and_connections_are_reused,
    "test_connections_are_reused": is_sent_whole_and_connections_are_reused,
    "test_connection_is_kept_whose_request_was_sent": is_sent_whole_and_connections_are_reused,
    "test_cookies_of_an_upstream_are_forgotten": forgets_cookies_and_unpacks_nothing,
    "test_compressed_answer_is_not_unpacked": forgets_cookies_and_unpacks_nothing,
    "test_environment_cannot_lead_calls_elsewhere": environment_leads_nowhere_else,
    "test_no_key_and_no_prompt_follow_a_redirect": follows_no_redirect,
    "test_request_on_a_dead_pooled_connection_is_sent_again": (
        is_sent_again_once_on_a_connection_that_was_closed_idle
    ),
    "test_request_is_sent_again_once_at_most": (
        is_sent_again_once_on_a_connection_that_was_closed_idle
    ),
    "test_streamed_body_is_never_sent_again": (
        is_sent_again_once_on_a_connection_that_was_closed_idle
    ),
    "test_request_is_never_sent_again_after_a_byte_of_an_answer": is_never_sent_again_after_a_byte,
    "test_request_that_was_taken_is_not_sent_again": is_never_sent_again_after_a_byte,
    "test_request_on_a_fresh_connection_is_never_sent_again": is_sent_once_on_a_fresh_connection,
    "test_connection_is_kept_when_the_end_comes_after_finish": (
        connection_is_kept_if_the_end_comes_after_finish
    ),
    "test_connection_is_closed_when_the_end_does_not_come": (
        connection_is_closed_if_the_end_does_not_come
    ),
    "test_close_closes_the_connection_at_once": close_closes_at_once,
    "test_broken_chunk_size_does_not_look_like_silence": broken_chunk_is_no_silence,
    "test_truncated_answer_is_distinguished_from_a_complete_one": answer_that_is_cut_is_an_error,
    "test_parser_reads_answers_of_every_kind_one_after_the_other": (
        answers_of_every_kind_follow_each_other
    ),
    "test_unsolicited_answer_is_discarded": (bytes_on_an_idle_connection_are_nobodys_answer),
    "test_connection_is_not_kept_whose_request_was_not_sent_to_its_end": early_answer_arrives,
    "test_cancelled_request_closes_its_connection": cancelled_call_closes_its_connection,
    "test_cancelled_large_request_does_not_wait_until_the_upstream_has_read_it": (
        cancelled_call_closes_its_connection
    ),
    "test_pieces_are_pushed_as_they_arrive_and_in_order": pieces_are_pushed_and_wait_for_room,
    "test_what_comes_after_the_sink_has_enough_waits": pieces_are_pushed_and_wait_for_room,
    "test_truncation_is_raised_while_streaming_to_a_sink": cut_reaches_who_waits_for_a_push,
    "test_cancelled_push_leaves_the_answer_readable": cancelled_push_leaves_the_answer_readable,
}
"""The row that plays a test on every kind of call."""


@pytest.mark.parametrize("module", [test_transport, test_client, test_response])
def test_every_transport_test_is_a_row(module: ModuleType) -> None:
    own = {
        name
        for name, value in vars(module).items()
        if name.startswith("test_") and getattr(value, "__module__", "") == module.__name__
    }
    assert own
    assert own - ROWS.keys() - ELSEWHERE.keys() == set()
    assert not ROWS.keys() & ELSEWHERE.keys()


def test_the_table_is_whole() -> None:
    rows = {name: row for name, row in globals().items() if row in TESTS}
    assert len(rows) == len(TESTS) == len(set(TESTS))
    assert set(ROWS.values()) <= set(TESTS)
    missing = {(test, kind.name) for test in TESTS for kind in KINDS if not _applies(test, kind)}
    assert missing == {(test, "head") for test in NEED_A_BODY_IN_THE_ANSWER} | {
        (early_answer_arrives, name) for name in ("empty body", "get", "delete", "head")
    }
