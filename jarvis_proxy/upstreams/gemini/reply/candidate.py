"""One candidate's parts, as they come, to OpenAI's notions: the same for streams and whole. Pure.

Source: https://ai.google.dev/api/caching#Part (read 2026-11).
"""

from dataclasses import dataclass
from typing import Protocol

from msgspec import UnsetType

from jarvis_proxy.upstreams.gemini.reply.context import ReplyContext
from jarvis_proxy.upstreams.gemini.reply.finish_reasons import telling, translate_finish
from jarvis_proxy.upstreams.gemini.reply.frames import (
    Blob,
    Candidate,
    FunctionCall,
    LogprobsResult,
    Part,
)
from jarvis_proxy.upstreams.gemini.reply.grounding import (
    OWN_WORDS,
    Piece,
    annotate,
    public_citations,
    public_metadata,
)
from jarvis_proxy.upstreams.gemini.reply.logprobs import translate_logprobs
from jarvis_proxy.upstreams.gemini.reply.media import is_audio, is_image, to_image
from jarvis_proxy.upstreams.gemini.reply.partial_tool_call import PartialCall
from jarvis_proxy.upstreams.gemini.reply.tool_calls import signed, to_function, to_tool_call
from jarvis_proxy.wire.chat_types import (
    Annotation,
    ExtraContent,
    FinishReason,
    FunctionPayload,
    Image,
    TokenLogprob,
    ToolCall,
)


@dataclass(frozen=True, slots=True)
class Finish:
    """How a candidate ended, and what is known only then."""

    reason: FinishReason
    native: str
    message: str | None
    extra_content: ExtraContent | UnsetType
    annotations: list[Annotation]
    grounding: dict[str, object] | None
    citations: list[dict[str, object]]


class Sink(Protocol):
    """Where a candidate's answer goes: into chunks, or into a whole message."""

    @property
    def emitted(self) -> bool:
        """Tell whether the client has been sent something of it, be it only a thought."""

    def text(self, text: str, /) -> None:
        """Take a piece of the content."""

    def thought(self, text: str, /) -> None:
        """Take a piece of the reasoning."""

    def tool_call(self, call: ToolCall, /) -> None:
        """Take a whole tool call; its *index* counts them."""

    def function_call(self, call: FunctionPayload, /) -> None:
        """Take the one call of a client that declared ``functions``."""

    def image(self, image: Image, /) -> None:
        """Take a picture."""

    def speech(self, blob: Blob, /) -> None:
        """Take a piece of sound."""

    def logprobs(self, tokens: list[TokenLogprob], /) -> None:
        """Take the log probabilities of the tokens just given."""

    def finish(self, finish: Finish, /) -> None:
        """End the choice."""


