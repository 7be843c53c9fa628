"""How far a JSON schema is relaxed for an upstream that refused it. Pure.

Source: Google's refusals: "too many states for serving", "exceeds the maximum allowed nesting
depth", "ref loops are only supported if …" (read 2026-11).
"""

from dataclasses import dataclass
from typing import Final

from jarvis_proxy.upstreams.gemini.request.schema.depth import limit_depth
from jarvis_proxy.upstreams.gemini.request.schema.keywords import Schema
from jarvis_proxy.upstreams.gemini.request.schema.loops import open_loops
from jarvis_proxy.wire.work_budget import WorkBudget

SAFE_DEPTH: Final = 5
"""Levels that Google accepts in practice: four of objects and lists, and their values."""


@dataclass(frozen=True, slots=True)
class SchemaForm:
    """What a translated schema may contain; the rest moves to descriptions.

    The default is all of Gemini's dialect. ``dataclasses.replace`` makes a stricter form.
    """

    limits: bool = True
    """Keep ``minItems``, ``maxItems``, ``minimum``, ``maximum`` and ``format``."""
    loops: bool = True
    """Keep references that lead back to themselves, below values that may be absent.

    Loops over required values are opened in any form, because Google rejects them.
    """
    depth: int | None = None
    """Most levels of nesting, including references; the root is the first one. None: no limit."""


FULL: Final = SchemaForm()


def restrict(schema: Schema, form: SchemaForm, work: WorkBudget) -> tuple[Schema, bool]:
    """Return a cleaned *schema* within *form*'s loops and depth, and whether it was changed."""
    if form.depth is not None:
        return limit_depth(schema, form.depth, work)
    if not form.loops:
        return open_loops(schema, work, every=True)
    return schema, False
