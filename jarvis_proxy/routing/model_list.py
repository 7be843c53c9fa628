"""The model catalogue for GET /v1/models: the upstreams' latest lists, renamed. Pure.

The shell refreshes the lists in the background, so that a listing never waits for an upstream. If a
refresh fails, the old list stays in use.

Sources: https://platform.openai.com/docs/api-reference/models,
https://platform.claude.com/docs/en/api/models-list and https://ai.google.dev/api/models (read
2026-11).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Final, Literal

import msgspec

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.json_limits import exceeds_values

_MAX_ID: Final = 256
_MAX_MODELS: Final = 20_000
_MAX_VALUES: Final = 500_000
_MAX_CREATED: Final = 2**53
"""JSON readers that use doubles represent integers exactly up to here."""

_GEMINI_METHODS: Final = frozenset(("generateContent", "embedContent", "batchEmbedContents"))
_PREDICT: Final = "predict"
_IMAGEN: Final = "imagen-"
_GEMINI_PREFIX: Final = "models/"
_OWNERS: Final = {"gemini": "google"}
"""Owners of models that differ from the upstream's own name."""

_DECODE_ERRORS: Final = (ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model. *created* is in epoch seconds, 0 if unknown; *owned_by* is ``""`` if unknown.

    *native* is the upstream's own JSON for clients of the same API.
    """

    id: str
    created: int = 0
    owned_by: str = ""
    native: bytes = b""


class _Model(msgspec.Struct):
    """A model as the proxy lists it."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class _ModelListBody(msgspec.Struct):
    object: Literal["list"]
    data: list[_Model]


class _OpenAIModel(msgspec.Struct):
    """A model as OpenAI lists it; *created_at* is Anthropic's, in RFC 3339."""

    id: str
    created: int | float | str | None = None
    created_at: object = None
    owned_by: str | None = None


class _OpenAIList(msgspec.Struct):
    data: list[msgspec.Raw] | None


class _GeminiModel(msgspec.Struct, rename="camel"):
    name: str
    supported_generation_methods: list[str] | None = None


class _GeminiList(msgspec.Struct, rename="camel"):
    models: list[msgspec.Raw] | None = None
    next_page_token: str | None = None
    error: msgspec.Raw = msgspec.Raw()


_OPENAI_LIST: Final = msgspec.json.Decoder(_OpenAIList)
_BARE_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
_OPENAI_MODEL: Final = msgspec.json.Decoder(_OpenAIModel)
_GEMINI_LIST: Final = msgspec.json.Decoder(_GeminiList)
_GEMINI_MODEL: Final = msgspec.json.Decoder(_GeminiModel)


def parse_openai_models(body: bytes) -> list[ModelEntry]:
    """Return the models of an OpenAI-compatible upstream's list, in its order.

    Upstreams omit different fields, and some send a bare array; items without a usable id are
    skipped.

    Raises:
        ProxyError: 502 `upstream_bad_response`, *body* is no list of models.
    """
    _check_values(body)
    try:
        bare = body.lstrip()[:1] == b"["
        items = _BARE_LIST.decode(body) if bare else _OPENAI_LIST.decode(body).data
    except _DECODE_ERRORS as exc:
        raise _no_list() from exc
    entries = []
    for item in items or ():
        try:
            model = _OPENAI_MODEL.decode(item)
        except _DECODE_ERRORS:
            continue
        if _is_plausible(model.id):
            created = _seconds(model.created) or _seconds_of_date(model.created_at)
            entries.append(ModelEntry(model.id, created, model.owned_by or ""))
    return entries


def parse_gemini_models(body: bytes) -> tuple[list[ModelEntry], str | None]:
    """Return one page's models that generate, embed or draw, and the next page's token.

    Models that only make videos, talk live or answer from a corpus cannot be used here.

    Raises:
        ProxyError: 502 `upstream_bad_response`, *body* is no page of models.
    """
    _check_values(body)
    try:
        page = _GEMINI_LIST.decode(body)
    except _DECODE_ERRORS as exc:
        raise _no_list() from exc
    if page.error:
        raise _no_list()
    entries = []
    for item in page.models or ():
        try:
            model = _GEMINI_MODEL.decode(item)
        except _DECODE_ERRORS:
            continue
        model_id = model.name.removeprefix(_GEMINI_PREFIX)
        methods = model.supported_generation_methods or ()
        reachable = not _GEMINI_METHODS.isdisjoint(methods) or (
            _PREDICT in methods and model_id.startswith(_IMAGEN)
        )
        if reachable and model_id != model.name and _is_plausible(model_id):
            entries.append(ModelEntry(model_id, owned_by="google", native=bytes(item)))
    return entries, page.next_page_token or None


class ModelList:
    """Each upstream's latest list, merged with the names that are known without asking.

    *aliases* maps names to ``upstream/model``, *models* maps models in the settings to their
    upstream. *routed_upstream* returns the upstream for a bare name. If a model's bare name leads
    to another upstream, it is listed as ``upstream/model``, which always works.
    """

    def __init__(
        self,
        aliases: Mapping[str, str],
        models: Mapping[str, str],
        *,
        routed_upstream: Callable[[str], str] | None = None,
    ) -> None:
        self._aliases = aliases
        self._models = models
        self._routed_upstream = routed_upstream
        self._lists: dict[str, list[ModelEntry]] = {}
        self._failing: set[str] = set()
        self._merged: dict[str, ModelEntry] = self._merge()

    def update(self, upstream: str, entries: Iterable[ModelEntry]) -> None:
        """Replace an upstream's list."""
        self._lists[upstream] = list(islice(entries, _MAX_MODELS))
        self._failing.discard(upstream)
        self._merged = self._merge()

    def failed(self, upstream: str) -> None:
        """Note that a refresh of an upstream's list failed; the old list stays."""
        self._failing.add(upstream)

    def failing(self) -> Sequence[str]:
        """Return the upstreams whose last refresh failed, sorted."""
        return sorted(self._failing)

    def models(self, may_use: Callable[[str], bool]) -> list[ModelEntry]:
        """Return the models whose listed name *may_use* accepts."""
        return [model for name, model in self._merged.items() if may_use(name)]

    def model(self, model_id: str, may_use: Callable[[str], bool]) -> ModelEntry | None:
        """Return one model; None if it is unknown or *may_use* hides it.

        ``upstream/model`` also finds a model that is listed under its bare name.
        """
        model = self._merged.get(model_id) or self._qualified(model_id)
        return model if model is not None and may_use(model_id) else None

    def _qualified(self, model_id: str) -> ModelEntry | None:
        upstream, _, name = model_id.partition("/")
        for entry in self._lists.get(upstream, ()):
            if entry.id == name:
                return _shown(model_id, entry, upstream)
        return None

    def _merge(self) -> dict[str, ModelEntry]:
        merged: dict[str, ModelEntry] = {}
        by_target: dict[str, ModelEntry] = {}
        for upstream, entries in self._lists.items():
            for entry in entries:
                by_target[f"{upstream}/{entry.id}"] = entry
                name = self._name(upstream, entry.id)
                merged.setdefault(name, _shown(name, entry, upstream))
        for name, upstream in self._models.items():
            merged.setdefault(name, _shown(name, ModelEntry(name), upstream))
        for name, target in self._aliases.items():
            entry = by_target.get(target, ModelEntry(name))
            merged.setdefault(name, _shown(name, entry, target.partition("/")[0]))
        return merged

    def _name(self, upstream: str, model_id: str) -> str:
        if self._routed_upstream is None or self._routed_upstream(model_id) == upstream:
            return model_id
        return f"{upstream}/{model_id}"


def _shown(name: str, entry: ModelEntry, upstream: str) -> ModelEntry:
    owner = entry.owned_by or _OWNERS.get(upstream, upstream)
    return replace(entry, id=name, owned_by=owner)


def openai_list(models: Iterable[ModelEntry]) -> bytes:
    """Return OpenAI's list of *models*."""
    return msgspec.json.encode(_ModelListBody("list", list(map(_openai, models))))


def openai_object(model: ModelEntry) -> bytes:
    """Return OpenAI's object for *model*."""
    return msgspec.json.encode(_openai(model))


def _openai(model: ModelEntry) -> _Model:
    return _Model(model.id, "model", model.created, model.owned_by)


def _is_plausible(model_id: str) -> bool:
    """Return whether an upstream's id can be a model name here, where logs and paths contain it."""
    return 0 < len(model_id) <= _MAX_ID and model_id.isprintable()


def _seconds(created: float | str | None) -> int:
    """Return *created* as an integer, as OpenAI's clients expect; 0 if it is not valid."""
    if isinstance(created, str) or created is None or not 0 <= created <= _MAX_CREATED:
        return 0
    return int(created)


def _seconds_of_date(date: object) -> int:
    """Return an RFC 3339 time as epoch seconds, 0 if it is not valid."""
    if not isinstance(date, str):
        return 0
    try:
        moment = datetime.fromisoformat(date)
    except ValueError:
        return 0
    return _seconds((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _check_values(body: bytes) -> None:
    """Reject a list with implausibly many values: each takes many times its size in memory."""
    if exceeds_values(body, _MAX_VALUES):
        raise _no_list()


def _no_list() -> ProxyError:
    return ProxyError(
        502, "The upstream's response is not a list of models.", code="upstream_bad_response"
    )