class CandidateReader:
    """The state of one candidate over the frames of its answer, continuations included."""

    __slots__ = (
        "_calls",
        "_citations",
        "_context",
        "_grounding",
        "_images",
        "_message",
        "_partial",
        "_pieces",
        "_signature",
        "_thinking",
        "called",
        "continuation_token",
        "native",
        "said",
        "sink",
    )

    def __init__(self, context: ReplyContext, sink: Sink) -> None:
        self._context = context
        self.sink = sink
        self.native: str | None = None
        """Gemini's finish reason; the last one counts: old models send STOP with every frame."""
        self.continuation_token: str | None = None
        self.said = False
        """There is text, a picture or sound."""
        self.called = False
        self._calls = 0
        self._images = 0
        self._message: str | None = None
        self._signature: str | None = None
        self._thinking = False  # a think tag is open in the content
        self._pieces: list[Piece] = []
        self._citations: list[dict[str, object]] = []
        self._grounding = b""
        self._partial: PartialCall | None = None

    @property
    def unusable(self) -> bool:
        """Nothing that a client could use has come so far, thoughts aside."""
        return not self.said and not self.called

    def take(self, candidate: Candidate) -> None:
        """Take a frame's piece of this candidate.

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
        # Early frames of a stream hold an empty object, the last one all of it.
        if len(candidate.grounding_metadata) > len("null"):
            self._grounding = bytes(candidate.grounding_metadata)

    def block(self, reason: str, message: str | None) -> None:
        """Take it that the prompt was refused, for what no candidate said by itself."""
        if self.native is None:
            self.native = reason
            self._message = message

    def finish(self) -> None:
        """Tell the sink how the candidate ended."""
        self._end_thoughts()
        native = self.native or ""
        reason = translate_finish(
            native,
            called=self.called,
            said=self.said,
            legacy=self._context.plan.legacy_functions,
        )
        grounding = self._grounding
        self.sink.finish(
            Finish(
                reason,
                native,
                telling(self._message),
                signed(self._signature),
                annotate(grounding, self._pieces) if grounding else [],
                public_metadata(grounding) if grounding else None,
                self._citations,
            )
        )

    def _take_part(self, number: int, part: Part) -> None:
        if part.text and part.thought:
            self._think(part.text)  # a thought's signature has no place: thoughts never go back
        elif part.text is not None and not part.thought:
            self._take_text(number, part.text, part.thought_signature)
        if part.function_call is not None:
            self._take_call(part.function_call, part.thought_signature)
        elif part.inline_data is not None:
            if not part.thought:  # picture models sketch while they think
                self._take_blob(part.inline_data)
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
        # Other kinds are passed over, signed or not: what server-side tools did cannot come back.

    def _take_text(self, number: int, text: str, signature: str | None) -> None:
        if signature:
            self._signature = signature
        if text:
            self._say(number, text)

    def _show(self, words: str, *, thought: bool | None) -> None:
        """Show what Google's own tools did; what they did for a thought is one."""
        if thought:
            self._think(words)
        else:
            self._say(OWN_WORDS, words)

    def _say(self, number: int, text: str) -> None:
        if self._thinking:
            self._end_thoughts()
        self.said = True
        self._pieces.append((number, text))
        self.sink.text(text)

    def _think(self, text: str) -> None:
        tag = self._context.plan.think_tag
        if tag is None:
            self.sink.thought(text)
            return
        if not self._thinking:
            self._thinking = True
            text = f"<{tag}>{text}"
        self._pieces.append((OWN_WORDS, text))
        self.sink.text(text)

    def _end_thoughts(self) -> None:
        if self._thinking:
            self._thinking = False
            text = f"</{self._context.plan.think_tag}>"
            self._pieces.append((OWN_WORDS, text))
            self.sink.text(text)

    def _take_blob(self, blob: Blob) -> None:
        if is_image(blob):
            self._end_thoughts()
            self.said = True
            self.sink.image(to_image(blob, self._images))
            self._images += 1
        elif is_audio(blob):
            self.said = True
            self.sink.speech(blob)

    def _take_call(self, call: FunctionCall, signature: str | None) -> None:
        if call.will_continue or call.partial_args or self._partial is not None:
            if self._partial is None:
                self._partial = PartialCall(call.id, call.name, signature)
            whole = self._partial.feed(call)
            if whole is None:
                return
            call, signature = whole, self._partial.signature
            self._partial = None
        if not call.name:
            return  # it cannot be executed, and a name is not to be made up
        plan = self._context.plan
        if self.called and (plan.first_call_only or plan.legacy_functions):
            return  # Gemini has no switch for one call at a time; the first carries the signature
        self._end_thoughts()
        self.called = True
        if plan.legacy_functions:
            self.sink.function_call(to_function(plan, call.name, call.args))
            return
        self.sink.tool_call(to_tool_call(self._context, call, signature or None, self._calls))
        self._calls += 1

    def _take_logprobs(self, result: LogprobsResult) -> None:
        if tokens := translate_logprobs(result):
            self.sink.logprobs(tokens)
