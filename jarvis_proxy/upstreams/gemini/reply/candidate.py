"""Converts one candidate's parts to the events of a choice. Pure.

Source: https://ai.google.dev/api/caching#Part and
https://ai.google.dev/api/generate-content#LogprobsResult (read 2026-11).
"""

import math
from typing import Final

from jarvis_proxy.canonical.answer import AnswerSink, Finish
from jarvis_proxy.canonical.sealed_state import GEMINI, SealedState
from jarvis_proxy.upstreams.gemini.reply.finish_reasons import meaningful_message, translate_finish
from jarvis_proxy.upstreams.gemini.reply.frames import (
    Blob,
    Candidate,
    FunctionCall,
    LogprobsCandidate,
    LogprobsResult,
    Part,
)
from jarvis_proxy.upstreams.gemini.reply.grounding import (
    GENERATED_PART,
    Piece,
    annotate,
    count_searches,
    public_citations,
    public_metadata,
)
from jarvis_proxy.upstreams.gemini.reply.partial_tool_call import PartialToolCall
from jarvis_proxy.upstreams.gemini.reply.tool_calls import ReplyContext, read_call
from jarvis_proxy.wire.chat_types import Image, ImageURL, TokenLogprob, TopLogprob

_STANDARD: Final = str.maketrans("-_", "+/")

_NEVER: Final = -9999.0
"""OpenAI's stand-in for the logarithm of a negligible probability."""


class CandidateReader:
    """The state of one candidate over the frames of its answer, including continuations."""

    __slots__ = (
        "_citations",
        "_context",
        "_grounding",
        "_images",
        "_message",
        "_partial",
        "_pieces",
        "_signature",
        "continuation_token",
        "has_content",
        "has_tool_call",
        "native",
        "sink",
    )

    def __init__(self, context: ReplyContext, sink: AnswerSink) -> None:
        self._context = context
        self.sink = sink
        self.native: str | None = None
        """Gemini's finish reason; the last one counts, as old models send STOP in every frame."""
        self.continuation_token: str | None = None
        self.has_content = False
        """Whether there is text, a picture or audio."""
        self.has_tool_call = False
        self._images = 0
        self._message: str | None = None
        self._signature: str | None = None
        self._pieces: list[Piece] = []
        self._citations: list[dict[str, object]] = []
        self._grounding = b""
        self._partial: PartialToolCall | None = None

    @property
    def unusable(self) -> bool:
        """Whether nothing usable has arrived so far, apart from thoughts."""
        return not self.has_content and not self.has_tool_call

    def take(self, candidate: Candidate) -> None:
        """Read a frame's piece of this candidate.

        Raises:
            ProxyError: 502 `upstream_bad_frame`.
        """
        content = candidate.content
        if content is not None and content.parts is not None:
            for number, part in enumerate(content.parts):
                self._take_part(number, part)
        if candidate.finish_reason:
            self.native = candidate.finish_reason
        if candidate.finish_message:
            self._message = candidate.finish_message
        if candidate.continuation_token:
            self.continuation_token = candidate.continuation_token
        if candidate.logprobs_result is not None:
            self._take_logprobs(candidate.logprobs_result)
        if candidate.citation_metadata is not None:
            for citation in public_citations(candidate.citation_metadata):
                if citation not in self._citations:
                    self._citations.append(citation)
        # A stream's early frames hold an empty object, and the last one holds everything.
        if len(candidate.grounding_metadata) > len("null"):
            self._grounding = bytes(candidate.grounding_metadata)

    def block(self, reason: str, message: str | None) -> None:
        """Note that the prompt was refused, unless the candidate has its own finish reason."""
        if self.native is None:
            self.native = reason
            self._message = message

    def finish(self, model_version: str | None = None) -> None:
        """Send the sink how the candidate ended; *model_version* is from the frames."""
        if self._signature:
            self.sink.seal(SealedState(GEMINI, self._signature))
        grounding = self._grounding
        metadata = public_metadata(grounding) if grounding else None
        if searches := count_searches(metadata):
            self.sink.server_tool("web_search", searches)
        finish = Finish(
            reason=translate_finish(
                self.native or "", has_tool_call=self.has_tool_call, has_content=self.has_content
            ),
            native=self.native or "",
            message=meaningful_message(self._message),
            annotations=tuple(annotate(grounding, self._pieces)) if grounding else (),
            grounding=metadata,
            citations=tuple(self._citations),
            model_version=model_version,
        )
        message_id = self.sink.finish(finish)
        if self._signature and message_id is not None:
            self._context.remember(message_id, self._signature)

    def _take_part(self, number: int, part: Part) -> None:
        if part.text and part.thought:
            # Drop its signature, because thoughts are never sent back.
            self.sink.thought(part.text)
        elif part.text is not None and not part.thought:
            self._take_text(number, part.text, part.thought_signature)
        if part.function_call is not None:
            self._take_call(part.function_call, part.thought_signature)
        elif part.inline_data is not None:
            if not part.thought:
                self._take_blob(part.inline_data)
            elif is_image(part.inline_data):
                # Image models draw sketches while they think.
                self.sink.sketch(to_image(part.inline_data, self._images))
        elif part.executable_code is not None:
            code = part.executable_code
            language = (code.language or "").lower().replace("language_unspecified", "")
            self._show(f"\n```{language}\n{code.code or ''}\n```\n", thought=part.thought)
        elif part.code_execution_result is not None:
            result = part.code_execution_result
            outcome = result.outcome or "OUTCOME_OK"
            failed = "" if outcome == "OUTCOME_OK" else f"{outcome}\n"
            words = f"\n```output\n{failed}{result.output or ''}\n```\n"
            self._show(words, thought=part.thought)
        # Skip other kinds, signed or not: results of server-side tools cannot be sent back.

    def _take_text(self, number: int, text: str, signature: str | None) -> None:
        if signature:
            self._signature = signature
        if text:
            self._say(number, text)

    def _show(self, words: str, *, thought: bool | None) -> None:
        """Show the work of Google's own tools; work for a thought is shown as a thought."""
        if thought:
            self.sink.thought(words)
        else:
            self._say(GENERATED_PART, words)

    def _say(self, number: int, text: str) -> None:
        self.has_content = True
        self._pieces.append((number, text))
        self.sink.text(text)

    def _take_blob(self, blob: Blob) -> None:
        if is_image(blob):
            self.has_content = True
            self.sink.image(to_image(blob, self._images))
            self._images += 1
        elif is_audio(blob):
            self.has_content = True
            self.sink.speech(blob.mime_type or "", blob.data or "")

    def _take_call(self, call: FunctionCall, signature: str | None) -> None:
        if call.will_continue or call.partial_args or self._partial is not None:
            if self._partial is None:
                self._partial = PartialToolCall(call.id, call.name, signature)
            whole = self._partial.feed(call)
            if whole is None:
                return
            call, signature = whole, self._partial.signature
            self._partial = None
        if not call.name:
            # The call cannot be executed, and no name should be invented.
            return
        if self.has_tool_call and self._context.plan.first_call_only:
            # Gemini has no option for one call at a time; the first call carries the signature.
            return
        self.has_tool_call = True
        self._send_call(call, signature or None)

    def _send_call(self, call: FunctionCall, signature: str | None) -> None:
        start, arguments = read_call(self._context, call, signature)
        sink = self.sink
        if signature is not None:
            sink.seal(SealedState(GEMINI, signature))
        sink.call_begin(start)
        if arguments:
            sink.call_piece(arguments)
        sink.call_end()

    def _take_logprobs(self, result: LogprobsResult) -> None:
        if tokens := translate_logprobs(result):
            self.sink.logprobs(tokens)


