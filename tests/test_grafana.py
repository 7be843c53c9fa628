"""The Grafana dashboard asks for metrics and labels that there are, in words of Prometheus."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import running_proxy
from tests.support.raw_client import fetch
from tests.support.raw_upstream import RawUpstream
from tests.support.scripted_calls import run_calls, script

pytestmark = pytest.mark.slow

DASHBOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "deploy" / "grafana-dashboard.json").read_text(encoding="utf-8")
)
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
_SELECTOR = re.compile(r"\b((?:jarvis|process)_\w+)(?:\{([^}]*)\})?")
# No call of the script hits a limit, sends a signature or is refused its connection.
LABELS = {
    "jarvis_limits_hit_total": {"limit", "key"},
    "jarvis_connections_refused_total": {"limit"},
    "jarvis_signatures_recovered_total": {"way"},
}


def queries() -> Iterator[str]:
    for panel in PANELS:
        yield from (target["expr"] for target in panel.get("targets", ()))
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["definition"]


async def metrics() -> dict[str, set[str]]:
    """Return the labels of every sample that a scrape after the scripted calls has."""
    upstream = RawUpstream(script)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, upstream.base_url) as proxy,
    ):
        await run_calls(proxy)
        scraped = await fetch(proxy.port, "/metrics", headers={"Host": "localhost"}, method="GET")
    found: dict[str, set[str]] = dict(LABELS)
    for family in text_string_to_metric_families(scraped.body.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


async def test_every_query_is_about_a_metric_and_labels_that_there_are() -> None:
    known = await metrics()
    asked = [found for query in queries() for found in _SELECTOR.findall(query)]

    assert len(asked) > 25
    for name, labels in asked:
        assert name in known
        assert set(re.findall(r"(\w+)=~", labels)) <= known[name] | {"instance"}


async def test_no_metric_of_the_proxy_is_forgotten() -> None:
    """But those that stand in the dashboard by another one that tells as much."""
    left_out = {"jarvis_request_duration_seconds", "jarvis_upstream_keys"}
    names = {re.sub(r"_(bucket|count|sum)$", "", name) for name in await metrics()}
    ours = {name for name in names if name.startswith("jarvis_")}
    asked = {
        re.sub(r"_bucket$", "", name) for query in queries() for name, _ in _SELECTOR.findall(query)
    }

    assert ours - asked == left_out


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_takes_every_query(tmp_path: Path) -> None:
    exprs = [target["expr"] for panel in PANELS for target in panel.get("targets", ())]
    rules = [
        {
            "record": f"query:{number}",
            "expr": expr.replace("$__rate_interval", "5m").replace("$", ""),
        }
        for number, expr in enumerate(exprs)
    ]
    path = tmp_path / "rules.yml"  # JSON is YAML
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    checked = subprocess.run(["promtool", "check", "rules", path], capture_output=True, check=False)

    assert checked.returncode == 0, checked.stderr.decode() + checked.stdout.decode()


def test_panels_lie_side_by_side_and_say_what_they_show() -> None:
    ids = [panel["id"] for panel in PANELS]
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["type"] == "row" or panel["description"]

    assert len(set(ids)) == len(ids)
