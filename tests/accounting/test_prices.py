"""Prices: which price is whose, what a call costs, and that the table says what its source says."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
import pytest
from genai_prices import Usage
from genai_prices.data import providers
from genai_prices.types import ModelInfo, ModelPrice, Provider

from jarvis_proxy.accounting.prices import FREE, PriceError, PriceFile, Prices, load_prices
from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.config.settings import Settings, SettingsError
from tests.support.call_records import call

TABLE = (Path(__file__).parents[2] / "jarvis_proxy" / "accounting" / "prices.json").read_bytes()
NOW = datetime.now(UTC).timestamp()
USD = 1_000_000_000


def record(
    upstream: str,
    target: str,
    *,
    prompt: int | None = 1000,
    completion: int | None = 100,
    cached: int | None = 0,
    written: int | None = None,
    written_1h: int = 0,
    audio: int = 0,
    image: int = 0,
    at: str = "2026-11-23T12:00:00+00:00",
) -> CallRecord:
    return CallRecord(
        request_id="req_1",
        started_at=0.0,
        timestamp=datetime.fromisoformat(at).timestamp(),
        upstream=upstream,
        upstream_model=target,
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=written_1h,
        audio_tokens=audio,
        image_tokens=image,
    )


def table(*models: dict[str, object], **more: object) -> bytes:
    """Return a table with one provider, ``maker`` at maker.example."""
    maker = {"url": r"https://maker\.example", "models": models, **more}
    return json.dumps({"source": "test", "providers": {"maker": maker}}).encode()


def model(*names: str, **rates: object) -> dict[str, object]:
    return {"names": names, "prices": [rates]}


# -- which price is whose --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("upstream", "base_url", "known"),
    [
        ("any", "https://maker.example/v1", True),
        ("maker", "http://gateway.example/v1", True),  # by its name
        ("any", "http://gateway.example/v1", False),
        ("any", "", False),
    ],
)
def test_an_upstream_is_known_by_its_address_or_else_by_its_name(
    upstream: str, base_url: str, *, known: bool
) -> None:
    prices = Prices(table(model("m", input=1, output=2)), [(upstream, base_url)])

    assert known is (prices.cost(record(upstream, "m")) is not None)


def test_gemini_is_googles_whatever_its_address() -> None:
    text = {"source": "t", "providers": {"google": {"url": "x", "models": [model("g", input=1)]}}}
    prices = Prices(json.dumps(text).encode(), [("gemini", "http://127.0.0.1/v1beta")])

    assert prices.cost(record("gemini", "g", completion=0)) == USD // 1000


@pytest.mark.parametrize(
    ("name", "matching", "others"),
    [
        ("gpt-4.1", ["gpt-4.1", "GPT-4.1"], ["gpt-4.1-mini", "gpt-401"]),
        ("gpt-4.1*", ["gpt-4.1", "gpt-4.1-mini"], ["my-gpt-4.1", "gpt-401"]),
        ("*:free", ["a/b:free"], ["a/b:free-2"]),
        ("*claude-v2*", ["claude-v2", "anthropic.claude-v2:1"], ["claude-v3"]),
        (r"^gpt-\d+$", ["gpt-5"], ["gpt-5-mini", "a-gpt-5"]),
    ],
)
def test_a_name_matches_as_it_is_spelled(name: str, matching: list[str], others: list[str]) -> None:
    prices = Prices(table(model(name, input=1, output=1)), [("maker", "")])
    found = [text for text in matching + others if prices.cost(record("maker", text)) is not None]

    assert matching == found


def test_the_first_model_that_matches_counts() -> None:
    models = (model("a-b", input=1), model("a*", input=2), model("a-c", input=3))
    prices = Prices(table(*models), [("maker", "")])
    costs = [prices.cost(record("maker", name, completion=0)) for name in ("a-b", "a-c")]

    assert costs == [USD // 1000, 2 * USD // 1000]


def test_models_of_another_provider_are_found_where_it_sells_them() -> None:
    text = json.loads(table(model("own", input=1), also=["other", "gone"]))
    text["providers"]["other"] = {"url": "none", "models": [model("theirs", input=2)]}
    prices = Prices(json.dumps(text).encode(), [("maker", "")])

    assert prices.cost(record("maker", "theirs", completion=0)) == 2 * USD // 1000


# -- what a call costs -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "cached", "completion", "dollars"),
    [
        (1000, 0, 100, 0.0042),
        (1000, 400, 0, 0.0014),
        (1000, 5000, 0, 0.0005),  # more cached than there is: some upstreams add it to the prompt
        (0, 0, 0, 0.0),
        (1, 1, 0, 0.0000005),
    ],
)
def test_cached_tokens_are_a_part_of_the_prompt_with_a_price_of_their_own(
    prompt: int, cached: int, completion: int, dollars: float
) -> None:
    prices = Prices(table(model("m", input=2, cached=0.5, output=22)), [("maker", "")])
    actual = prices.cost(record("maker", "m", prompt=prompt, cached=cached, completion=completion))

    assert actual == round(dollars * USD)


def test_cached_tokens_without_a_price_of_their_own_cost_what_others_do() -> None:
    prices = Prices(table(model("m", input=2)), [("maker", "")])

    assert prices.cost(record("maker", "m", cached=400, completion=0)) == 2 * USD // 1000


@pytest.mark.parametrize(
    ("cached", "audio", "image", "dollars"),
    [
        (0, 1000, 0, 0.01),
        (0, 500, 300, 0.005 + 0.0009 + 0.0004),
        (400, 500, 0, 0.0002 + 0.005 + 0.0002),
        (400, 5000, 5000, 0.0002 + 0.006),  # more than there is: both are parts of the prompt
        (900, 0, 5000, 0.00045 + 0.0003),
    ],
)
def test_sound_and_pictures_in_a_prompt_have_prices_of_their_own(
    cached: int, audio: int, image: int, dollars: float
) -> None:
    rates = model("m", input=2, audio=10, image=3, cached=0.5)
    call = record("maker", "m", cached=cached, audio=audio, image=image, completion=0)

    assert Prices(table(rates), [("maker", "")]).cost(call) == round(dollars * USD)


def test_sound_and_pictures_without_a_price_of_their_own_cost_what_text_does() -> None:
    call = record("maker", "m", audio=500, image=300, completion=0)

    assert Prices(table(model("m", input=2)), [("maker", "")]).cost(call) == 2 * USD // 1000


@pytest.mark.parametrize(
    ("prompt", "cached", "written", "dollars"),
    [
        (1000, 0, 400, 0.0022),
        (1000, 400, 400, 0.0016),
        (1000, 800, 400, 0.0009),  # more than there is: both are parts of the prompt
        (1000, 0, 0, 0.002),
    ],
)
def test_tokens_written_to_a_cache_have_a_price_of_their_own(
    prompt: int, cached: int, written: int, dollars: float
) -> None:
    prices = Prices(table(model("m", input=2, cached=0.5, written=2.5)), [("maker", "")])
    call = record("maker", "m", prompt=prompt, cached=cached, written=written, completion=0)

    assert prices.cost(call) == round(dollars * USD)


@pytest.mark.parametrize(
    ("written", "written_1h", "dollars"),
    [
        (400, 400, 0.0028),
        (400, 100, 0.0012 + 0.00075 + 0.0004),
        (400, 900, 0.0028),  # more than were written
        (0, 100, 0.002),
    ],
)
def test_tokens_written_for_an_hour_cost_twice_what_others_do(
    written: int, written_1h: int, dollars: float
) -> None:
    prices = Prices(table(model("m", input=2, written=2.5)), [("maker", "")])
    call = record("maker", "m", written=written, written_1h=written_1h, completion=0)

    assert prices.cost(call) == round(dollars * USD)


def test_tokens_written_to_a_cache_without_a_price_of_their_own_cost_what_others_do() -> None:
    prices = Prices(table(model("m", input=2)), [("maker", "")])

    assert prices.cost(record("maker", "m", written=400, completion=0)) == 2 * USD // 1000


@pytest.mark.parametrize(
    "name", ["claude-opus-5", "claude-sonnet-4-6", "claude-haiku-4-5-20251001"]
)
def test_claude_asks_more_for_writing_a_cache_and_less_for_reading_it(name: str) -> None:
    prices = Prices(TABLE, [("anthropic", "https://api.anthropic.com")])

    def cost(cached: int, written: int) -> int:
        call = record(
            "anthropic", name, prompt=100_000, completion=0, cached=cached, written=written
        )
        return prices.cost(call) or 0

    hour = record("anthropic", name, prompt=100_000, completion=0, written=100_000)
    hour.cache_write_1h_tokens = 60_000
    plain = cost(0, 0)
    assert prices.cost(hour) == plain * 4 // 10 * 5 // 4 + plain * 6 // 10 * 2
    assert plain > 0
    assert cost(0, 100_000) == plain * 5 // 4
    assert cost(100_000, 0) == plain // 10


def test_a_long_prompt_makes_the_whole_call_dearer() -> None:
    tiers = [{"above": 200, "input": 2, "output": 4}, {"above": 500, "input": 3, "output": 6}]
    prices = Prices(table(model("m", input=1, output=2, tiers=tiers)), [("maker", "")])
    costs = [
        prices.cost(record("maker", "m", prompt=prompt, completion=1))
        for prompt in (200, 201, 500, 501)
    ]

    assert costs == [202_000, 406_000, 1_004_000, 1_509_000]


@pytest.mark.parametrize(
    ("at", "rate"),
    [
        ("2026-12-31T21:59:59+00:00", 1),
        ("2026-12-31T23:59:59+00:00", 3),
        ("2027-01-01T00:59:59+00:00", 3),
        ("2027-01-01T01:00:00+00:00", 2),
        ("2027-01-01T22:00:00+00:00", 3),
    ],
)
def test_last_active_price_is_used(at: str, rate: int) -> None:
    steps = [{"input": 1}, {"from": "2027-01-01", "input": 2}, {"hours": "22:00-01:00", "input": 3}]
    prices = Prices(table({"names": ["m"], "prices": steps}), [("maker", "")])

    assert prices.cost(record("maker", "m", completion=0, at=at)) == rate * USD // 1000


@pytest.mark.parametrize(
    ("at", "rate"), [("2026-11-23T00:29:59+00:00", 1), ("2026-11-23T00:30:00+00:00", 2)]
)
def test_a_price_may_hold_within_hours_of_the_day(at: str, rate: int) -> None:
    steps = [{"input": 1}, {"hours": "00:30-16:30", "input": 2}]
    prices = Prices(table({"names": ["m"], "prices": steps}), [("maker", "")])

    assert prices.cost(record("maker", "m", completion=0, at=at)) == rate * USD // 1000


def test_first_price_is_used_if_none_is_active() -> None:
    steps = [{"from": "2090-01-01", "input": 1}, {"from": "2099-01-01", "input": 2}]
    prices = Prices(table({"names": ["m"], "prices": steps}), [("maker", "")])

    assert prices.cost(record("maker", "m", completion=0)) == USD // 1000


def test_what_is_not_priced_by_the_token_has_no_known_cost() -> None:
    prices = Prices(table(model("m", input=1)), [("maker", "")])

    assert prices.cost(record("maker", "m", completion=1)) is None
    assert prices.cost(record("maker", "m", completion=0)) is not None


def test_unknown_tokens_have_no_known_cost() -> None:
    prices = Prices(table(model("m", input=1)), [("maker", "")])

    assert prices.cost(record("maker", "m", prompt=None, completion=None)) is None


def test_the_built_in_model_is_free() -> None:
    assert Prices().cost(record(FREE, "jarvis-echo")) == 0


def test_without_a_table_nothing_is_known() -> None:
    assert (
        Prices(None, [("openai", "https://api.openai.com/v1")]).cost(record("openai", "m")) is None
    )


# -- PRICES_FILE -----------------------------------------------------------------------------


def own(**models: object) -> bytes:
    return json.dumps({"models": models}).encode()


def test_own_prices_override_the_table_and_add_to_it() -> None:
    mine = own(**{"maker/m": {"input": 7}, "Ollama/*": {"input": 0, "output": 0}})
    prices = Prices(table(model("m", input=1), model("n", input=2)), [("maker", "")], mine)
    names = [("maker", "m"), ("maker", "n"), ("ollama", "llama3:8b")]
    costs = [prices.cost(record(*name, completion=0)) for name in names]

    assert costs == [7 * USD // 1000, 2 * USD // 1000, 0]


def test_the_more_exact_of_own_prices_counts() -> None:
    mine = own(**{"a/*": {"input": 1}, "a/b*": {"input": 2}, "a/bc": {"input": 3}})
    prices = Prices(None, (), mine)
    costs = [prices.cost(record("a", name, completion=0)) for name in ("x", "bx", "bc")]

    assert costs == [USD // 1000, 2 * USD // 1000, 3 * USD // 1000]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "truncated"),
        (b"[]", "object"),
        (b"\xff", "malformed"),
        (b'{"models":{"a/b":{"input":"1"}}}', "float"),
        (b'{"models":{"a/b":{"input":-1}}}', ">= 0"),
        (b'{"models":{"a/b":{"inputs":1}}}', "inputs"),
        (b'{"models":{"gpt":{"input":1}}}', "`gpt` must be upstream/model"),
        (b'{"models":{"a/b":{"from":"soon"}}}', "`from` of `a/b` must be a day"),
        (b'{"models":{"a/b":{"hours":"noon"}}}', "pattern|match"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_with_the_place(text: bytes, said: str) -> None:
    with pytest.raises(PriceError, match=said):
        Prices(TABLE, (), text)


def test_a_day_in_an_own_price_is_understood() -> None:
    prices = Prices(None, (), own(**{"a/b": {"from": "2027-01-01", "input": 1}}))

    assert prices.cost(record("a", "b", completion=0)) == USD // 1000


# -- the table that comes with the proxy -----------------------------------------------------


def test_the_table_is_made_from_the_locked_source() -> None:
    """To update it: python -m tools.update_prices"""
    source = msgspec.json.decode(TABLE, type=PriceFile).source

    assert source == f"genai-prices {version('genai-prices')}"


def priced_models() -> Iterator[tuple[Provider, ModelInfo, ModelPrice]]:
    """Yield the models of the source that are priced by tokens of text alone."""
    now = datetime.fromtimestamp(NOW, UTC)
    for provider in providers:
        for info in provider.models:
            price = info.get_prices(now)
            units = {name for name, value in price.__dict__.items() if value is not None}
            if {"input_mtok", "output_mtok"} <= units and not units & {
                "output_image_mtok",
                "output_audio_mtok",
                "output_video_mtok",
                "output_reasoning_mtok",
                "requests_kcount",
            }:
                yield provider, info, price


@pytest.mark.slow
def test_a_call_costs_what_the_source_says_for_every_model_that_it_names() -> None:
    wrong = []
    compared = 0
    tables: dict[str, Prices] = {}
    for provider, info, price in priced_models():
        if provider.id not in tables:
            tables[provider.id] = Prices(TABLE, [(provider.id, "")])
        prices = tables[provider.id]
        name = info.id.lower()
        if provider.find_model(name) is not info:
            continue  # its own id leads elsewhere
        for prompt, cached, written, audio, completion in (
            (1000, 0, 0, 0, 100),
            (900, 400, 300 if price.cache_write_mtok is not None else 0, 0, 50),
            (900, 0, 0, 700 if price.input_audio_mtok is not None else 0, 50),
            (300_000, 0, 0, 0, 2000),
        ):
            used = Usage(
                input_tokens=prompt,
                output_tokens=completion,
                cache_read_tokens=cached or None,
                cache_write_tokens=written or None,
                input_audio_tokens=audio or None,
            )
            expected = round(float(price.calc_price(used)["total_price"]) * USD)
            call = record(
                provider.id,
                name,
                prompt=prompt,
                cached=cached,
                written=written,
                audio=audio,
                completion=completion,
            )
            call.timestamp = NOW
            actual = prices.cost(call)
            compared += 1
            if actual is None or abs(actual - expected) > 1:
                wrong.append((provider.id, info.id, prompt, expected, actual))

    assert compared > 5000
    assert not wrong


ENV = {"PROXY_API_KEYS": "k" * 32, "HOST": "127.0.0.1"}


def settings(**env: str) -> Settings:
    return Settings.from_env({**ENV, **env})


@pytest.mark.parametrize(
    ("upstream", "target"),
    [("openai", "gpt-4.1-mini"), ("gemini", "gemini-2.5-flash"), ("deepseek", "deepseek-chat")],
)
def test_the_usual_models_have_a_price(upstream: str, target: str) -> None:
    more = {"UPSTREAMS": "deepseek", "DEEPSEEK_BASE_URL": "https://api.deepseek.com/v1"}
    prices = load_prices(settings(**more))

    assert (prices.cost(call(upstream=upstream, upstream_model=target)) or 0) > 0


def test_own_prices_win(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"models": {"openai/gpt-4.1-mini": {"input": 1000, "output": 0}}}')
    prices = load_prices(settings(PRICES_FILE=str(path)))

    assert prices.cost(call(upstream_model="gpt-4.1-mini")) == 10_000_000


def test_a_file_that_is_gone_is_a_problem_of_its_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_prices(settings(PRICES_FILE=str(tmp_path / "gone.json")))

    assert caught.value.problems == ("PRICES_FILE: must name a file that the server may read.",)


def test_invalid_price_file_is_reported_with_example_and_position(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"models": {"openai/gpt-4.1-mini": {"input": "much"}}}')
    with pytest.raises(SettingsError) as caught:
        load_prices(settings(PRICES_FILE=str(path)))
    (problem,) = caught.value.problems

    assert problem.startswith("PRICES_FILE: must be JSON with US dollars a million tokens, as in {")
    assert "$.models[...].input" in problem
