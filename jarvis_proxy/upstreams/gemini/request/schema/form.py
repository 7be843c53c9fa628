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


def restrict(schema: Schema, form: SchemaForm, work: WorkBudget) -> tuple[Schema, bool]:
    """Return a cleaned *schema* within the loops and depth of *form*, and whether it changed."""
    if form.depth is not None:
        return limit_depth(schema, form.depth, work)
    if not form.loops:
        return open_loops(schema, work, every=True)
    return schema, False
