"""Log probabilities in OpenAI's form. Pure.

Source: https://ai.google.dev/api/generate-content#LogprobsResult (read 2026-11).
"""

import math
from typing import Final

from jarvis_proxy.upstreams.gemini.reply.frames import LogprobsCandidate, LogprobsResult
from jarvis_proxy.wire.chat_types import TokenLogprob, TopLogprob

_NEVER: Final = -9999.0
"""OpenAI's stand-in for the logarithm of a probability too small to tell."""


def translate_logprobs(result: LogprobsResult) -> list[TokenLogprob]:
    """Return the chosen tokens, each with the alternatives at its place.

    Google's two lists may differ in length by one: then what both have stays.
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
