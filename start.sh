#!/bin/sh
# Starts Jarvis proxy on a machine that has Python 3.11 or newer and nothing else.
#
#   ./start.sh              sets up what is missing, then runs the server in the foreground
#   ./start.sh doctor       checks settings, port, upstreams and keys
#   ./start.sh test [...]   runs the test suite; what follows goes to pytest
#
# Everything it makes is in this folder: .venv (packages) and .env (settings, on the first start).
set -eu
unset CDPATH PYTHONHOME PYTHONPATH

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

make_venv() {
    python=$(find_python)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        die "Python $version is here, but its venv module is not. Install it, for example with:" \
            "apt install python3-venv (or python$version-venv)"
    fi
    rm -rf -- "$venv"
    mkdir -- "$venv"
    : >"$unfinished"
    "$python" -m venv "$venv" >&2 || die "could not make $venv; the lines above say why."
}

# Makes sure that there is a .venv with a Python that runs and a pip.
need_venv() {
    if [ -e "$unfinished" ] || ! is_python "$venv/bin/python" 0; then
        make_venv
    elif ! is_python "$venv/bin/python" 11; then
        die "the $venv in this folder has a Python older than 3.11. Remove it and start again."
    elif ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        # Made by another tool, or left without its packages by an upgrade of the system's Python.
        "$venv/bin/python" -m ensurepip >/dev/null 2>&1 ||
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
        [ "$(fingerprint "$1")" = "$(cat "$venv/installed-$1")" ]
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
    : >"$unfinished"
    say "installing the packages of $1 into $venv; this takes a moment, once."
    # A hash for each package, and no package whose installation runs code.
    PIP_USER=0 "$venv/bin/python" -m pip --disable-pip-version-check --no-input install --quiet \
        --require-hashes --only-binary :all: -r "$1" >&2 ||
        die "the packages could not be installed; the lines above say why. Is there a way to the" \
            "package index? Start again when it is mended."
    fingerprint "$1" >"$venv/installed-$1"
    rm -f -- "$unfinished"
    exec 9<&-
}

# True if REDIS_URL is set in the environment or in .env.
wants_redis() {
    [ -n "${REDIS_URL-}" ] ||
        grep -Eq '^[[:space:]]*(export[[:space:]]+)?REDIS_URL[[:space:]]*=[[:space:]]*[^[:space:]#]' \
            .env 2>/dev/null
}

if [ "${1-}" = test ]; then
    shift
    install requirements-test.lock
    exec "$venv/bin/python" -m pytest "$@"
fi

if wants_redis; then
    install requirements-redis.lock
else
    install requirements.lock
fi
if [ ! -e .env ]; then
    "$venv/bin/python" -m jarvis_proxy.first_run
fi
exec "$venv/bin/python" server.py "$@"
