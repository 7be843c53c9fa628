"""Paths of Google's API: parses any spelling of a path to a method and a model. Pure.

Google puts the model after ``models/``, and the method after a colon. Clients differ in the version
and in the prefix, and some encode the colon or the slashes in the model's name.

Source: https://ai.google.dev/api/all-methods (read 2026-11).
"""

import difflib
import re
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.google_verbs import VERBS

Kind = Literal["call", "models", "model"]

_VERSION: Final = r"(?:v1beta|v1alpha|v1)(?=[/:]|\Z)"
_PREFIX: Final = re.compile(rf"/(?:(?:gemini|google)(?:/|\Z))?(?:{_VERSION}/?)*")
# On Vertex, a project may precede the publisher.
_VERTEX: Final = re.compile(r"/v1(?:beta1)?/(?:projects/[^/]+/locations/[^/]+/)?publishers/google/")
_OWN: Final = re.compile(
    r"/(?:gemini|google)(?:/|\Z)|/upload/|/(?:v1beta|v1alpha)(?:[/:]|\Z)(?!openai(?:/|\Z))"
)
"""Paths that only clients of Google's API request."""
_CALL: Final = re.compile(r"(?:models/)+(.+)(?::|%3A)([A-Za-z]+)", re.IGNORECASE)
_MODELS: Final = re.compile(r"models(?:/(?:models/)*(.+))?")
_NO_MODEL: Final = re.compile(r"(?:models/?)?(?::|%3A)([A-Za-z]+)", re.IGNORECASE)
_OPERATION: Final = re.compile(r"(?:models/)+.+/operations/[^/]+")
"""A long-running operation, such as a video; its path begins with the model's."""
_MODEL: Final = re.compile(r"[A-Za-z0-9._@:-]+(?:/[A-Za-z0-9._@:-]+)*")
_UNSERVED: Final = (
    "asyncBatchEmbedContent",
    "batchEmbedText",
    "batchGenerateContent",
    "countMessageTokens",
    "embedText",
    "generateAnswer",
    "predictLongRunning",
)
_RELAYED: Final = (
    "Of Google's API, the proxy serves /v1beta/models and its methods. The rest, but for "
    "uploads, is relayed to Google with the setting PASSTHROUGH=all only."
)
_MAX_PATH: Final = 1024
_READ: Final = ("GET", "HEAD")


class GooglePath(NamedTuple):
    """A path of Google's API. *verb* is a call's method; *model* is empty for a list."""

    kind: Kind
    verb: str = ""
    model: str = ""

    @property
    def methods(self) -> tuple[str, ...]:
        """The HTTP methods of this path."""
        return ("POST",) if self.kind == "call" else _READ


def is_googles(path: str) -> bool:
    """Return whether only clients of Google's API request *path*, which is raw, without query."""
    path = _single_slashes(path)
    rest = _rest(path)
    found = _CALL.fullmatch(rest) or _NO_MODEL.fullmatch(rest)
    is_named = found is not None and found[found.lastindex or 0] in VERBS + _UNSERVED
    is_operation = _OPERATION.fullmatch(rest) is not None
    return is_named or is_operation or _OWN.match(path) is not None


def read_path(path: str, method: str = "POST") -> GooglePath | None:
    """Return the parsed *path* (raw, without query), None if it is not Google's.

    Under some prefixes, a path that lists models or names one may also be OpenAI's.

    Raises:
        ProxyError: 404, the path is Google's, but not served.
    """
    path = _single_slashes(path)
    if len(path) > _MAX_PATH:
        return None
    rest = _rest(path)
    if (found := _CALL.fullmatch(rest)) is not None and _is_call(found[2], method):
        return GooglePath("call", _known(found[2]), _model(found[1]))
    if _OPERATION.fullmatch(rest) is not None:
        raise _nothing(_RELAYED)
    if method in _READ and (listed := _MODELS.fullmatch(rest)) is not None:
        return GooglePath("model", model=_model(listed[1])) if listed[1] else GooglePath("models")
    if (lost := _NO_MODEL.fullmatch(rest)) is not None:
        raise _nothing(f"Write the model before the method: /v1beta/models/MODEL:{lost[1]}.")
    if _OWN.match(path) is not None:
        raise _nothing(_RELAYED)
    return None


def unserved_path(path: str) -> str | None:
    """Return the part of Google's *path* after the version, None if it cannot be relayed.

    Uploads cannot: they continue at a URL of Google's, which the client could not reach.
    """
    path = _single_slashes(path)
    if len(path) > _MAX_PATH or path.startswith("/upload/") or _VERTEX.match(path):
        return None
    return _rest(path).replace("%3A", ":").replace("%3a", ":")


def _is_call(verb: str, method: str) -> bool:
    """Return whether this is a call, not a model whose name contains a colon."""
    return method == "POST" or verb in VERBS


def _single_slashes(path: str) -> str:
    path = re.sub(r"/{2,}", "/", path)
    return path.removesuffix("/") if len(path) > 1 else path


def _rest(path: str) -> str:
    """Return the part of *path* after the version."""
    prefix = _VERTEX.match(path) or _PREFIX.match(path)
    return path if prefix is None else path[prefix.end() :]


def _known(verb: str) -> str:
    """Return *verb* if it is served.

    Raises:
        ProxyError: 404 the message names the most similar one.
    """
    if verb in VERBS:
        return verb
    near = difflib.get_close_matches(verb, VERBS, n=1, cutoff=0.6)
    served = f"Did you mean {near[0]}?" if near else f"Served are {', '.join(VERBS)}."
    raise _nothing(f"The method {verb[:64]} is not served. {served}")


def _model(raw: str) -> str:
    """Return a model's decoded name.

    Raises:
        ProxyError: 404 `model_not_found`, the name cannot be a model's.
    """
    name = unquote(raw)
    if _MODEL.fullmatch(name) is None or ".." in name:
        message = "The model in this address does not exist."
        raise ProxyError(404, message, code="model_not_found", should_retry=False)
    return name


def _nothing(hint: str) -> ProxyError:
    message = f"There is nothing at this address. {hint}"
    return ProxyError(404, message, code="unknown_url", should_retry=False)
