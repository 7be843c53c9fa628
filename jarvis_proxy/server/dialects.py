"""The client APIs that upstreams of other APIs answer by translation. Pure.

A new client API is one folder in ``dialects/`` and one row here.
"""

from collections.abc import Callable, Mapping
from typing import Final

from jarvis_proxy.canonical.adapters import Dialect
from jarvis_proxy.dialects.chat.request import ChatDialect
from jarvis_proxy.dialects.messages.dialect import MessagesDialect
from jarvis_proxy.dialects.responses.request import ResponsesDialect
from jarvis_proxy.routing.endpoints import MESSAGES

CHAT: Final = "chat/completions"
RESPONSES: Final = "responses"


def build_dialects(
    new_id: Callable[[], str], *, without: str | None = None
) -> Mapping[str, Dialect]:
    """Return the dialects by ``Call.endpoint``, but for the one that an upstream speaks itself.

    *new_id* gives 24 random letters and digits.
    """
    dialects: dict[str, Dialect] = {
        CHAT: ChatDialect(new_id),
        RESPONSES: ResponsesDialect(new_id),
        MESSAGES: MessagesDialect(new_id),
    }
    if without is not None:
        del dialects[without]
    return dialects