def is_image(blob: Blob) -> bool:
    """Return whether *blob* is a non-empty picture."""
    return bool(blob.data) and (blob.mime_type or "").lower().startswith("image/")


def is_audio(blob: Blob) -> bool:
    """Return whether *blob* is non-empty audio."""
    return bool(blob.data) and (blob.mime_type or "").lower().startswith("audio/")


def to_image(blob: Blob, index: int) -> Image:
    """Return a picture as a ``data:`` URL; *index* is its position among an answer's pictures."""
    data = (blob.data or "").translate(_STANDARD)
    return Image(image_url=ImageURL(f"data:{blob.mime_type};base64,{data}"), index=index)


def translate_logprobs(result: LogprobsResult) -> list[TokenLogprob]:
    """Return the chosen tokens, each with the alternatives at its position.

    Google's two lists may differ in length by one; then only the common part is used.
    """
    chosen = result.chosen_candidates or []
    tops = [top.candidates or [] for top in result.top_candidates or ()]
    if not tops:
        return [_token(token, []) for token in chosen]
    return [_token(token, top) for token, top in zip(chosen, tops, strict=False)]


def _token(token: LogprobsCandidate, top: list[LogprobsCandidate]) -> TokenLogprob:
    return TokenLogprob(*_logprob(token), [TopLogprob(*_logprob(other)) for other in top])


def _logprob(candidate: LogprobsCandidate) -> tuple[str, float, list[int]]:
    token = candidate.token or ""
    logprob = candidate.log_probability or 0.0
    return token, logprob if math.isfinite(logprob) else _NEVER, list(token.encode())
