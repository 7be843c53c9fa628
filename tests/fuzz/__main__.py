"""The command: ``python -m tests.fuzz --seconds 600 --seed 1 TARGET ...``; no target: all. IO.

With atheris (``pip install atheris``: Linux on x86-64 alone has it, so no lock file does) the code
is instrumented and changes that lead somewhere new are followed; without it, or with ``--plain``,
changes are made at random. A finding is written to a file, and ``--replay FILE`` plays it again.
Findings worth keeping go to ``tests/fuzz/corpus/TARGET/found-...``, which the suite replays.
"""

import argparse
import importlib.util
import random
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from tests.fuzz.corpus import ROOT, inputs
from tests.fuzz.plain import Finding, fuzz, replay
from tests.fuzz.targets import NAMES, Target, load


def _plain(target: Target, seconds: float, seed: int, findings: Path) -> bool:
    report = fuzz(target, inputs(target.name).values(), seed, seconds=seconds)
    sys.stdout.write(
        f"{target.name}: {report.runs} inputs in {report.seconds:.0f} s, "
        f"the slowest took {report.slowest * 1000:.0f} ms\n"
    )
    if report.finding is not None:
        _tell(target, report.finding, findings)
    return report.finding is None


def _tell(target: Target, finding: Finding, findings: Path) -> None:
    path = findings / f"found-{target.name}"
    path.write_bytes(finding.data)
    traceback.print_exception(finding.error, limit=-4)
    sys.stdout.write(
        f"{target.name}: found {finding.data[:500]!r}\n"
        f"again: python -m tests.fuzz --replay {path} {target.name}\n"
    )


def _with_atheris(name: str, seconds: float, seed: int, findings: Path) -> bool:
    with tempfile.TemporaryDirectory() as new:
        command = [sys.executable, "-m", "tests.fuzz.instrumented", name]
        options = [
            f"-max_total_time={seconds:.0f}",
            f"-seed={seed}",
            f"-artifact_prefix={findings}/found-{name}-",
            "-timeout=10",
            "-max_len=8192",
            "-print_final_stats=1",
            "-verbosity=1",
        ]
        return subprocess.run([*command, *options, new, str(ROOT / name)]).returncode == 0


def main() -> int:
    """Run the command; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(NAMES))
    parser.add_argument("--seconds", type=float, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--plain", action="store_true", help="without atheris")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="look at this input only")
    given = parser.parse_args()
    names = given.targets or list(NAMES)
    if unknown := set(names) - set(NAMES):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if given.replay is not None:
        target = load(names[0])
        found = replay(target, [given.replay.read_bytes()])
        if found is not None:
            traceback.print_exception(found.error)
        return 1 if found is not None else 0
    has_atheris = importlib.util.find_spec("atheris") is not None and not given.plain
    findings = Path(tempfile.mkdtemp(prefix="jarvis-fuzz-"))
    sys.stdout.write(f"seed {given.seed}, {'atheris' if has_atheris else 'plain'}\n")
    good = True
    for name in names:
        sys.stdout.flush()
        if has_atheris:
            good &= _with_atheris(name, given.seconds, given.seed, findings)
        else:
            good &= _plain(load(name), given.seconds, given.seed, findings)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
