"""What was measured: figures by round, what a proxy adds to no proxy, the table. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Final

Row = dict[str, float]
Results = Mapping[tuple[str, str], Sequence[Row]]

NO_PROXY: Final = "no proxy"
COLUMNS: Final[Mapping[str, str]] = {
    "cpu_us_per_request": "CPU time of the proxy for a request, all its processes, user and system",
    "cpu_us_per_frame": "the same for a streamed event",
    "requests_per_second": "answers that ended",
    "frames_per_second": "events that arrived",
    "added_first_token_ms": "time to the first event of a stream, less that without a proxy",
    "added_delay_ms": "time of an event from the upstream to the client, less that without a proxy",
    "added_delay_p99_ms": "the same for the slowest of a hundred",
    "kib_per_stream": "growth of the proxy's memory by open stream",
    "start_ms": "from the command to the first answer",
    "idle_mib": "memory before the first request",
    "errors": "answers with another status, without their end, or cut",
}
_ADDED: Final = ("first_token_ms", "delay_ms", "delay_p99_ms")
_ONE_DIGIT: Final = 100.0


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that *share* of *values* do not exceed; 0 where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def added(results: Results) -> dict[tuple[str, str], list[Row]]:
    """Return *results* with times as what is added to those of no proxy in the same round."""
    found: dict[tuple[str, str], list[Row]] = {}
    for (scenario, name), rows in results.items():
        base = results.get((scenario, NO_PROXY), ())
        found[scenario, name] = [
            _less(row, base[i] if i < len(base) else {}) for i, row in enumerate(rows)
        ]
    return found


def _less(row: Row, base: Row) -> Row:
    return {**row, **{f"added_{name}": row[name] - base.get(name, 0.0) for name in _ADDED}}


def table(results: Results) -> str:
    """Return the medians over rounds as a Markdown table; what was not measured is left empty."""
    lines = [
        "| scenario | proxy | " + " | ".join(name.replace("_", " ") for name in COLUMNS) + " |",
        "|---|---|" + "---:|" * len(COLUMNS),
    ]
    for (scenario, name), rows in results.items():
        if name != NO_PROXY:
            cells = " | ".join(_cell(column, rows) for column in COLUMNS)
            lines.append(f"| {scenario} | {name} | {cells} |")
    return "\n".join(lines)


def _cell(column: str, rows: Sequence[Row]) -> str:
    value = statistics.median(row[column] for row in rows)
    if not value and column != "errors":
        return ""
    return f"{value:,.0f}" if abs(value) >= _ONE_DIGIT or column == "errors" else f"{value:.2f}"
