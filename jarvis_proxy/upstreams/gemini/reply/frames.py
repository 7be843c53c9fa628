"""The fields of Gemini's generateContent frames that are read. Pure.

Every field may be missing or null; unknown ones are skipped, so that Google's new fields break
nothing. Fields that are needed only at an answer's end stay raw until then.

Source: https://ai.google.dev/api/generate-content (read 2026-11).
"""

from typing import Final

import msgspec
from msgspec import Raw

from jarvis_proxy.canonical.exchange import bad_frame
from jarvis_proxy.upstreams.gemini.reply.error_body import DECODE_ERRORS
from jarvis_proxy.wire import text as surrogates
from jarvis_proxy.wire.json_limits import exceeds_values


class PartialArg(msgspec.Struct, rename="camel"):
    """A piece of an argument; Vertex streams calls in pieces on request."""

    json_path: str = ""
    string_value: str | None = None
    number_value: float | None = None
    bool_value: bool | None = None
    will_continue: bool | None = None


class FunctionCall(msgspec.Struct, rename="camel"):
    """A call; *args* is a JSON object, absent for a tool without arguments."""

    id: str | None = None
    name: str | None = None
    args: Raw = Raw()
    partial_args: list[PartialArg] | None = None
    will_continue: bool | None = None


class Blob(msgspec.Struct, rename="camel"):
    """A file in the answer, as base64 in the standard or the URL-safe alphabet."""

    mime_type: str | None = None
    data: str | None = None


class ExecutableCode(msgspec.Struct):
    """Code that Google ran."""

    language: str | None = None
    code: str | None = None


class CodeExecutionResult(msgspec.Struct):
    """The output of that code."""

    outcome: str | None = None
    output: str | None = None


class Part(msgspec.Struct, rename="camel"):
    """One part, with at most one of its kinds set; unknown kinds are skipped."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: Blob | None = None
    executable_code: ExecutableCode | None = None
    code_execution_result: CodeExecutionResult | None = None


class Content(msgspec.Struct):
    """A candidate's parts; *parts* is absent in closing and blocked frames."""

    parts: list[Part] | None = None


class LogprobsCandidate(msgspec.Struct, rename="camel"):
    """A token and the natural logarithm of its probability; 0 is omitted."""

    token: str | None = None
    log_probability: float | None = None


class TopCandidates(msgspec.Struct):
    """The alternatives at one token's place."""

    candidates: list[LogprobsCandidate] | None = None


class LogprobsResult(msgspec.Struct, rename="camel"):
    """Log probabilities; the two lists may differ in length by one."""

    chosen_candidates: list[LogprobsCandidate] | None = None
    top_candidates: list[TopCandidates] | None = None


class CitationSource(msgspec.Struct, rename="camel"):
    """A source that the text recites, with offsets as Google counts them."""

    start_index: int | None = None
    end_index: int | None = None
    uri: str | None = None
    title: str | None = None
    license: str | None = None


class CitationMetadata(msgspec.Struct, rename="camel"):
    """Recited sources: ``citationSources`` here, ``citations`` on Vertex."""

    citation_sources: list[CitationSource] | None = None
    citations: list[CitationSource] | None = None


class Candidate(msgspec.Struct, rename="camel"):
    """The next piece of one alternative answer; *index* is omitted for 0."""

    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int | None = None
    continuation_token: str | None = None
    logprobs_result: LogprobsResult | None = None
    citation_metadata: CitationMetadata | None = None
    grounding_metadata: Raw = Raw()


class PromptFeedback(msgspec.Struct, rename="camel"):
    """Why the prompt was refused, if it was; only in the first frame."""

    block_reason: str | None = None
    block_reason_message: str | None = None


class Frame(msgspec.Struct, rename="camel"):
    """One GenerateContentResponse: a whole answer or one event of a stream."""

    candidates: list[Candidate] | None = None
    usage_metadata: Raw = Raw()
    model_version: str | None = None
    response_id: str | None = None
    prompt_feedback: PromptFeedback | None = None
    error: Raw = Raw()


_LARGE: Final = 1024 * 1024
_MAX_VALUES: Final = 3_000_000
"""As many values as 65,000 tokens with ten alternatives each have."""

# Not strict: numbers may be strings, as proto3's JSON writes 64-bit integers and NaN.
_FRAME: Final = msgspec.json.Decoder(Frame, strict=False)
_FRAMES: Final = msgspec.json.Decoder(list[Frame], strict=False)


def check_values(data: bytes) -> None:
    """Reject an answer with implausibly many values: each takes up to fifty times its size.

    Raises:
        ProxyError: 502 `upstream_bad_frame`.
    """
    if len(data) > _LARGE and exceeds_values(data, _MAX_VALUES):
        raise bad_frame()


def decode_frame(data: bytes) -> Frame:
    """Return *data* decoded as a frame.

    Raises:
        ProxyError: 502 `upstream_bad_frame`.
    """
    check_values(data)
    try:
        # A lone surrogate, left by a token limit, must not invalidate the whole answer.
        return surrogates.decode(_FRAME, data)
    except DECODE_ERRORS:
        # msgspec's message would reveal content of the frame.
        raise bad_frame() from None


def decode_frames(data: bytes) -> list[Frame]:
    """Return the frames of a body or an event: one object, or an array of them.

    Raises:
        ProxyError: 502 `upstream_bad_frame`.
    """
    if data.lstrip()[:1] != b"[":
        return [decode_frame(data)]
    check_values(data)
    try:
        return surrogates.decode(_FRAMES, data)
    except DECODE_ERRORS:
        raise bad_frame() from None
