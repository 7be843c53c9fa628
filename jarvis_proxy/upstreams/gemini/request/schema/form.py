"""How far a JSON schema is relaxed for an upstream that refused it. Pure.

Source: Google's refusals: "too many states for serving", "exceeds the maximum allowed nesting
depth", "ref loops are only supported if …" (read 2026-11).
"""

from dataclasses import dataclass
from typing import Final

SAFE_DEPTH: Final = 5
"""Levels that Google takes in practice: four of objects and lists, and the values in them."""


@dataclass(frozen=True, slots=True)
class SchemaForm:
    """What a translated schema may contain; the rest becomes words of the descriptions.

    The default is all that Gemini's dialect has. ``dataclasses.replace`` makes a stricter form.
    """

    limits: bool = True
    """Keep ``minItems``, ``maxItems``, ``minimum``, ``maximum`` and ``format``."""
    loops: bool = True
    """Keep references that lead back to where they stand, below values that may be absent.

    Loops over required values are opened in any form: Google refuses them.
    """
    depth: int | None = None
    """Levels of nesting, through references; the root is the first. None: no limit of this kind."""


FULL: Final = SchemaForm()
