"""Streams of Google's, byte for byte, and what clients get for them, byte for byte.

How they are made is said in ``golden_files``.
"""

import pytest

from tests.upstreams.gemini.golden_files import GOLDEN, NAMES, STREAMS, sent

CASES = [pytest.param(name, kind, id=f"{name}-{kind}") for name in NAMES for kind in STREAMS]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_golden_stream(name: str, kind: str) -> None:
    expected = (GOLDEN / f"{name}.{kind}.sse").read_bytes()

    assert STREAMS[kind]([sent(name)]).decode() == expected.decode()


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_golden_stream_may_be_cut_anywhere(name: str, kind: str) -> None:
    data, expected = sent(name), (GOLDEN / f"{name}.{kind}.sse").read_bytes()
    stream = STREAMS[kind]

    assert stream(data[at : at + 1] for at in range(len(data))) == expected
    for cut in range(1, len(data), 5):
        assert stream([data[:cut], data[cut:]]) == expected


def test_no_golden_file_is_left_behind() -> None:
    files = {path.name for path in GOLDEN.iterdir()}

    assert files == {
        f"{name}{kind}.sse" for name in NAMES for kind in ("", ".expected", ".responses")
    }
