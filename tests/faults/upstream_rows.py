"""All faults of upstreams, in the order of the document. No IO."""

from typing import Final

from tests.faults.content_rows import CONTENT, ERRORS, GEMINI_ENDS
from tests.faults.network_rows import CONNECTING, CUTS, HEADS, SILENCE
from tests.faults.rows import Row

GROUPS: Final[tuple[tuple[str, tuple[Row, ...]], ...]] = (
    ("Reaching the upstream", CONNECTING),
    ("Silence", SILENCE),
    ("Cuts", CUTS),
    ("What the events hold", CONTENT),
    ("How Gemini's streams end", GEMINI_ENDS),
    ("Errors of the upstream", ERRORS),
    ("Heads", HEADS),
)
ROWS: Final[tuple[Row, ...]] = tuple(row for _, rows in GROUPS for row in rows)
