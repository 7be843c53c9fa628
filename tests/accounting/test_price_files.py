"""The price files: the one that comes with the proxy, and one of the user's own."""

from pathlib import Path

import pytest

from jarvis_proxy.accounting.price_files import load_prices
from jarvis_proxy.config.settings import Settings, SettingsError
from tests.support.call_records import call

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


def test_a_file_of_another_form_is_told_with_an_example_and_the_place(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"models": {"openai/gpt-4.1-mini": {"input": "much"}}}')
    with pytest.raises(SettingsError) as caught:
        load_prices(settings(PRICES_FILE=str(path)))
    (problem,) = caught.value.problems

    assert problem.startswith("PRICES_FILE: must be JSON with US dollars a million tokens, as in {")
    assert "$.models[...].input" in problem
