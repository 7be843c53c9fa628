"""What CONTRIBUTING.md has its readers write can be written so."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from jarvis_proxy.config import tables
from jarvis_proxy.config.fields import list_settings, parse_fields
from jarvis_proxy.config.parsers import EnvReader
from jarvis_proxy.config.settings import Settings
from tests.support.markdown import blocks
from tests.test_docs_errors import ENTRY

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def indented(language: str) -> str:
    """Return the block of *language* that stands below a point of a list."""
    found = re.search(rf"^ +```{language}\n(.*?)^ +```", TEXT, flags=re.MULTILINE | re.DOTALL)
    assert found is not None
    return textwrap.dedent(found[1])


def test_the_declaration_of_a_setting_works_where_it_is_to_stand() -> None:
    namespace = dict(vars(tables))
    code = textwrap.indent(indented("python"), "    ")
    exec(f"class Example:\n{code}", namespace)  # noqa: S102  our own page
    example = dataclass(frozen=True)(namespace["Example"])

    assert [setting.name for setting in list_settings(example)] == ["MAX_NAMES"]
    assert example().max_names == 8
    assert parse_fields(example, EnvReader({"MAX_NAMES": "9"})) == {"max_names": 9}


def test_the_settings_of_an_upstream_are_all_that_it_needs() -> None:
    lines = next(b.text for b in blocks(TEXT) if "UPSTREAMS=" in b.text).splitlines()
    env = dict(line.split("=", 1) for line in lines)
    settings = Settings.from_env({"PROXY_API_KEYS": "k" * 32, **env, "DEEPSEEK_API_KEY": "sk-1"})
    added = next(upstream for upstream in settings.upstreams if upstream.name == "deepseek")

    assert added.keys == ("sk-1",)
    assert added.base_url == env["DEEPSEEK_BASE_URL"]
    assert list(added.models) == env["DEEPSEEK_MODELS"].split(",")


def test_the_entry_of_an_error_has_the_form_of_the_others() -> None:
    title, _, rest = indented("markdown").partition("\n")

    assert re.fullmatch(r"### `[a-z_]+`", title)
    assert ENTRY.match(f"\n{rest}") is not None
