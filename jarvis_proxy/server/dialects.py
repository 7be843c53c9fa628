"""The client APIs that upstreams of other APIs answer by translation. Pure.

A new client API is one folder in ``dialects/`` and one row here.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from jarvis_proxy.canonical.adapters import Dialect
from jarvis_proxy.dialects.chat.request import ChatDialect
from jarvis_proxy.dialects.generate_content.dialect import GenerateContentDialect
from jarvis_proxy.dialects.messages.dialect import MessagesDialect
from jarvis_proxy.dialects.responses.request import ResponsesDialect
from jarvis_proxy.routing.endpoints import MESSAGES
from jarvis_proxy.wire.google_verbs import GENERATE, STREAM

CHAT: Final = "chat/completions"
RESPONSES: Final = "responses"


def build_dialects(
    new_id: Callable[[], str], *, without: Collection[str] = ()
) -> Mapping[str, Dialect]:
    """Return the dialects by ``Call.endpoint``, but for those that an upstream speaks itself.

    *new_id* gives 24 random letters and digits.
    """
    generate_content = GenerateContentDialect(new_id)
    dialects: dict[str, Dialect] = {
        CHAT: ChatDialect(new_id),
        RESPONSES: ResponsesDialect(new_id),
        MESSAGES: MessagesDialect(new_id),
        GENERATE: generate_content,
        STREAM: generate_content,
    }
    return {name: dialect for name, dialect in dialects.items() if name not in without}
