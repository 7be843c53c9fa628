"""Prices: reads price tables, and applies them to a CallRecord. Pure but for ``load_prices``.

A table lists each provider's models and their prices per million tokens. A model in no table has no
known price, and is shown so; it is never refused for that. Only tokens are counted, not searches,
images priced by the piece or Google's cache storage.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec

from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.config.settings import Settings, SettingsError

Cost = int | None
"""Billionths of a dollar; None without a known price."""

FREE: Final = "jarvis"
"""The built-in upstream, which costs nothing."""

_TABLE_FILE: Final = Path(__file__).with_name("prices.json")
_NANO_PER_MILLION: Final = 1000
"""One dollar per million tokens is this many billionths of a dollar per token."""
_HOUR_FACTOR: Final = 2
"""Anthropic's price factor for an hour in its cache.

Source: https://platform.claude.com/docs/en/about-claude/pricing (read 2026-11).
"""
_KNOWN_AS: Final[Mapping[str, str]] = {"gemini": "google", "zhipu": "zhipuai", "xai": "x-ai"}
"""Usual names of upstreams, for providers that are reached through a gateway's base URL."""

_T = TypeVar("_T")
_Price = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]


class PriceError(ValueError):
    """A price file does not have the expected form."""


class Rates(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """US dollars per million tokens.

    *cached* applies to prompt tokens read from a cache, *written* to those written to one, *audio*
    and *image* to those of sound and of pictures from no cache. Without a rate of their own they
    cost as much as other prompt tokens. Tokens written for an hour cost twice as much as other
    prompt tokens.
    """

    input: _Price | None = None
    audio: _Price | None = None
    image: _Price | None = None
    cached: _Price | None = None
    written: _Price | None = None
    output: _Price | None = None


class Tier(Rates, forbid_unknown_fields=True, omit_defaults=True):
    """Rates for the whole call if its prompt has more than *above* tokens."""

    above: int = 0


class Price(Rates, forbid_unknown_fields=True, omit_defaults=True, rename={"since": "from"}):
    """Rates from a day on (``2027-01-01``), or within hours of the day (``00:30-16:30``), in UTC.

    The last applicable entry counts, or the first if none applies.
    """

    since: str = ""
    hours: Annotated[str, msgspec.Meta(pattern=r"^([0-2]\d:[0-5]\d-[0-2]\d:[0-5]\d)?$")] = ""
    tiers: tuple[Tier, ...] = ()

    def applies(self, moment: float) -> bool:
        """Return whether these are the rates at *moment* (epoch seconds)."""
        days, seconds = divmod(int(moment), 86_400)
        if self.since and days < (date.fromisoformat(self.since) - date(1970, 1, 1)).days:
            return False
        if not self.hours:
            return True
        start, end = (int(text[:2]) * 60 + int(text[3:]) for text in self.hours.split("-"))
        minute = seconds // 60
        return start <= minute < end if start <= end else minute >= start or minute < end

    def rates(self, prompt: int) -> Rates:
        """Return the rates for a call with *prompt* prompt tokens."""
        chosen: Rates = self
        for tier in self.tiers:
            if prompt > tier.above:
                chosen = tier
        return chosen


class ModelPrices(msgspec.Struct, forbid_unknown_fields=True):
    """The prices of a model. ``_matcher`` explains *names*."""

    names: tuple[str, ...]
    prices: Annotated[tuple[Price, ...], msgspec.Meta(min_length=1)]


class Provider(
    msgspec.Struct,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"fallback_providers": "also"},
):
    """*url* is a regular expression for base URLs. *fallback_providers* sell models to it.

    *models* is an undecoded list of ModelPrices: it has thousands, and few providers are used.
    """

    url: str
    models: msgspec.Raw
    fallback_providers: tuple[str, ...] = ()


class PriceFile(msgspec.Struct, forbid_unknown_fields=True):
    """The table that comes with the proxy; *source* names its origin."""

    source: str
    providers: dict[str, Provider]


class _PriceOverrides(msgspec.Struct, forbid_unknown_fields=True):
    """PRICES_FILE: rates by ``upstream/model``, or by a prefix of it with ``*``."""

    models: dict[str, Price]


_FILE: Final = msgspec.json.Decoder(PriceFile)
_MODELS: Final = msgspec.json.Decoder(tuple[ModelPrices, ...])
_OWN_FILE: Final = msgspec.json.Decoder(_PriceOverrides)
_Entry = tuple[Callable[[str], bool], tuple[Price, ...]]


