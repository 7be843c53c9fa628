"""What is fuzzed: a module each, with ``check``, which raises where the oracle is broken."""

from importlib import import_module
from typing import Final, NamedTuple, Protocol


class Check(Protocol):
    """Looks at one input."""

    def __call__(self, data: bytes) -> None:
        """Raise if what the input leads to is not what the target's docstring promises."""


class Target(NamedTuple):
    """One target: its name, what it looks at, and tokens that make inputs interesting."""

    name: str
    check: Check
    tokens: tuple[bytes, ...]


NAMES: Final = (
    "sse",
    "openai_stream",
    "gemini_request",
    "gemini_reply",
    "gemini_stream",
    "request_head",
    "env_file",
    "upstream_error",
    "upstream_answer",
)


def load(name: str) -> Target:
    """Return a target; its module is imported only now, so that it can be instrumented."""
    module = import_module(f"tests.fuzz.targets.{name}")
    return Target(name, module.check, module.TOKENS)
