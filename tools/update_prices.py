"""Makes jarvis_proxy/accounting/prices.json from the installed genai-prices.

To be run before each release: ``pip install --upgrade genai-prices``, then
``python -m tools.update_prices``. Prices are taken at the standard tier, since a call's record has
no more than tokens. Sound and pictures in prompts have prices of their own. Where those in answers
cost more, their price counts for the whole answer: models that make them make little else. What is
not priced by the token is left out, and so shows as unknown.

Source: https://github.com/pydantic/genai-prices (MIT).
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from genai_prices import types
from genai_prices.data import providers

ROOT: Final = Path(__file__).resolve().parent.parent
TARGET: Final = ROOT / "jarvis_proxy" / "accounting" / "prices.json"
_INPUTS: Final = ("input_mtok", "input_audio_mtok", "input_image_mtok")
_OUTPUTS: Final = ("output_mtok", "output_image_mtok", "output_audio_mtok", "output_video_mtok")
_Rates = dict[str, float]


def render(today: date) -> str:
    """Return the file's text: a line for each model, so that changes can be read."""
    source = f"genai-prices {version('genai-prices')}"
    lines = [f'{{"source": {_json(source)}, "providers": {{']
    found = [(provider, list(_models(provider, today))) for provider in providers]
    found = [(provider, models) for provider, models in found if models]
    for number, (provider, models) in enumerate(found, 1):
        head = {"url": provider.api_pattern}
        also = provider.fallback_model_providers or []
        lines.append(
            f'{_json(provider.id)}: {_json(head)[:-1]}, "also": {_json(also)}, "models": ['
        )
        lines += [f"{_json(model)}{',' * (model is not models[-1])}" for model in models]
        lines.append("]}" + "," * (number < len(found)))
    return "\n".join((*lines, "}}", ""))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=True)


def _models(provider: types.Provider, today: date) -> Iterator[dict[str, Any]]:
    for model in provider.models:
        prices = [_price(condition) for condition in _conditions(model, today)]
        if prices and all("input" in price or "output" in price for price in prices):
            yield {"names": sorted(_names(model.match)), "prices": prices}


def _conditions(model: types.ModelInfo, today: date) -> list[types.ConditionalPrice]:
    """Return a model's prices from those on that are in force; older ones can never apply again."""
    if isinstance(model.prices, types.ModelPrice):
        return [types.ConditionalPrice(None, prices=model.prices)]
    started = [i for i, each in enumerate(model.prices) if _is_in_force(each.constraint, today)]
    return model.prices[started[-1] :] if started else model.prices


def _is_in_force(constraint: object, today: date) -> bool:
    if isinstance(constraint, types.StartDateConstraint):
        return constraint.start_date <= today
    return constraint is None


def _price(condition: types.ConditionalPrice) -> dict[str, Any]:
    price: dict[str, Any] = {}
    match condition.constraint:
        case types.StartDateConstraint(start_date=day):
            price["from"] = day.isoformat()
        case types.TimeOfDateConstraint(start_time=start, end_time=end):
            price["hours"] = f"{_utc(start):%H:%M}-{_utc(end):%H:%M}"
    price |= _rates(condition.prices, 0)
    starts = {tier.start for value in _values(condition.prices) for tier in _tiers(value)}
    tiers = [{"above": start, **_rates(condition.prices, start + 1)} for start in sorted(starts)]
    return price | {"tiers": tiers} if tiers else price


def _utc(moment: Any) -> Any:
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return datetime.combine(date(2000, 1, 1), zoned).astimezone(UTC)


def _rates(price: types.ModelPrice, prompt: int) -> _Rates:
    """Return the rates of a call with so many tokens in its prompt, by our names."""
    outputs = [_at(getattr(price, name), prompt) for name in _OUTPUTS]
    rates = {
        "input": _at(price.input_mtok, prompt),
        "audio": _at(price.input_audio_mtok, prompt),
        "image": _at(price.input_image_mtok, prompt),
        "cached": _at(price.cache_read_mtok, prompt),
        "written": _at(price.cache_write_mtok, prompt),
        "output": max((rate for rate in outputs if rate is not None), default=None),
    }
    return {name: float(rate) for name, rate in rates.items() if rate is not None}


def _values(price: types.ModelPrice) -> Iterator[object]:
    for name in (*_INPUTS, "cache_read_mtok", "cache_write_mtok", *_OUTPUTS):
        yield getattr(price, name)


def _tiers(value: object) -> list[types.Tier]:
    return value.tiers if isinstance(value, types.TieredPrices) else []


def _at(value: Decimal | types.TieredPrices | None, prompt: int) -> Decimal | None:
    if not isinstance(value, types.TieredPrices):
        return value
    return next((t.price for t in reversed(value.tiers) if prompt > t.start), value.base)


def _names(clause: Any) -> Iterable[str]:
    """Return what a clause matches, as accounting/prices.py spells it: ``*``, or ``^regex``."""
    match clause:
        case types.ClauseOr(or_=clauses):
            return [name for each in clauses for name in _names(each)]
        case types.ClauseEquals(equals=text):
            return [text.lower()]
        case types.ClauseStartsWith(starts_with=text):
            return [f"{text.lower()}*"]
        case types.ClauseEndsWith(ends_with=text):
            return [f"*{text.lower()}"]
        case types.ClauseContains(contains=text):
            return [f"*{text.lower()}*"]
        case types.ClauseRegex(regex=pattern) if pattern.startswith("^") and "|" not in pattern:
            return [pattern]
        case _:
            return [f"^{_lookahead(clause)}"]


def _lookahead(clause: Any) -> str:
    """Return a regular expression that matches at the beginning of what *clause* matches."""
    match clause:
        case types.ClauseAnd(and_=clauses):
            return "".join(_lookahead(each) for each in clauses)
        case types.ClauseOr(or_=clauses):
            return f"(?:{'|'.join(_lookahead(each) for each in clauses)})"
        case types.ClauseRegex(regex=pattern):
            return f"(?=.*?(?:{pattern}))"
        case types.ClauseEquals(equals=text):
            return f"(?={re.escape(text.lower())}$)"
        case types.ClauseStartsWith(starts_with=text):
            return f"(?={re.escape(text.lower())})"
        case types.ClauseEndsWith(ends_with=text):
            return f"(?=.*{re.escape(text.lower())}$)"
        case types.ClauseContains(contains=text):
            return f"(?=.*{re.escape(text.lower())})"
    raise TypeError(f"{type(clause).__name__} is new: teach this script what it matches")


def main() -> None:
    """Write the file."""
    TARGET.write_text(render(datetime.now(UTC).date()), encoding="ascii")
    sys.stdout.write(f"{TARGET}: {TARGET.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
