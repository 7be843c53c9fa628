"""start.sh as a newcomer meets it: a copy of it in an odd place, with lock files that are empty.

Empty lock files need no network; that the real ones install is what the test run itself shows.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
TOOLS = ("sh", "dirname", "readlink", "cat", "rm", "mkdir", "grep")
KEY = re.compile(r"sk-jarvis-[0-9a-f]{64}")
SERVER = """
import os, sys
print("pid", os.getpid())
print("in", os.getcwd())
print("args", sys.argv[1:])
print("own venv", sys.prefix != sys.base_prefix)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),  # a venv with pip takes a minute on a busy machine
    pytest.mark.skipif(os.name != "posix", reason="start.sh is for POSIX shells"),
]


def make_project(folder: Path) -> Path:
    (folder / "jarvis_proxy" / "config").mkdir(parents=True)
    for name in (
        "start.sh",
        ".env.example",
        "jarvis_proxy/__init__.py",
        "jarvis_proxy/config/__init__.py",
        "jarvis_proxy/config/first_run.py",
    ):
        shutil.copy(ROOT / name, folder / name)
    for lock in ROOT.glob("requirements*.lock"):
        (folder / lock.name).write_text("# nothing\n")
    (folder / "server.py").write_text(SERVER)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "a project's folder")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a project after its first start, and what that start printed."""
    folder = make_project(tmp_path_factory.mktemp("first") / "it's here")
    return folder, start(folder).stdout


def start(
    folder: Path, *args: str, cwd: Path | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name not in _SET_IN_TESTS}
    return subprocess.run(
        [folder / "start.sh", *args],
        cwd=cwd or folder,
        env=env | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def with_package(folder: Path, content: str = "") -> Path:
    """Have the project in *folder* need a package of its own; return where pip finds it.

    It is called as one that the server imports.
    """
    name = "zstandard-9.0-py3-none-any.whl"
    wheels = folder / "wheels"
    wheels.mkdir()
    info = "zstandard-9.0.dist-info"
    with zipfile.ZipFile(wheels / name, "w") as wheel:
        wheel.writestr("zstandard/__init__.py", content)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: zstandard\nVersion: 9.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "zstandard/__init__.py,,\n")
    digest = hashlib.sha256((wheels / name).read_bytes()).hexdigest()
    (folder / "requirements.lock").write_text(f"zstandard==9.0 \\\n    --hash=sha256:{digest}\n")
    (folder / "server.py").write_text(
        "import jarvis_proxy, zstandard; print('at', zstandard.__file__)"
    )
    return wheels


def start_with(folder: Path, wheels: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    # As an address: pip takes a space for the end of a path.
    found = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels.as_uri()}
    return start(folder, cwd=None, **found, **environ)


_SET_IN_TESTS = frozenset(
    (
        "PROXY_API_KEYS",
        "REDIS_URL",
        "OPENAI_PROXY",
        "ALL_PROXY",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "PORT",
        "PYTHONPATH",
    )
)


def tools_only(folder: Path, *, python: str | None = None) -> str:
    """Return a PATH with a few tools and, if given, a python3 that runs the shell text *python*."""
    folder.mkdir()
    for name in TOOLS:
        tool = shutil.which(name)
        assert tool is not None
        (folder / name).symlink_to(tool)
    if python is not None:
        (folder / "python3").write_text(f"#!/bin/sh\n{python}\n")
        (folder / "python3").chmod(0o755)
    return str(folder)


def test_the_first_start_makes_venv_and_env_and_runs_the_server(
    started: tuple[Path, str],
) -> None:
    folder, output = started
    (key,) = KEY.findall(output)

    assert f"in {folder}\nargs []\nown venv True\n" in output
    assert f"PROXY_API_KEYS={key}\n" in (folder / ".env").read_text()
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600


def test_the_second_start_installs_nothing_and_shows_no_key(started: tuple[Path, str]) -> None:
    folder, _ = started
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    again = start(folder)
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}

    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.startswith("pid ")
    assert before == after


def test_it_may_be_called_from_anywhere_and_through_a_link(
    started: tuple[Path, str], tmp_path: Path
) -> None:
    folder, _ = started
    (tmp_path / "start.sh").symlink_to(folder / "start.sh")

    assert f"in {folder}\n" in start(folder, cwd=tmp_path, CDPATH="/").stdout
    assert f"in {folder}\n" in start(tmp_path, cwd=Path("/")).stdout


def test_arguments_go_to_the_server_as_they_are(started: tuple[Path, str]) -> None:
    assert "args ['doctor', 'a b', '*']\n" in start(started[0], "doctor", "a b", "*").stdout


def test_the_server_takes_the_place_of_the_script(started: tuple[Path, str]) -> None:
    """So that signals reach it."""
    with subprocess.Popen([started[0] / "start.sh"], stdout=subprocess.PIPE, text=True) as process:
        output, _ = process.communicate()

    assert f"pid {process.pid}\n" in output


def test_it_starts_without_any_stdin(started: tuple[Path, str]) -> None:
    done = subprocess.run(
        ["sh", "-c", './start.sh "$@" <&-', "sh"],
        cwd=started[0],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_the_exit_code_of_the_server_is_its_own(started: tuple[Path, str]) -> None:
    folder, _ = started
    (folder / "server.py").write_text("raise SystemExit(78)")
    try:
        assert start(folder).returncode == 78
    finally:
        (folder / "server.py").write_text(SERVER)


def test_redis_is_installed_where_it_is_set(started: tuple[Path, str]) -> None:
    folder, _ = started
    stamp = folder / ".venv" / "installed-requirements-redis.lock"
    assert not stamp.exists()
    text = (folder / ".env").read_text()
    try:
        (folder / ".env").write_text(text + "REDIS_URL= redis://localhost # shared\n")
        done = start(folder)
    finally:
        (folder / ".env").write_text(text)

    assert done.returncode == 0
    assert stamp.exists()


@pytest.mark.parametrize(
    ("name", "value", "is_wanted"),
    [
        ("OPENAI_PROXY", "socks5://127.0.0.1:1080", True),
        ("ALL_PROXY", "socks5://127.0.0.1:1080", False),  # of other programs
        ("OPENAI_PROXY", "http://socks5:1080", False),
    ],
)
def test_socks_is_installed_where_a_proxy_is_one(
    started: tuple[Path, str], name: str, value: str, is_wanted: bool
) -> None:
    folder, _ = started
    stamp = folder / ".venv" / "installed-requirements-socks.lock"
    stamp.unlink(missing_ok=True)
    done = start(folder, cwd=None, **{name: value})

    assert done.returncode == 0
    assert stamp.exists() is is_wanted


def test_every_extra_of_the_settings_file_is_installed(started: tuple[Path, str]) -> None:
    folder, _ = started
    stamps = [folder / ".venv" / f"installed-requirements-{name}.lock" for name in EXTRAS]
    for stamp in stamps:
        stamp.unlink(missing_ok=True)
    text = (folder / ".env").read_text()
    try:
        (folder / ".env").write_text(
            text + 'REDIS_URL=redis://localhost\n export GEMINI_PROXY = "SOCKS5h://localhost"\n'
            "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318\n"
        )
        done = start(folder)
    finally:
        (folder / ".env").write_text(text)

    assert done.returncode == 0
    assert all(stamp.exists() for stamp in stamps)


def test_the_test_command_hands_its_arguments_to_pytest(started: tuple[Path, str]) -> None:
    folder, _ = started
    (folder / "pytest.py").write_text("import sys; print('pytest', sys.argv[1:])")
    done = start(folder, "test", "-k", "a b")

    assert done.stdout == "pytest ['-k', 'a b']\n"
    assert (folder / ".venv" / "installed-requirements-test.lock").exists()


def test_a_changed_lock_file_is_installed(started: tuple[Path, str]) -> None:
    folder, _ = started
    lock = folder / "requirements.lock"
    try:
        lock.write_text("none-such==1.0\n")  # without a hash: refused before anything is fetched
        done = start(folder)
    finally:
        lock.write_text("# nothing\n")

    assert done.returncode == 69
    assert "the packages could not be installed" in done.stderr
    assert "pid" not in done.stdout


def test_what_an_interrupted_start_left_is_thrown_away(project: Path) -> None:
    """Also: a .env and keys that are there are left alone."""
    (project / ".venv" / "lib").mkdir(parents=True)
    (project / ".venv" / "lib" / "half").write_text("")
    (project / ".venv" / "unfinished").write_text("")
    (project / ".env").write_text("PROXY_API_KEYS=mine\n")
    done = start(project)

    assert done.returncode == 0
    assert not (project / ".venv" / "lib" / "half").exists()
    assert not (project / ".venv" / "unfinished").exists()
    assert KEY.search(done.stdout) is None
    assert (project / ".env").read_text() == "PROXY_API_KEYS=mine\n"


@pytest.mark.parametrize(
    ("python", "phrase"),
    [
        (None, "there is no python3 here"),
        ("case $2 in *version_info\\[:2\\]\\)) echo 3.9;; *) exit 1;; esac", "python3 here is 3.9"),
        (f'case $2 in *ensurepip*) exit 1;; *) exec "{sys.executable}" "$@";; esac', "-venv"),
    ],
    ids=["no Python", "an old Python", "no ensurepip"],
)
def test_what_is_missing_is_said_with_the_command_that_brings_it(
    project: Path, tmp_path: Path, python: str | None, phrase: str
) -> None:
    done = start(project, PATH=tools_only(tmp_path / "bin", python=python))

    assert done.returncode == 69
    assert phrase in done.stderr
    assert "apt install python3" in done.stderr
    assert not (project / ".venv").exists()
    assert not (project / ".env").exists()


# What is set outside: C16


@pytest.fixture
def made(started: tuple[Path, str], tmp_path: Path) -> Path:
    """Return a project whose .venv is there and empty: making one takes seconds."""
    return shutil.copytree(started[0], tmp_path / "a project's folder", symlinks=True)


ELSEWHERE = {
    "by folders": {
        "PIP_TARGET": "{}/elsewhere",
        "PIP_ROOT": "{}/elsewhere",
        "PYTHONHOME": "{}/elsewhere",
        "PYTHONPLATLIBDIR": "lib64",
        "PIP_PYTHON": "{}/no-python",
    },
    "by users": {
        "PIP_PREFIX": "{}/elsewhere",
        "PIP_USER": "1",
        "PYTHONUSERBASE": "{}/elsewhere",
        "PIP_CONSTRAINT": "{}/no-file",
        "PIP_NO_BINARY": ":all:",
    },
    "by modes": {
        "PIP_DRY_RUN": "1",
        "PYTHONSAFEPATH": "1",
        "PYTHONINSPECT": "1",
        "PYTHONWARNINGS": "error",
    },
}
"""Variables by what they would do; several in one start, for each makes a virtual environment."""


@pytest.mark.parametrize("environ", ELSEWHERE.values(), ids=ELSEWHERE)
def test_nothing_set_outside_sends_packages_or_imports_elsewhere(
    made: Path, tmp_path: Path, environ: dict[str, str]
) -> None:
    wheels = with_package(made)
    done = start_with(
        made, wheels, **{name: value.format(tmp_path) for name, value in environ.items()}
    )

    assert done.returncode == 0, done.stderr
    assert f"at {made}/.venv/lib/" in done.stdout
    assert not (tmp_path / "elsewhere").exists()


def test_a_first_start_is_protected_too(project: Path, tmp_path: Path) -> None:
    elsewhere = str(tmp_path / "elsewhere")
    wheels = with_package(project)
    done = start_with(
        project, wheels, PIP_TARGET=elsewhere, PYTHONSAFEPATH="1", PYTHONHOME=elsewhere
    )

    assert done.returncode == 0, done.stderr
    assert KEY.search(done.stdout)
    assert f"at {project}/.venv/lib/" in done.stdout


@pytest.mark.parametrize("option", ["target", "prefix"])
def test_no_file_of_pips_sends_packages_elsewhere(made: Path, tmp_path: Path, option: str) -> None:
    wheels = with_package(made)
    (tmp_path / "pip.conf").write_text(f"[install]\n{option} = {tmp_path}/elsewhere\nuser = no\n")
    done = start_with(made, wheels, PIP_CONFIG_FILE=str(tmp_path / "pip.conf"))

    assert done.returncode == 0, done.stderr
    assert f"at {made}/.venv/lib/" in done.stdout
    assert not (tmp_path / "elsewhere").exists()


def test_packages_whose_files_are_gone_are_installed_again(made: Path) -> None:
    """pip alone would take them for installed."""
    wheels = with_package(made)
    assert start_with(made, wheels).returncode == 0
    (lost,) = made.glob(".venv/lib/python*/site-packages/zstandard")
    shutil.rmtree(lost)
    again = start_with(made, wheels)

    assert again.returncode == 0, again.stderr
    assert f"at {made}/.venv/lib/" in again.stdout


def test_packages_that_cannot_be_imported_are_not_installed(made: Path) -> None:
    wheels = with_package(made, "raise ImportError('built for another machine')")
    done = start_with(made, wheels)

    assert done.returncode == 69
    assert "built for another machine" in done.stderr
    assert "the server cannot import them" in done.stderr
    assert not (made / ".venv" / "installed-requirements.lock").exists()


def test_the_script_knows_what_the_server_imports() -> None:
    wanted = [*PROJECT["dependencies"], *chain(*EXTRAS.values())]
    named = re.findall(r'^    "([a-z-]+)": "[a-z_.]+",$', (ROOT / "start.sh").read_text(), re.M)

    assert sorted(re.split(r"[>=; ]", text)[0] for text in wanted) == sorted(named)


@pytest.mark.parametrize("said", ["OSError: [Errno 28] No space left on device", "Quota exceeded"])
def test_a_full_disk_is_named(project: Path, tmp_path: Path, said: str) -> None:
    python = (
        f'case $* in *"-m venv"*) echo "{said}"; exit 1;; *) exec "{sys.executable}" "$@";; esac'
    )
    done = start(project, PATH=tools_only(tmp_path / "bin", python=python))

    assert done.returncode == 69
    assert said in done.stderr
    assert "the disk is full" in done.stderr
    assert "say why" not in done.stderr


@pytest.mark.parametrize("argument", ["--help", "-h"])
def test_help_is_text_and_makes_nothing(project: Path, argument: str) -> None:
    before = sorted(project.iterdir())
    done = start(project, argument)

    assert (done.returncode, done.stderr) == (0, "")
    for word in ("./start.sh doctor", "./start.sh test", ".env", "Windows: WSL"):
        assert word in done.stdout
    assert before == sorted(project.iterdir())
