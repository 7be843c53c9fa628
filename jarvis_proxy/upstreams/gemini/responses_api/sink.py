"""One candidate's answer as a response; implements ``Sink``. Pure."""

from msgspec import UNSET

from jarvis_proxy.upstreams.gemini.reply.candidate import Finish
from jarvis_proxy.upstreams.gemini.reply.context import ReplyContext
from jarvis_proxy.upstreams.gemini.reply.frames import Blob
from jarvis_proxy.upstreams.gemini.request.tools import TOOL_SEARCH
from jarvis_proxy.upstreams.gemini.responses_api.input_items import SEAL
from jarvis_proxy.upstreams.gemini.signature_store import Remembered
from jarvis_proxy.upstreams.responses_writer import ResponseWriter
from jarvis_proxy.wire.chat_types import FunctionPayload, Image, TokenLogprob, ToolCall
from jarvis_proxy.wire.responses_types import IncompleteDetails, ResponseURLCitation


class ResponseSink:
    """Takes the pieces of a candidate into *writer*.

    *sealed*: the signature of a call goes out as ``encrypted_content`` before it.
    """

    __slots__ = ("_context", "_sealed", "_writer")

    def __init__(self, context: ReplyContext, writer: ResponseWriter, *, sealed: bool) -> None:
        self._context = context
        self._writer = writer
        self._sealed = sealed

    @property
    def emitted(self) -> bool:
        """Tell whether the client has been sent something of it."""
        return self._writer.emitted

    def text(self, text: str, /) -> None:
        """Take a piece of the text."""
        self._writer.text(text)

    def thought(self, text: str, /) -> None:
        """Take a piece of the thoughts."""
        self._writer.thought(text)

    def tool_call(self, call: ToolCall, /) -> None:
        """Take a whole tool call. Its signature is remembered by its id; here it goes out, too."""
        if self._sealed and call.extra_content is not UNSET:
            self._writer.sealed(SEAL + call.extra_content["google"]["thought_signature"])
        call_id = call.id or ""
        if call.custom is not UNSET:
            custom = call.custom
            self._writer.custom_call(call_id, custom.name, custom.input, custom.namespace)
            return
        function = call.function
        assert function is not UNSET  # noqa: S101 - each call has one of the two
        name, arguments, namespace = function.name, function.arguments, function.namespace
        if name == TOOL_SEARCH and namespace is UNSET and self._context.plan.tool_search:
            self._writer.tool_search_call(call_id, arguments)
        else:
            self._writer.function_call(call_id, name, arguments, namespace)

    def function_call(self, call: FunctionPayload, /) -> None:
        """Do nothing: no Responses request declares ``functions``."""

    def image(self, image: Image, /) -> None:
        """Take a picture, which is a data URL, as what a picture tool of OpenAI's returns."""
        head, _, data = image.image_url.url.partition(";base64,")
        self._writer.image(data, head.rpartition("/")[2])

    def speech(self, blob: Blob, /) -> None:
        """Do nothing: models that speak are not served here."""

    def logprobs(self, tokens: list[TokenLogprob], /) -> None:
        """Take the log probabilities of the text just given."""
        self._writer.logprobs(tokens)

    def finish(self, finish: Finish, /) -> None:
        """End the answer."""
        response = self._writer.response
        response.native_finish_reason = finish.native or UNSET
        response.finish_message = finish.message or UNSET
        response.grounding_metadata = finish.grounding or UNSET
        response.citations = finish.citations or UNSET
        spots = (annotation.url_citation for annotation in finish.annotations)
        citations = [ResponseURLCitation(c.end_index, c.start_index, c.title, c.url) for c in spots]
        message_id = self._writer.finish(_incomplete(finish), citations)
        if finish.extra_content is not UNSET and message_id is not None:
            signature = finish.extra_content["google"]["thought_signature"]
            context = self._context
            context.vault.put(message_id, Remembered(signature, None), context.call.now)


def _incomplete(finish: Finish) -> IncompleteDetails | None:
    match finish.reason:
        case "length":
            return IncompleteDetails("max_output_tokens")
        case "content_filter":
            return IncompleteDetails("content_filter")
        case _:
            return None
