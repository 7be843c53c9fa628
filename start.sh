#!/bin/sh
# Starts Jarvis proxy on Linux or macOS with Python 3.11 or newer; `./start.sh --help` says more.
set -eu
# What would have Python look elsewhere for modules, or end in a prompt.
unset CDPATH PYTHONHOME PYTHONPATH PYTHONSAFEPATH PYTHONPLATLIBDIR PYTHONUSERBASE PYTHONEXECUTABLE \
    PYTHONCASEOK PYTHONWARNINGS PYTHONINSPECT PYTHONSTARTUP __PYVENV_LAUNCHER__

# Without any stdin, the next file to be opened would take its number and be read as input.
(: <&0) 2>/dev/null || exec </dev/null

script=$0
while [ -h "$script" ]; do
    link=$(readlink -- "$script")
    case $link in
        /*) script=$link ;;
        *) script=$(dirname -- "$script")/$link ;;
    esac
done
cd -- "$(dirname -- "$script")"

venv=.venv
# Is there while packages are being installed: what an interrupted start left is thrown away.
unfinished=$venv/unfinished

usage() {
    cat <<'END'
Usage: ./start.sh [COMMAND]

  ./start.sh              set up what is missing, then run the server in the foreground
  ./start.sh doctor       check settings, port, upstreams and keys; print settings for clients
  ./start.sh test [...]   run the test suite; what follows goes to pytest
  ./start.sh --help       print this text

It needs Linux or macOS (on Windows: WSL) and Python 3.11 or newer.
Everything it makes is in its own folder: .venv (packages) and .env (settings, on the first start).
Settings are in .env, which .env.example explains; PORT=9001 ./start.sh sets one for once.
Of pip's own settings, those that say where packages come from are used: PIP_INDEX_URL, PIP_PROXY,
PIP_CERT, pip.conf. The server ends with Ctrl-C, once its calls have; a second Ctrl-C is quicker.
END
}

say() {
    printf 'start.sh: %s\n' "$*" >&2
}

die() {
    say "$@"
    exit 69 # EX_UNAVAILABLE
}

# True if the Python $1 runs and is at least 3.$2 and, with $3, older than 3.$3.
is_python() {
    "$1" -c 'import sys
low, high = int(sys.argv[1]), int(sys.argv[2])
sys.exit(not (3, low) <= sys.version_info[:2] < (3, high))' "$2" "${3:-99}" >/dev/null 2>&1
}

# Prints the Python to build on: one that the locked packages are built for, else any newer one.
find_python() {
    for below in 15 99; do
        for name in python3 python3.14 python3.13 python3.12 python3.11 python; do
            if is_python "$name" 11 "$below"; then
                echo "$name"
                return
            fi
        done
    done
    if command -v python3 >/dev/null 2>&1; then
        die "needs Python 3.11 or newer, and python3 here is $(python3 -c 'import sys
print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo broken). Install a newer one, for" \
            "example with: apt install python3.11 python3.11-venv"
    fi
    die "needs Python 3.11 or newer, and there is no python3 here. Install it, for example with:" \
        "apt install python3 python3-venv"
}

# Runs a command with its output on stderr. A full disk ends the script with a message of its own:
# what programs say then is seldom to the point.
run() {
    outcome=$({
        { "$@" 2>&1 && echo ok >&3 || :; } | while IFS= read -r line || [ -n "$line" ]; do
            printf '%s\n' "$line" >&2
            case $line in
                *"[Errno 28]"* | *"[Errno 122]"* | *"No space left"* | *[Qq]"uota exceeded"*)
                    echo full >&3
                    ;;
            esac
        done
    } 3>&1)
    case $outcome in
        *full*) disk_full ;;
        *ok*) return 0 ;;
    esac
    return 1
}

disk_full() {
    die "the disk is full. The packages take about 100 MB in $venv, and as much in the temporary" \
        "folder (${TMPDIR:-/tmp}) while they are installed. Free some space and start again."
}

# True if this folder takes no file of a few MB, for lack of space.
is_disk_full() {
    probe=$venv.probe
    full=1
    "$1" -I -S -c 'import errno, os, sys
try:
    with open(sys.argv[1], "wb") as file:
        for _ in range(16):
            file.write(bytes(1 << 20))
        file.flush()
        os.fsync(file.fileno())
except OSError as error:
    sys.exit(error.errno not in (errno.ENOSPC, errno.EDQUOT))
sys.exit(1)' "$probe" 2>/dev/null && full=0
    rm -f -- "$probe"
    return $full
}

make_venv() {
    python=$(find_python)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        die "Python $version is here, but its venv module is not. Install it, for example with:" \
            "apt install python3-venv (or python$version-venv)"
    fi
    rm -rf -- "$venv"
    { mkdir -- "$venv" && : >"$unfinished"; } || cannot_make "$python"
    run "$python" -m venv "$venv" || cannot_make "$python"
}

cannot_make() {
    is_disk_full "$1" && disk_full
    die "could not make $venv; the lines above say why."
}

# Runs pip in .venv, without the settings that would install elsewhere, or something else. Those
# that say where packages come from stay, as does pip.conf, whose places the options below override.
pip() {
    "$venv/bin/python" -I -c 'import os, sys
KEPT = """CACHE_DIR CERT CLIENT_CERT CONFIG_FILE DEFAULT_TIMEOUT EXTRA_INDEX_URL FIND_LINKS INDEX_URL
KEYRING_PROVIDER NO_CACHE_DIR NO_INDEX PROXY RETRIES TIMEOUT TRUSTED_HOST USE_FEATURE""".split()
for name in list(os.environ):
    if name.startswith("PIP_") and name[4:] not in KEPT:
        del os.environ[name]
os.environ["PIP_USER"] = "0"
os.execv(sys.executable, [sys.executable, "-I", "-m", "pip", *sys.argv[1:]])' "$@"
}

# True if what the server imports of the lock file $1 is there; with $2, if it can be imported.
has_imports() {
    "$venv/bin/python" -I -c 'import importlib, importlib.util, re, sys
MODULES = {
    "aiohttp": "aiohttp",
    "aiohttp-socks": "aiohttp_socks",
    "httptools": "httptools",
    "msgspec": "msgspec",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry-sdk": "opentelemetry.sdk.trace",
    "prometheus-client": "prometheus_client",
    "python-dotenv": "dotenv.parser",
    "redis": "redis.asyncio",
    "uvloop": "uvloop",
    "zstandard": "zstandard",
}
with open(sys.argv[1], encoding="utf-8") as lock:
    names = re.findall(r"^([a-z0-9-]+)==", lock.read(), re.MULTILINE)
for module in map(MODULES.get, names):
    if module is not None and sys.argv[2]:
        importlib.import_module(module)
    elif module is not None and importlib.util.find_spec(module.partition(".")[0]) is None:
        sys.exit(1)' "$1" "${2-}"
}

# Makes sure that there is a .venv with a Python that runs and a pip.
need_venv() {
    if [ -e "$unfinished" ] || ! is_python "$venv/bin/python" 0; then
        make_venv
    elif ! is_python "$venv/bin/python" 11; then
        die "the $venv in this folder has a Python older than 3.11. Remove it and start again."
    elif ! pip --version >/dev/null 2>&1; then
        # Made by another tool, or left without its packages by an upgrade of the system's Python.
        run "$venv/bin/python" -m ensurepip ||
            die "the $venv in this folder has no pip. Remove it and start again."
    fi
}

# Prints what an installation depends on: the lock file $1 and the Python in .venv.
fingerprint() {
    "$venv/bin/python" -I -S -c 'import hashlib, sys
with open(sys.argv[1], "rb") as lock:
    print(hashlib.sha256(lock.read()).hexdigest(), "%d.%d" % sys.version_info[:2])' "$1" 2>/dev/null
}

is_installed() {
    [ ! -e "$unfinished" ] && [ -f "$venv/installed-$1" ] &&
        [ "$(fingerprint "$1")" = "$(cat "$venv/installed-$1")" ] && has_imports "$1" 2>/dev/null
}

# Installs exactly what the lock file $1 says, unless that was done before.
install() {
    is_installed "$1" && return
    if command -v flock >/dev/null 2>&1; then
        exec 9<. # this folder: two starts at once take turns
        flock 9
        if is_installed "$1"; then
            exec 9<&-
            return
        fi
    fi
    need_venv
    add_packages "$1"
    if ! has_imports "$1" really 2>/dev/null; then
        # pip takes a package for installed whose files are gone or are another Python's.
        make_venv
        add_packages "$1"
        run has_imports "$1" really ||
            die "the packages are installed, but the server cannot import them; the lines above" \
                "say why."
    fi
    { fingerprint "$1" >"$venv/installed-$1" && rm -f -- "$unfinished"; } ||
        cannot_make "$venv/bin/python"
    exec 9<&-
}

add_packages() {
    { : >"$unfinished"; } || cannot_make "$venv/bin/python"
    say "installing the packages of $1 into $venv; this takes a moment, once."
    # A hash for each package, and no package whose installation runs code.
    run pip --disable-pip-version-check --no-input install --quiet --target= --root=/ \
        --prefix="$PWD/$venv" --require-hashes --only-binary :all: -r "$1" && return
    is_disk_full "$venv/bin/python" && disk_full
    die "the packages could not be installed; the lines above say why. Can this machine reach the" \
        "package index? Start again when it can."
}

# True if the setting $1, whose value in the environment is $2, is set there or in .env.
is_set() {
    [ -n "$2" ] ||
        grep -Eq "^[[:space:]]*(export[[:space:]]+)?$1[[:space:]]*=[[:space:]]*[^[:space:]#]" \
            .env 2>/dev/null
}

# True if an upstream is behind a SOCKS proxy. Variables of that form that other programs read are no
# setting.
wants_socks() {
    { env || :; cat .env || :; } 2>/dev/null |
        grep -Eiv '^[[:space:]]*(export[[:space:]]+)?(ALL|FTP|HTTPS?)_PROXY' |
        grep -Eiq '^[[:space:]]*(export[[:space:]]+)?[A-Z0-9_]+_PROXY[[:space:]]*=[[:space:]]*["'"'"']?socks'
}

case ${1-} in
    -h | --help | help)
        usage
        exit 0
        ;;
esac
if [ "${1-}" = test ]; then
    shift
    install requirements-test.lock
    exec "$venv/bin/python" -m pytest "$@"
fi

# Each of the others has the first one's packages too.
locks=
if is_set REDIS_URL "${REDIS_URL-}"; then locks=requirements-redis.lock; fi
if wants_socks; then locks="$locks requirements-socks.lock"; fi
if is_set OTEL_EXPORTER_OTLP_ENDPOINT "${OTEL_EXPORTER_OTLP_ENDPOINT-}"; then
    locks="$locks requirements-otel.lock"
fi
for lock in ${locks:-requirements.lock}; do
    install "$lock"
done
if [ ! -e .env ]; then
    "$venv/bin/python" -m jarvis_proxy.config.first_run
fi
exec "$venv/bin/python" server.py "$@"
