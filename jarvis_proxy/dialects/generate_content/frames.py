"""Google's GenerateContentResponse, as this proxy writes it. Pure.

Source: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse (read 2026-11).
"""

from msgspec import UNSET, Raw, Struct, UnsetType

from jarvis_proxy.wire.chat_types import ChatUsage, TokenLogprob


class FunctionCall(Struct):
    """A call; *args* is a JSON object."""

    name: str
    args: Raw
    id: str


class Blob(Struct, rename="camel"):
    """Data as base64."""

    mime_type: str
    data: str


class FileData(Struct, rename="camel"):
    """A link."""

    mime_type: str
    file_uri: str


class Part(Struct, rename="camel"):
    """One part."""

    text: str | UnsetType = UNSET
    thought: bool | UnsetType = UNSET
    function_call: FunctionCall | UnsetType = UNSET
    inline_data: Blob | UnsetType = UNSET
    file_data: FileData | UnsetType = UNSET
    thought_signature: str | UnsetType = UNSET

    @property
    def size(self) -> int:
        """About how many bytes the part takes."""
        call, blob = self.function_call, self.inline_data
        size = 0 if call is UNSET else len(call.args)
        return size + (0 if blob is UNSET else len(blob.data))


class Content(Struct):
    """A candidate's parts."""

    parts: list[Part]
    role: str = "model"


class LogprobsCandidate(Struct, rename="camel"):
    """A token and the natural logarithm of its probability."""

    token: str
    log_probability: float


class TopCandidates(Struct):
    """The alternatives at one token's place."""

    candidates: list[LogprobsCandidate]


class LogprobsResult(Struct, rename="camel"):
    """Log probabilities."""

    chosen_candidates: list[LogprobsCandidate]
    top_candidates: list[TopCandidates]


class Candidate(Struct, rename="camel"):
    """One alternative answer, or a piece of it."""

    content: Content
    finish_reason: str | UnsetType = UNSET
    index: int = 0
    finish_message: str | UnsetType = UNSET
    logprobs_result: LogprobsResult | UnsetType = UNSET


class UsageMetadata(Struct, rename="camel"):
    """Token counts. Thoughts are separate from candidates; both are in the total."""

    prompt_token_count: int
    candidates_token_count: int
    total_token_count: int
    cached_content_token_count: int | UnsetType = UNSET
    thoughts_token_count: int | UnsetType = UNSET


class Response(Struct, rename="camel"):
    """One frame, or a whole answer."""

    candidates: list[Candidate]
    usage_metadata: UsageMetadata | UnsetType = UNSET
    model_version: str | UnsetType = UNSET
    response_id: str | UnsetType = UNSET


def usage_of(usage: ChatUsage) -> UsageMetadata:
    """Return chat's token counts in Google's form."""
    reasoning = usage.completion_tokens_details.reasoning_tokens
    return UsageMetadata(
        usage.prompt_tokens,
        max(0, usage.completion_tokens - reasoning),
        usage.prompt_tokens + usage.completion_tokens,
        usage.prompt_tokens_details.cached_tokens or UNSET,
        reasoning or UNSET,
    )


def logprobs_of(tokens: list[TokenLogprob]) -> LogprobsResult:
    """Return chat's log probabilities in Google's form."""
    chosen = [LogprobsCandidate(token.token, token.logprob) for token in tokens]
    top = [
        TopCandidates([LogprobsCandidate(one.token, one.logprob) for one in token.top_logprobs])
        for token in tokens
    ]
    return LogprobsResult(chosen, top)
