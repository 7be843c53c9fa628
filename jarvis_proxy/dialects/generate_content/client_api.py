"""Google's API as the shell sees it. Pure.

Source: https://ai.google.dev/api/generate-content (read 2026-11).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.client_api import ErrorAnswer, StreamForm
from jarvis_proxy.dialects.generate_content.errors import error_body
from jarvis_proxy.dialects.generate_content.stream_forms import ArrayForm, EventForm
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.google_verbs import asks_for_events

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class GenerateContentApi:
    """Implements ``ClientApi``."""

    def error(self, error: ProxyError, call_id: str, /) -> ErrorAnswer:
        """Return *error* in Google's form."""
        return ErrorAnswer(error.status, (), error_body(error))

    def answer_headers(self, call_id: str, /) -> Mapping[str, str]:
        """Return nothing: Google's clients read no header."""
        return _NO_HEADERS

    def stream_form(self, call: Call, headers: Mapping[str, str], /) -> StreamForm:
        """Return the form of a stream: events with ``alt=sse``, else a JSON array."""
        return EventForm() if asks_for_events(call.query) else ArrayForm()
