"""Tool call ids as clients send them back: with a signature behind them, or cleaned. Pure."""

import re
from typing import Final

ID_MARK: Final = "__thought__"
_NOT_ALNUM: Final = re.compile(r"[^A-Za-z0-9]")


def strip_signature_suffix(call_id: str) -> str:
    """Return a tool call id without the signature that one gateway appends to it."""
    return call_id.partition(ID_MARK)[0]


def alnum_id(call_id: str) -> str:
    """Return what clients that clean ids leave of one."""
    return _NOT_ALNUM.sub("", call_id)
