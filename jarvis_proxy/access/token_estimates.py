"""About how many tokens a call takes, where nobody has counted them yet. Pure."""

from typing import Final

_BASE64: Final = b";base64,"
_BYTES_PER_TOKEN: Final = 4
_BYTES_PER_EVENT: Final = 256
"""One token's event in OpenAI's stream, its JSON included."""
_BYTES_OF_FRAME: Final = 400
"""Of a whole answer, what is not its text."""


def estimate_prompt(body: bytes) -> int:
    """Return about how many tokens a request's body has: a quarter of its bytes.

    Files in base64 are left out, since a model does not count them by their size.
    """
    size, end = len(body), 0
    while (start := body.find(_BASE64, end)) >= 0:
        end = body.find(b'"', start)
        if end < 0:
            end = len(body)
        # Text that only says so counts as text from its first space on.
        space = body.find(b" ", start, end)
        end = end if space < 0 else space
        size -= end - start
    return size // _BYTES_PER_TOKEN


def estimate_answer(size: int, *, streamed: bool, is_text: bool = False) -> int:
    """Return about how many tokens an answer of *size* bytes has whose upstream did not say.

    Of whole answers only *is_text* ones count: the bytes of sound, pictures and verdicts are no
    tokens.
    """
    if streamed:
        return size // _BYTES_PER_EVENT
    return max(0, size - _BYTES_OF_FRAME) // _BYTES_PER_TOKEN if is_text else 0
