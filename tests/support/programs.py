"""Programs that some tests need, and that a machine may lack: redis-server, node, nginx, others.

A test that needs one skips without it, and gives a reason that says "is not installed". With
``REQUIRE_PROGRAMS`` in the environment, which CI sets, such a skip is a failure.
"""

import os
from typing import Final

REQUIRE_PROGRAMS: Final = bool(os.environ.get("REQUIRE_PROGRAMS"))


def is_program_missing(reason: str) -> bool:
    """Return whether a test that skipped for *reason* lacked a program."""
    return "is not installed" in reason
