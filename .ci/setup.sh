# Shell functions that set up what a command needs. Everything but Debian's packages goes into the
# checkout: .venv and node_modules. Sourced from the checkout's folder.

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# need COMMAND-THAT-SHOWS-IT-IS-THERE PACKAGE... : install Debian packages, if we may.
need() {
    check=$1; shift
    if ! sh -c "$check" >/dev/null 2>&1; then
        if may_install; then
            echo "installing $*" >&2
            { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y "$@"; } \
                >/dev/null 2>&1 || echo "apt-get install -y $* failed" >&2
        fi
        sh -c "$check" >/dev/null 2>&1 || { echo "please run: apt-get install -y $*" >&2; return 1; }
    fi
}

# venv EXTRA : a virtual environment with the project and, perhaps, an extra, in it.
venv() {
    need "python3 -c 'import sys, venv, ensurepip; assert sys.version_info >= (3, 11)'" python3-venv || exit 1
    [ -x .venv/bin/python ] || python3 -m venv .venv
    stamp=.venv/installed-${1:-plain}
    if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
        .venv/bin/python -m pip --quiet --disable-pip-version-check install -e ".${1:+[$1]}" || exit 1
        touch "$stamp"
    fi
}

# compiler : for the load generator of the benchmark, which its tests run for a moment.
compiler() { need "command -v cc" gcc libc6-dev || true; }

# clients : real clients, and a Redis, for the tests. Without them those tests say what is missing.
clients() {
    need "command -v redis-server" redis-server || true
    need "command -v node && command -v npm" nodejs npm || return 0
    need "command -v chromium" chromium || true
    stamp=tests/conformance/node_modules/.installed
    if [ ! -e "$stamp" ] || [ tests/conformance/package-lock.json -nt "$stamp" ]; then
        npm ci --prefix tests/conformance --no-audit --no-fund --loglevel=error && touch "$stamp"
    fi
}
