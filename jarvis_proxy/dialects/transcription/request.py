"""Converts a transcription form to the equivalent chat request. Pure.

Source: https://platform.openai.com/docs/api-reference/audio/createTranscription (read 2026-11) and
https://ai.google.dev/gemini-api/docs/audio (read 2026-11).
"""

import base64
from functools import partial
from typing import Any, Final

import msgspec

from jarvis_proxy.canonical.adapters import DialectCall, ModelFeatures
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.request import CanonicalRequest
from jarvis_proxy.canonical.validation_errors import invalid
from jarvis_proxy.dialects.request_fields import FixedParams, unsuitable_model
from jarvis_proxy.dialects.transcription.answer import TranscriptAnswer
from jarvis_proxy.dialects.transcription.instructions import answer_schema, instruct
from jarvis_proxy.dialects.transcription.options import (
    TranscriptOptions,
    form_of,
    mime_of,
    read_options,
    the_file,
)
from jarvis_proxy.wire.multipart_form import Form

_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"
_PARAMS: Final = FixedParams({"messages": "file", "response_format": "response_format"})


class TranscriptionDialect:
    """OpenAI's transcriptions and translations; implements ``Dialect``."""

    __slots__ = ()

    def read(self, call: Call, features: ModelFeatures, /) -> DialectCall:
        """Return *call* as a canonical request.

        Raises:
            ProxyError: 400, the form is not valid, or the model does not write text.
        """
        form = form_of(call.body, call.headers)
        ignored = IgnoredParams(strict=call.strict_params)
        options = read_options(form, call.endpoint, ignored)
        if call.stream and not options.stream:
            raise invalid("stream", f"A transcript as '{options.format}' is not streamed.")
        if features.speaks or features.draws:
            rest = "does not transcribe. Use one that answers in text, such as gemini-2.5-flash."
            raise unsuitable_model(call.model, rest)
        canonical = CanonicalRequest(
            body=_chat(form, options), params=_PARAMS, ignored=ignored.names, sealed=False
        )
        is_json = options.format.endswith("json")
        headers = () if options.stream else (("content-type", _JSON if is_json else _TEXT),)
        return DialectCall(canonical, partial(TranscriptAnswer, options), headers)


def _chat(form: Form, options: TranscriptOptions) -> bytes:
    part = the_file(form)
    sound = {
        "data": base64.b64encode(form.data(part)).decode(),
        "format": mime_of(form, part),
    }
    content = [
        {"type": "text", "text": instruct(options)},
        {"type": "input_audio", "input_audio": sound},
    ]
    asked: dict[str, Any] = {
        "messages": [{"role": "user", "content": content}],
        # A transcript needs no thinking, but some models require some.
        "reasoning_effort": "minimal",
        "include_thoughts": False,
    }
    if options.temperature is not None:
        asked["temperature"] = options.temperature
    if not options.is_plain:
        schema = {"name": "transcript", "schema": answer_schema(options)}
        asked["response_format"] = {"type": "json_schema", "json_schema": schema}
    return msgspec.json.encode(asked)
