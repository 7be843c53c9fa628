"""The first start: creates .env with a random client key, and shows the key once. Does file IO.

start.sh runs this, and so does the command ``jarvis-proxy`` in a folder without .env.
"""

import errno
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_KEY_LINE: Final = "PROXY_API_KEYS="
_DEFAULT_PORT: Final = "9000"
_SCRIPT: Final = "./start.sh"


def new_key() -> str:
    """Return a client key with 256 random bits.

    It has a prefix because some clients accept only OpenAI keys that start with ``sk-``.
    """
    return f"sk-jarvis-{secrets.token_hex(32)}"


def env_text(example: str, key: str) -> str:
    """Return the text of .env.example with *key* as the client key.

    Raises:
        ValueError: the example has no empty PROXY_API_KEYS line.
    """
    lines = example.splitlines(keepends=True)
    try:
        at = [line.strip() for line in lines].index(_KEY_LINE)
    except ValueError:
        raise ValueError(f"the example file has no line {_KEY_LINE}") from None
    lines[at] = f"{_KEY_LINE}{key}\n"
    return "".join(lines)


def write_new(path: Path, text: str) -> bool:
    """Write a file that only its owner may read; return False if *path* already exists.

    The file appears whole or not at all: an interrupted start leaves no partial file.
    """
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        return _put(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _put(draft: Path, path: Path) -> bool:
    try:
        # Unlike a rename, a link never replaces an existing file.
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError:
        # The file system has no hard links.
        if path.exists():
            return False
        draft.rename(path)
    return True


def first_start_message(key: str, environ: Mapping[str, str], command: str = _SCRIPT) -> str:
    """Return the message of the first start: the key, and a command that tries it."""
    port = environ.get("PORT", "").strip()
    address = f"http://127.0.0.1:{port if port.isdecimal() else _DEFAULT_PORT}"
    note = ""
    if environ.get("PROXY_API_KEYS"):
        note = "\nNote: PROXY_API_KEYS is set in the environment and overrides this key.\n"
    return f"""
Wrote .env, which only you can read, with a random key for your clients. It is shown this once;
later it is found in .env as PROXY_API_KEYS.
{note}
When the server is up, these two lines stream an answer, free of charge, with no upstream:

  JARVIS_KEY={key}
  curl -N {address}/v1/chat/completions -H "Authorization: Bearer $JARVIS_KEY" \
-H 'Content-Type: application/json' \
-d '{{"model":"jarvis-echo","stream":true,"messages":[{{"role":"user","content":"Hello there"}}]}}'

For real models put OPENAI_API_KEY, GEMINI_API_KEY or ANTHROPIC_API_KEY into .env and start again;
with an ADMIN_KEY there is also a dashboard, at {address}/dashboard.
{command} doctor checks all of it and prints the settings for your clients.
"""


def _advice(fault: OSError | ValueError) -> str:
    """Return the end of the sentence that says why there is no .env, and what to do."""
    reason = fault.strerror if isinstance(fault, OSError) else str(fault)
    if isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{reason}): the disk is full. Free some space and start again."
    return (
        f"{reason}). Make this folder writable for the first start, or set PROXY_API_KEYS in the"
        " environment."
    )


def main(
    folder: Path,
    environ: Mapping[str, str],
    example: str | None = None,
    command: str = _SCRIPT,
) -> int:
    """Write *folder*/.env unless it exists; return the exit code.

    Without *example*, this reads .env.example in *folder*. *command* is the name in messages.
    """
    key = new_key()
    try:
        if example is None:
            example = (folder / ".env.example").read_text(encoding="utf-8")
        written = write_new(folder / ".env", env_text(example, key))
    except (OSError, ValueError) as exc:
        if environ.get("PROXY_API_KEYS"):
            # This is a container on a read-only disk, configured by its environment.
            return 0
        sys.stderr.write(f"{command.removeprefix('./')}: cannot write .env ({_advice(exc)}\n")
        return 73  # EX_CANTCREAT
    if written:
        sys.stdout.write(first_start_message(key, environ, command))
        sys.stdout.flush()
    return 0


if __name__ == "__main__":  # pragma: no cover  # tests/test_start_script.py runs it
    sys.exit(main(Path(__file__).resolve().parents[2], os.environ))
