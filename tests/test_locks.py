"""The lock files: every package pinned and hashed, few of them, and nothing else inside."""

import json
import re
import tomllib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
LOCKS = (
    "requirements.lock",
    *(f"requirements-{extra}.lock" for extra in EXTRAS),
    "requirements-test.lock",
)
PINNED = re.compile(r"([a-z0-9][a-z0-9-]*)(?:\[[a-z]+\])?==([0-9][0-9a-z.]*)(?: ; ([^\\]+))? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")
NOTE = re.compile(r"    #[a-z0-9 ().:-]*")  # no slash: no path, no URL
DEPENDENCY = re.compile(r"([A-Za-z0-9-]+)([^;]*)(?:;.*)?")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lock: str) -> dict[str, str]:
    """Return name → version of a lock file."""
    text = (ROOT / lock).read_text(encoding="ascii")
    found = [match for line in text.splitlines() if (match := PINNED.fullmatch(line))]
    assert len(found) == len({match[1] for match in found})
    return {match[1]: match[2] for match in found}


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def satisfies(version: str, bounds: str) -> bool:
    """Return whether a plain version satisfies bounds such as ``>=3.14.3,<4``."""
    for bound in filter(None, (part.strip() for part in bounds.split(","))):
        operator, limit = re.fullmatch(r"(>=|<|==)\s*([0-9.]+)", bound).groups()  # type: ignore[union-attr]
        have, want = numbers(version), numbers(limit)
        if not {">=": have >= want, "<": have < want, "==": have == want}[operator]:
            return False
    return True


def declared() -> dict[str, Iterable[str]]:
    """Return the dependencies in pyproject.toml by the lock file that must pin them."""
    serving: list[str] = PROJECT["project"]["dependencies"]
    test: list[str] = PROJECT["dependency-groups"]["test"]
    extras = [serving + extra for extra in EXTRAS.values()]
    return dict(zip(LOCKS, (serving, *extras, chain(serving, test, *extras)), strict=True))


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_is_a_pin_a_hash_or_a_note(lock: str) -> None:
    """So there is no index, URL, host or path of the machine that made the file."""
    lines = (ROOT / lock).read_text(encoding="ascii").splitlines()
    odd = [line for line in lines if not any(p.fullmatch(line) for p in (PINNED, HASH, NOTE))]

    assert odd == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_is_followed_by_a_hash(lock: str) -> None:
    lines = (ROOT / lock).read_text(encoding="ascii").splitlines()
    after = [lines[at + 1] for at, line in enumerate(lines) if PINNED.fullmatch(line)]

    assert after
    assert all(HASH.fullmatch(line) for line in after)


@pytest.mark.parametrize("folder", ["tests/node", "tests/browser", "tools/javascript"])
def test_packages_for_node_are_pinned_with_a_hash_and_no_address(folder: str) -> None:
    lock = json.loads((ROOT / folder / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: each for name, each in lock["packages"].items() if name}

    assert packages
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name


def test_the_server_runs_on_at_most_sixteen_packages() -> None:
    assert len(pins(LOCKS[0])) <= 16


@pytest.mark.parametrize(
    ("extra", "packages"),
    [
        ("redis", {"redis", "async-timeout"}),  # the latter on Python 3.11.0 to 3.11.2 only
        ("socks", {"aiohttp-socks", "python-socks"}),
        (
            "otel",
            {
                "opentelemetry-api",
                "opentelemetry-exporter-http-transport",
                "opentelemetry-exporter-otlp-common",
                "opentelemetry-exporter-otlp-proto-common",
                "opentelemetry-exporter-otlp-proto-http",
                "opentelemetry-proto",
                "opentelemetry-sdk",
                "opentelemetry-semantic-conventions",
                "googleapis-common-protos",
                "protobuf",
                "requests",
                "certifi",
                "charset-normalizer",
                "urllib3",
            },
        ),
    ],
)
def test_an_extra_adds_what_it_names(extra: str, packages: set[str]) -> None:
    assert pins(f"requirements-{extra}.lock").keys() - pins(LOCKS[0]).keys() == packages


@pytest.mark.parametrize("lock", LOCKS)
def test_every_dependency_is_pinned_within_its_bounds(lock: str) -> None:
    pinned = pins(lock)
    for dependency in declared()[lock]:
        name, bounds = DEPENDENCY.fullmatch(dependency).groups()  # type: ignore[union-attr]

        assert satisfies(pinned[normal(name)], bounds), dependency


@pytest.mark.parametrize("lock", LOCKS[1:])
def test_the_larger_lock_files_agree_with_the_small_one(lock: str) -> None:
    """So tests run on what is served, and installing one after the other changes no version."""
    larger = pins(lock)

    assert pins(LOCKS[0]) == {name: larger[name] for name in pins(LOCKS[0])}


@pytest.mark.parametrize(
    ("version", "bounds", "expected"),
    [
        ("3.14.5", ">=3.14.3,<4", True),
        ("3.14.2", ">=3.14.3,<4", False),
        ("4.0", ">=3.14.3,<4", False),
        ("0.22.0", ">=0.20,<1", True),
        ("1.0", "", True),
    ],
)
def test_bounds_are_compared_as_numbers(version: str, bounds: str, expected: bool) -> None:
    assert expected is satisfies(version, bounds)
