"""Measures this proxy, and any other given, in alternating rounds: ``python -m bench``. IO.

    python -m bench                                      this proxy, three rounds
    python -m bench --rounds 5 --only requests,frames
    python -m bench --other 'name=command with {port} and {upstream}'
                    --path name=/openai/v1/chat/completions --header 'name=x-key: abc'
                    --model name=its-name-for-the-model --json figures.json

``{port}`` is where the other one shall listen, ``{upstream}`` the address that it shall ask, such
as http://127.0.0.1:1234. Its own settings come from the environment or from its command.

CPU time by request or frame is the figure to compare: it does not care how much of the core the
machine's other users took. Figures of one run compare with each other, and with nothing else.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Final

from bench.figures import COLUMNS, Row, added, table
from bench.rounds import CHAT, DIRECT, SCENARIOS, Contender, free_port, measure

_ROOT: Final = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure as the arguments say, print the table, write the raw figures."""
    arguments = _arguments()
    contenders = [
        DIRECT,
        Contender("jarvis", f"{sys.executable} {_ROOT / 'server.py'}", translates=True),
        *_others(arguments),
    ]
    wanted = arguments.only.split(",")
    upstream = free_port()
    server = subprocess.Popen([sys.executable, "-m", "bench.upstream", str(upstream)], cwd=_ROOT)
    results: dict[tuple[str, str], list[Row]] = defaultdict(list)
    try:
        time.sleep(0.5)
        for number in range(arguments.rounds):
            for scenario in (s for s in SCENARIOS if s.name in wanted):
                for contender in contenders:
                    if scenario.name == "gemini" and not contender.translates:
                        continue
                    sys.stderr.write(f"round {number + 1}: {scenario.name}, {contender.name}\n")
                    row = measure(contender, scenario.scaled(arguments.scale), upstream)
                    results[scenario.name, contender.name].append(row)
    finally:
        server.terminate()
        server.wait()
    rows = added(results)
    print(table(rows))
    if arguments.json:
        found = [{"scenario": s, "proxy": n, "rounds": r} for (s, n), r in rows.items()]
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog="Columns: " + "; ".join(f"{name}: {about}" for name, about in COLUMNS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ",".join(scenario.name for scenario in SCENARIOS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=names, help=f"scenarios, of {names}")
    parser.add_argument("--scale", type=float, default=1.0, help="of connections and seconds")
    parser.add_argument("--other", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--path", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--header", action="append", default=[], metavar="NAME=HEADER: VALUE")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=MODEL")
    parser.add_argument("--json", type=Path, help="write every round's figures there")
    return parser.parse_args()


def _others(arguments: argparse.Namespace) -> list[Contender]:
    paths = dict(text.split("=", 1) for text in arguments.path)
    models = dict(text.split("=", 1) for text in arguments.model)
    found = []
    for text in arguments.other:
        name, _, command = text.partition("=")
        headers = tuple(h.partition("=")[2] for h in arguments.header if h.startswith(f"{name}="))
        path = paths.get(name, CHAT)
        found.append(Contender(name, command, path, headers, models.get(name, "")))
    return found


if __name__ == "__main__":
    main()
