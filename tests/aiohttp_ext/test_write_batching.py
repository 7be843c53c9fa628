"""Calls at the end of an iteration of the event loop: in order, none lost."""

import asyncio
import logging

import pytest

from jarvis_proxy.aiohttp_ext.write_batching import BatchedTransport, WriteBatch


async def end_of_iteration() -> None:
    await asyncio.sleep(0)


async def test_callbacks_run_in_order_after_what_is_ready() -> None:
    done: list[str] = []
    loop = asyncio.get_running_loop()
    batch = WriteBatch(loop)
    loop.call_soon(done.append, "work")
    batch.add(lambda: done.append("first"))
    batch.add(lambda: done.append("second"))
    assert done == []

    await end_of_iteration()
    assert done == ["work", "first", "second"]


async def test_failing_callback_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []
    batch = WriteBatch(asyncio.get_running_loop())

    def fail() -> None:
        raise RuntimeError("canary")

    batch.add(fail)
    batch.add(lambda: done.append("other"))
    with caplog.at_level(logging.ERROR):
        await end_of_iteration()
    batch.add(lambda: done.append("later"))
    await end_of_iteration()

    assert done == ["other", "later"]
    assert [record.message for record in caplog.records] == ["internal error in a batched write"]


async def test_a_callback_added_by_another_runs_in_the_next_iteration() -> None:
    done: list[str] = []
    batch = WriteBatch(asyncio.get_running_loop())
    batch.add(lambda: batch.add(lambda: done.append("next")))
    await end_of_iteration()
    assert done == []

    await end_of_iteration()
    assert done == ["next"]


class Recorder(asyncio.Transport):
    """Notes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.ended: list[str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.is_closing()
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return bool(self.ended)

    def get_write_buffer_size(self) -> int:
        return 7

    def close(self) -> None:
        self.ended.append("close")

    def abort(self) -> None:
        self.ended.append("abort")

    def write_eof(self) -> None:
        self.written.append(b"eof")


def batched() -> tuple[BatchedTransport, Recorder]:
    recorder = Recorder()
    return BatchedTransport(recorder, WriteBatch(asyncio.get_running_loop())), recorder


async def test_an_iteration_writes_once() -> None:
    transport, recorder = batched()
    transport.write(b"a")
    transport.write(bytearray(b"b"))
    transport.writelines([b"c", memoryview(b"d")])
    assert recorder.written == []
    assert transport.get_write_buffer_size() == 7 + 4
    await end_of_iteration()
    transport.write(b"e")
    await end_of_iteration()

    assert recorder.written == [b"abcd", b"e"]


async def test_much_is_written_at_once_behind_what_is_pending() -> None:
    """Otherwise the transport could not pause the writer before all of it is in memory."""
    transport, recorder = batched()
    transport.write(b"a")
    transport.write(b"b" * 65_536)
    assert recorder.written == [b"a", b"b" * 65_536]
    for _ in range(5):
        transport.write(b"c" * 16_384)
    assert recorder.written[2:] == [b"c" * 49_152, b"c" * 16_384]
    await end_of_iteration()

    assert recorder.written[4:] == [b"c" * 16_384]


@pytest.mark.parametrize("end", ["close", "abort", "write_eof"])
async def test_what_is_pending_goes_out_before_the_end(end: str) -> None:
    transport, recorder = batched()
    transport.write(b"a")
    getattr(transport, end)()
    await end_of_iteration()

    assert recorder.written[0] == b"a"
    assert recorder.written[1:] == ([b"eof"] if end == "write_eof" else [])


async def test_nothing_is_written_to_a_connection_that_is_gone() -> None:
    transport, recorder = batched()
    transport.write(b"a")
    recorder.ended.append("lost")
    await end_of_iteration()
    transport.write(b"b" * 100_000)

    assert recorder.written == []
    assert transport.get_write_buffer_size() == 7
