#!/usr/bin/env bash
# Makes a fresh Debian 12 machine with a Swift toolchain, Python 3 with pip, make and git ready to build.
#   scripts/setup.sh            what building, testing and the demo need
#   scripts/setup.sh interop    also what the Python peers of the interop tests need
#   scripts/setup.sh package    also what makes packages
#   scripts/setup.sh dashboard  also what the tests of the dashboard in a browser need
#   scripts/setup.sh docs       also what the commands of docs/ need: Rust with its target for WASI
# Asks nothing, installs with apt only what is missing, and takes well under a second when all is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
want_interop=no want_package=no want_dashboard=no want_docs=no
[ "${1:-}" = interop ] && want_interop=yes
[ "${1:-}" = package ] && want_package=yes
[ "${1:-}" = dashboard ] && want_dashboard=yes
[ "${1:-}" = docs ] && want_docs=yes

fail() {
    printf 'setup: %s\n' "$1" >&2
    exit 1
}

# 1. The toolchain itself is the one thing that we do not install.
command -v swift >/dev/null || fail "no 'swift' in PATH; install Swift 6.2 or newer from https://swift.org/install and retry"
command -v git >/dev/null || fail "no 'git' in PATH; run 'apt-get install git' and retry"
command -v python3 >/dev/null || fail "no 'python3' in PATH; run 'apt-get install python3 python3-pip' and retry"
toolchain=$(dirname "$(readlink -f "$(command -v swift)")")
clang="$toolchain/clang"
[ -x "$clang" ] || clang=clang

# 2. System packages: each is looked for by using it, so that a machine which has it from elsewhere is left alone.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
links() { # links LIBRARY=HEADER...: can a program with these headers and libraries be built?
    local source='int main(void) { return 0; }' flags=() pair
    for pair in "$@"; do
        source="#include <${pair#*=}>"$'\n'"$source"
        flags+=("-l${pair%%=*}")
    done
    printf '%s\n' "$source" | "$clang" -x c - "${flags[@]}" -o "$scratch/probe" >/dev/null 2>&1
}

missing_packages() {
    local native=(stdc++=stddef.h sqlite3=sqlite3.h)
    [ "$want_interop" = yes ] && native+=(gmp=gmp.h)
    if ! links "${native[@]}"; then
        links stdc++=stddef.h || echo g++
        links sqlite3=sqlite3.h || echo libsqlite3-dev
        [ "$want_interop" = no ] || links gmp=gmp.h || echo libgmp-dev
    fi
    # The tests of failing networks make network namespaces, which only root may; without it they are skipped.
    if [ "$(id -u)" -eq 0 ]; then command -v ip >/dev/null || echo iproute2; fi
    # The tests of the API over TLS speak to it by these.
    command -v curl >/dev/null || echo curl
    command -v openssl >/dev/null || echo openssl
    if [ "$want_package" = yes ]; then
        command -v chrpath >/dev/null || echo chrpath
        command -v strip >/dev/null || echo binutils
        command -v dpkg-deb >/dev/null || echo dpkg
        # What rates the unit, and what reads the pages.
        command -v systemd-analyze >/dev/null || echo systemd
        command -v man >/dev/null || echo man-db
    fi
    if [ "$want_dashboard" = yes ]; then
        command -v chromium >/dev/null || echo chromium
        python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    fi
    if [ "$want_docs" = yes ]; then
        scripts/rust-for-wasi.sh >/dev/null || printf '%s\n' rustc cargo libstd-rust-dev-wasm32 lld wasi-libc
        python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    fi
    # What the toolchain's own programs are linked with, where the toolchain was merely unpacked.
    if ldd "$toolchain/swift" "$toolchain/swift-build" 2>/dev/null | grep 'not found' >/dev/null; then
        printf '%s\n' libncurses6 libcurl4 libxml2 zlib1g tzdata
    fi
    if [ "$want_interop" = yes ]; then
        command -v gcc >/dev/null || echo gcc
        python3 - <<'PYTHON'
import importlib.util, os, sysconfig
if not all(importlib.util.find_spec(name) for name in ("ensurepip", "venv")):
    print("python3-venv")
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    print("python3-dev")
if not importlib.util.find_spec("pip"):
    print("python3-pip")
PYTHON
    elif ! [ -e vendor/wasmtime/.sha256 ]; then # pip fetches it
        python3 -c 'import pip' 2>/dev/null || echo python3-pip
    fi
}

missing=$(missing_packages | sort -u | tr '\n' ' ')
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null || fail "these packages are missing and there is no apt-get here to install them: $missing"
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "these packages are missing; as root run 'apt-get install $missing' and retry"
        as_root=(sudo -n)
    fi
    as_root+=(env DEBIAN_FRONTEND=noninteractive)
    install_packages() {
        # shellcheck disable=SC2086  # a list of words
        "${as_root[@]}" apt-get update -qq &&
            "${as_root[@]}" apt-get install -y -qq --no-install-recommends $missing
    }
    printf 'Installing %s… ' "$missing" >&2
    install_packages >"$scratch/apt.log" 2>&1 </dev/null || {
        printf 'failed\n' >&2
        tail -n 15 "$scratch/apt.log" >&2
        fail "apt-get could not install: $missing(as root run 'apt-get install $missing' and retry)"
    }
    printf 'done\n' >&2
    still=$(missing_packages | tr '\n' ' ')
    [ -z "$still" ] || fail "still missing after the installation: $still"
fi
"$toolchain/swift" --version >/dev/null 2>&1 || fail "'swift --version' fails; reinstall the toolchain and retry"

# 3. The WebAssembly engine, pinned by hash.
scripts/fetch-wasmtime.sh
