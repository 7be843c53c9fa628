"""The client APIs that upstreams of other APIs answer by translation. Pure."""

from collections.abc import Callable, Mapping

from jarvis_proxy.canonical.adapters import Dialect
from jarvis_proxy.dialects.messages.dialect import MessagesDialect
from jarvis_proxy.routing.endpoints import MESSAGES


def build_dialects(new_id: Callable[[], str]) -> Mapping[str, Dialect]:
    """Return the dialects by ``Call.endpoint``. *new_id* gives 24 random letters and digits."""
    return {MESSAGES: MessagesDialect(new_id)}
