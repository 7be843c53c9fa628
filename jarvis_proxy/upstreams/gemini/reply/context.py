"""What the way back from Gemini needs besides the bytes. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.upstreams.gemini.request.build import TranslatedRequest
from jarvis_proxy.upstreams.gemini.signature_store import SignatureStore, StoredSignature


@dataclass(frozen=True, slots=True)
class ReplyContext:
    """The call, its translation, and what comes from the shell.

    *new_id* gives 24 random letters and digits.
    """

    call: Call
    plan: TranslatedRequest
    signatures: SignatureStore
    new_id: Callable[[], str]

    def remember(self, item_id: str, signature: str | None, native_id: str | None = None) -> None:
        """Store what the upstream wants back with the call or message *item_id*."""
        if signature is not None or native_id:
            self.signatures.put(
                item_id, StoredSignature(signature, native_id or None), self.call.now
            )
