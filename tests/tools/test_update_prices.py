"""Making prices.json: what a model matches, and which of its prices are still of use."""

import re
from datetime import date, time
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from jarvis_proxy.accounting.prices import PriceFile, Prices
from tests.support.call_records import call
from tools.update_prices import TARGET, _models, _names, render

TODAY = date(2026, 11, 23)
A, B = ClauseStartsWith("a"), ClauseEndsWith("z")


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        (ClauseEquals("GPT-4o"), ["gpt-4o"]),
        (ClauseStartsWith("gpt-4"), ["gpt-4*"]),
        (ClauseEndsWith(":free"), ["*:free"]),
        (ClauseContains("claude"), ["*claude*"]),
        (ClauseOr([ClauseEquals("a"), ClauseStartsWith("b")]), ["a", "b*"]),
        (ClauseRegex(r"^gpt-\d$"), [r"^gpt-\d$"]),
    ],
)
def test_a_clause_becomes_names_as_the_table_spells_them(clause: Any, expected: list[str]) -> None:
    assert expected == _names(clause)


@pytest.mark.parametrize(
    ("clause", "matching", "others"),
    [
        (ClauseRegex("4o|5o"), ["gpt-4o", "5o-x"], ["gpt-4"]),
        (ClauseRegex("^a|b"), ["ax", "xb"], ["xa"]),
        (ClauseAnd([A, B]), ["az", "a-z"], ["a", "z", "za"]),
        (ClauseAnd([A, ClauseRegex("^(?!.*-tts)")]), ["a-pro"], ["a-tts", "b"]),
        (
            ClauseAnd([ClauseContains("m"), ClauseOr([ClauseEquals("am"), B])]),
            ["am", "mz"],
            ["amx"],
        ),
    ],
)
def test_what_has_no_spelling_of_its_own_becomes_a_regular_expression(
    clause: Any, matching: list[str], others: list[str]
) -> None:
    (pattern,) = _names(clause)
    found = [name for name in matching + others if re.match(pattern, name)]

    assert matching == found == [name for name in matching + others if clause.is_match(name)]


def test_a_clause_of_a_new_kind_is_not_passed_over() -> None:
    with pytest.raises(TypeError, match="teach this script"):
        _names(object())


def model(prices: Any) -> list[dict[str, Any]]:
    class Provider:
        models = (ModelInfo(id="m", match=ClauseEquals("m"), prices=prices),)

    return list(_models(Provider, TODAY))  # type: ignore[arg-type]  # nothing else is asked for


def price(**rates: Any) -> ModelPrice:
    return ModelPrice(**{name: Decimal(rate) for name, rate in rates.items()})


def test_prices_that_can_never_apply_again_are_left_out() -> None:
    steps = [
        ConditionalPrice(None, prices=price(input_mtok="1")),
        ConditionalPrice(StartDateConstraint(date(2026, 1, 1)), prices=price(input_mtok="2")),
        ConditionalPrice(StartDateConstraint(date(2027, 1, 1)), prices=price(input_mtok="3")),
    ]

    assert model(steps) == [
        {
            "names": ["m"],
            "prices": [{"from": "2026-01-01", "input": 2.0}, {"from": "2027-01-01", "input": 3.0}],
        }
    ]


def test_prices_that_are_all_to_come_are_all_kept() -> None:
    later = ConditionalPrice(StartDateConstraint(date(2027, 1, 1)), prices=price(input_mtok="3"))

    assert model([later])[0]["prices"] == [{"from": "2027-01-01", "input": 3.0}]


def test_hours_of_the_day_are_kept() -> None:
    steps = [
        ConditionalPrice(None, prices=price(input_mtok="1")),
        ConditionalPrice(
            TimeOfDateConstraint(time(0, 30), time(16, 30)), prices=price(input_mtok="2")
        ),
    ]

    assert model(steps)[0]["prices"] == [{"input": 1.0}, {"hours": "00:30-16:30", "input": 2.0}]


def test_tiers_have_all_rates_of_their_own() -> None:
    tiered = ModelPrice(
        input_mtok=TieredPrices(Decimal(1), [Tier(200, Decimal(2))]),
        cache_read_mtok=Decimal("0.5"),
        cache_write_mtok=Decimal("1.25"),
        output_mtok=TieredPrices(Decimal(4), [Tier(300, Decimal(8))]),
    )

    assert model(tiered)[0]["prices"] == [
        {
            "input": 1.0,
            "cached": 0.5,
            "written": 1.25,
            "output": 4.0,
            "tiers": [
                {"above": 200, "input": 2.0, "cached": 0.5, "written": 1.25, "output": 4.0},
                {"above": 300, "input": 2.0, "cached": 0.5, "written": 1.25, "output": 8.0},
            ],
        }
    ]


def test_answers_of_pictures_or_sound_cost_what_those_do() -> None:
    made = price(input_mtok="1", output_mtok="10", output_image_mtok="100")

    assert model(made)[0]["prices"] == [{"input": 1.0, "output": 100.0}]


def test_prompts_of_pictures_or_sound_have_rates_of_their_own() -> None:
    heard = price(input_mtok="1", input_audio_mtok="7", input_image_mtok="2", output_mtok="10")
    rates = {"input": 1.0, "audio": 7.0, "image": 2.0, "output": 10.0}

    assert model(heard)[0]["prices"] == [rates]


def test_what_is_not_priced_by_the_token_is_left_out() -> None:
    assert model(price(requests_kcount="1")) == []


def test_the_whole_file_is_one_that_the_proxy_reads() -> None:
    text = render(TODAY)
    prices = Prices(text.encode(), [("openai", "https://api.openai.com/v1")])

    assert prices.cost(call(upstream_model="gpt-4.1-mini")) == 6 * 400 + 4 * 100 + 5 * 1600
    assert len(msgspec.json.decode(text, type=PriceFile).providers) > 30
    assert text.count("\n") == TARGET.read_text(encoding="ascii").count("\n")
