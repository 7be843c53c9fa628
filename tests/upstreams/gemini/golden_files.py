"""The golden streams, in golden/: ``python -m tests.upstreams.gemini.golden_files`` writes them.

NAME.sse is what Google sends, byte for byte, written from its documentation and in the form of
recorded traffic; NAME.expected.sse is what a chat client then gets, NAME.responses.sse what a
client of the Responses API gets. An answer that fails ends in an error event, and for the latter
in ``response.failed``. Only the latter two
are written: read the difference before it is committed.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from jarvis_proxy.wire.response_events import ProxyResponseEvents
from tests.dialects.responses.events import responding
from tests.upstreams.gemini.replies import CREATED, a_plan, an_exchange, fed, stream_outcome

GOLDEN: Final = Path(__file__).resolve().parent / "golden"
NAMES: Final = sorted(
    path.name.removesuffix(".sse") for path in GOLDEN.glob("*.sse") if path.name.count(".") == 1
)
_PLAN: Final = a_plan(include_usage=True, declared=["get_weather", "search", "f"])


def sent(name: str) -> bytes:
    """Return what Google sends."""
    return (GOLDEN / f"{name}.sse").read_bytes()


def chat_stream(pieces: Iterable[bytes]) -> bytes:
    """Return what a chat client gets for *pieces*."""
    out, error = stream_outcome(an_exchange(_PLAN, stream=True), pieces)
    return out if error is None else out + error.event()


def responses_stream(pieces: Iterable[bytes]) -> bytes:
    """Return what a client of the Responses API gets for *pieces*."""
    body = {"include": ["reasoning.encrypted_content"]}
    own = ProxyResponseEvents("req-1", CREATED, "my-model", b"")
    numbers = own.start_attempt(relayed=False)
    out, error = fed(responding(body, stream=True).stream_translator(0, numbers), pieces)
    own.record_sent(out)
    return out if error is None else out + own.failure(error)


STREAMS: Final = {"expected": chat_stream, "responses": responses_stream}
"""The kinds of golden output, and what makes each."""


def main() -> None:
    """Write what is got now over what was expected."""
    for name in NAMES:
        for kind, stream in STREAMS.items():
            (GOLDEN / f"{name}.{kind}.sse").write_bytes(stream([sent(name)]))


if __name__ == "__main__":
    main()
