"""Converts a text completion to the equivalent chat request of one turn. Pure.

Source: https://platform.openai.com/docs/api-reference/completions/create (read 2026-11).
"""

from functools import partial
from typing import Any, Final

import msgspec

from jarvis_proxy.canonical.adapters import DialectCall, ModelFeatures
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.request import CanonicalRequest
from jarvis_proxy.canonical.validation_errors import invalid, missing, wrong_type
from jarvis_proxy.dialects.completions.answer import CompletionAnswer, CompletionOptions
from jarvis_proxy.dialects.request_fields import FixedParams, decode_body, unsuitable_model
from jarvis_proxy.errors import ProxyError

_PARAMS: Final = FixedParams({"messages": "prompt", "max_completion_tokens": "max_tokens"})
_AS_THEY_ARE: Final = (
    "extra_body",
    "frequency_penalty",
    "google",
    "logit_bias",
    "max_tokens",
    "n",
    "presence_penalty",
    "reasoning_effort",
    "safetySettings",
    "safety_settings",
    "seed",
    "service_tier",
    "stop",
    "stream_options",
    "temperature",
    "top_p",
)
"""Fields that chat requests share; the chat request's reader checks their values."""


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class CompletionRequest(msgspec.Struct):
    """The fields that a chat request lacks, or has in another form."""

    prompt: object = None
    suffix: str | None = None
    echo: bool | None = None
    logprobs: int | None = None
    best_of: int | None = None
    n: int | None = None
    stream_options: _StreamOptions | None = None


_DECODER: Final = msgspec.json.Decoder(CompletionRequest)
_FIELDS: Final = msgspec.json.Decoder(dict[str, Any])


class CompletionsDialect:
    """OpenAI's text completions; implements ``Dialect``."""

    __slots__ = ()

    def read(self, call: Call, features: ModelFeatures, /) -> DialectCall:
        """Return *call* as a canonical request.

        Raises:
            ProxyError: 400, the request is not valid or cannot be a chat request, or the model does
                not write text.
        """
        request = decode_body(_DECODER, call.body)
        prompt = _prompt(request.prompt)
        if features.speaks:
            raise unsuitable_model(call.model, "does not write. Use /v1/audio/speech for it.")
        ignored = IgnoredParams(strict=call.strict_params)
        _check(request, ignored)
        canonical = CanonicalRequest(
            body=_chat(call.body, prompt), params=_PARAMS, ignored=ignored.names, sealed=False
        )
        options = CompletionOptions(
            call_id=call.id,
            created=call.created,
            model=call.model,
            echo=prompt if request.echo else "",
            include_usage=bool(request.stream_options and request.stream_options.include_usage),
        )
        return DialectCall(canonical, partial(CompletionAnswer, options))


def _check(request: CompletionRequest, ignored: IgnoredParams) -> None:
    if request.suffix:
        message = "Unsupported parameter: 'suffix' has no equivalent with this model."
        raise invalid("suffix", message, "unsupported_parameter")
    if request.logprobs is not None:
        # Their form differs from that of chat requests.
        ignored.add_or_reject("logprobs")
    if request.best_of is not None and request.best_of > (request.n or 1):
        ignored.add_or_reject("best_of")


def _chat(body: bytes, prompt: str) -> bytes:
    fields = decode_body(_FIELDS, body)
    asked = {name: fields[name] for name in _AS_THEY_ARE if name in fields}
    return msgspec.json.encode({**asked, "messages": [{"role": "user", "content": prompt}]})


def _prompt(value: object) -> str:
    """Return the request's only prompt."""
    if value is None:
        raise missing("prompt")
    prompts = value if isinstance(value, list) else [value]
    if any(isinstance(item, int | list) for item in prompts):
        message = "This model takes text, not tokens: send 'prompt' as a string."
        raise invalid("prompt", message, "unsupported_value")
    if len(prompts) != 1:
        raise _not_one(len(prompts))
    prompt = prompts[0]
    if not isinstance(prompt, str):
        raise wrong_type("prompt", "a string", prompt)
    if not prompt:
        message = "Invalid 'prompt': empty string. Expected a string with minimum length 1."
        raise invalid("prompt", message, "empty_string")
    return prompt


def _not_one(count: int) -> ProxyError:
    message = f"This model takes one prompt at a time, not {count}: send a request for each."
    return invalid("prompt", message, "unsupported_value")