class Prices:
    """The prices of the configured upstreams.

    *upstreams* lists each one's name and base URL. *overrides* is PRICES_FILE's content, which
    takes precedence over the table.
    """

    def __init__(
        self,
        table: bytes | None = None,
        upstreams: Iterable[tuple[str, str]] = (),
        overrides: bytes | None = None,
    ) -> None:
        """Read the tables.

        Raises:
            PriceError: a table does not have the expected form.
        """
        self._overrides = _override_entries(overrides) if overrides is not None else []
        self._providers = _decode(_FILE, table).providers if table is not None else {}
        self._base_urls = dict(upstreams)
        # Made at the first use, because a start needs no table.
        self._table = lru_cache(maxsize=None)(self._make_table)
        # Model names come from clients, so the cache is bounded.
        self._find = lru_cache(maxsize=1024)(self._search)

    def cost(self, record: CallRecord) -> Cost:
        """Return the cost of the call's tokens, None if the price or the tokens are unknown."""
        prompt, completion = record.prompt_tokens, record.completion_tokens
        if prompt is None and completion is None:
            return None
        if record.upstream == FREE:
            return 0
        prices = self._find(record.upstream, record.upstream_model.lower())
        if prices is None:
            return None
        price = prices[0]
        if len(prices) > 1:
            price = next((p for p in reversed(prices) if p.applies(record.timestamp)), price)
        return _cost(price.rates(prompt or 0), record)

    def _search(self, upstream: str, model: str) -> tuple[Price, ...] | None:
        full_name = f"{upstream}/{model}"
        for matches, prices in self._overrides:
            if matches(full_name):
                return prices
        for matches, prices in self._table(upstream):
            if matches(model):
                return prices
        return None

    def _make_table(self, upstream: str) -> list[_Entry]:
        """Return the models of an upstream's provider, in the table's order."""
        providers = self._providers
        provider = _provider(providers, upstream, self._base_urls.get(upstream, ""))
        if provider is None:
            return []
        others = (providers[name] for name in provider.fallback_providers if name in providers)
        models = (m for each in (provider, *others) for m in _MODELS.decode(each.models))
        return [(_matcher(model.names), model.prices) for model in models]


def _cost(rates: Rates, record: CallRecord) -> Cost:
    prompt = record.prompt_tokens or 0
    cached = min(record.cached_tokens or 0, prompt)
    written = min(record.cache_write_tokens or 0, prompt - cached)
    for_an_hour = min(record.cache_write_1h_tokens, written)
    fresh = prompt - cached - written
    audio = min(record.audio_tokens, fresh)
    image = min(record.image_tokens, fresh - audio)
    total = 0.0
    for tokens, rate in (
        (fresh - audio - image, rates.input),
        (audio, rates.input if rates.audio is None else rates.audio),
        (image, rates.input if rates.image is None else rates.image),
        (cached, rates.input if rates.cached is None else rates.cached),
        (written - for_an_hour, rates.input if rates.written is None else rates.written),
        (for_an_hour, None if rates.input is None else _HOUR_FACTOR * rates.input),
        (record.completion_tokens or 0, rates.output),
    ):
        if tokens:
            if rate is None:
                # This provider charges by another unit than tokens.
                return None
            total += tokens * rate
    return round(total * _NANO_PER_MILLION)


def _decode(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T:
    try:
        return decoder.decode(data)
    except (ValueError, RecursionError) as exc:
        raise PriceError(str(exc)) from exc


def _provider(providers: Mapping[str, Provider], name: str, base_url: str) -> Provider | None:
    """Return an upstream's provider: by its base URL, else by its name."""
    for provider in providers.values():
        if re.match(provider.url, base_url):
            return provider
    return providers.get(_KNOWN_AS.get(name, name))


def _override_entries(data: bytes) -> list[_Entry]:
    """Return the entries of PRICES_FILE, more exact names first."""
    models = _decode(_OWN_FILE, data).models
    for name, price in models.items():
        if "/" not in name:
            raise PriceError(f"`{name}` must be upstream/model, such as openai/gpt-4.1-mini")
        if price.since:
            _check_day(name, price.since)
    exact_first = sorted(models, key=lambda name: (name.endswith("*"), -len(name)))
    return [(_matcher((name.lower(),)), (models[name],)) for name in exact_first]


def _check_day(name: str, day: str) -> None:
    try:
        date.fromisoformat(day)
    except ValueError as exc:
        raise PriceError(f"`from` of `{name}` must be a day, such as 2027-01-01") from exc


def _matcher(names: Iterable[str]) -> Callable[[str], bool]:
    """Return a predicate for model names in lower case.

    In a name, ``*`` matches anything. A name that begins with ``^`` is a regular expression. Any
    other name matches only itself.
    """
    exact: set[str] = set()
    patterns: list[str] = []
    for name in names:
        if name.startswith("^"):
            patterns.append(f"(?:{name})")
        elif "*" in name:
            patterns.append(f"(?:{'.*'.join(map(re.escape, name.split('*')))}$)")
        else:
            exact.add(name)
    if not patterns:
        return exact.__contains__
    pattern = re.compile("|".join(patterns), re.DOTALL)
    return lambda name: name in exact or pattern.match(name) is not None


def load_prices(settings: Settings) -> Prices:
    """Return the prices of the upstreams in *settings*.

    Raises:
        SettingsError: PRICES_FILE cannot be read, or has the wrong form.
    """
    own: bytes | None = None
    if settings.prices_file:
        try:
            own = Path(settings.prices_file).read_bytes()
        except OSError:
            raise SettingsError(
                ("PRICES_FILE: must name a file that the server may read.",)
            ) from None
    upstreams = [(upstream.name, upstream.base_url) for upstream in settings.upstreams]
    try:
        return Prices(_TABLE_FILE.read_bytes(), upstreams, own)
    except PriceError as exc:
        form = '{"models": {"openai/gpt-4.1-mini": {"input": 0.4, "cached": 0.1, "output": 1.6}}}'
        raise SettingsError(
            (f"PRICES_FILE: must be JSON with US dollars a million tokens, as in {form}: {exc}.",)
        ) from None
