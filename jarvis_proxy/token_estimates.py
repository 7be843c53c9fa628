"""About how many tokens a call takes, where nobody has counted them yet. Pure."""

from typing import Final

_BASE64: Final = b";base64,"
_BYTES_PER_TOKEN: Final = 4
_BYTES_PER_EVENT: Final = 256
"""One token's event in OpenAI's stream, its JSON included."""


def estimate_prompt(body: bytes) -> int:
    """Return about how many tokens a request's body has: a quarter of its bytes.

    Files in base64 are left out, since a model does not count them by their size.
    """
    size, end = len(body), 0
    while (start := body.find(_BASE64, end)) >= 0:
        end = body.find(b'"', start)
        if end < 0:
            end = len(body)
        size -= end - start
    return size // _BYTES_PER_TOKEN


def estimate_answer(size: int, *, streamed: bool) -> int:
    """Return about how many tokens an answer of *size* bytes has whose upstream did not say.

    Whole answers of models say it; those that do not are sound, pictures and verdicts, whose
    bytes are no tokens.
    """
    return size // _BYTES_PER_EVENT if streamed else 0
