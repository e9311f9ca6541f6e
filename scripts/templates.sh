#!/usr/bin/env bash
# Writes a project with mesh new in each language, builds it with its own script, and runs it with --local twice, which
# must end alike. A language whose toolchain is not at hand is named as left out; with REQUIRE=all that is a failure.
#   scripts/templates.sh              all languages
#   scripts/templates.sh swift c      these
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
rust=$(scripts/rust-for-wasi.sh) || rust=
mesh=$(readlink -f "${MESH:-.build/debug/mesh}")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export MESH_HOME=$scratch/home
cd "$scratch"

has_zig() { command -v zig >/dev/null || python3 -c 'import ziglang' 2>/dev/null; }
has_wasi_libc() { # can clang build a program for WASI?
    printf '#include <stdio.h>\nint main(void) { return puts(""); }\n' |
        "${WASI_SDK_PATH:+$WASI_SDK_PATH/bin/}clang" --target=wasm32-wasi -x c - -o "$scratch/probe.wasm" 2>/dev/null
}
at_hand() {
    case "$1" in
        swift) command -v swiftc >/dev/null ;;
        c) has_zig || has_wasi_libc ;;
        rust) [ -n "$rust" ] ;;
        zig) has_zig ;;
    esac
}

languages=("$@")
[ $# -gt 0 ] || languages=(swift c rust zig)
left_out=()
for language in "${languages[@]}"; do
    "$mesh" new "$language" "hello-$language" >/dev/null
    if ! at_hand "$language"; then
        left_out+=("$language")
        continue
    fi
    # Behind other programs of the same names there may be Rust's for WASI.
    PATH=$([ "$language" = rust ] && printf '%s:' "$rust")$PATH "hello-$language/build.sh"
    module=hello-$language/build/hello-$language.wasm
    "$mesh" check "$module" >/dev/null
    for place in one two; do
        # The job's own name changes with the moment and is all that may differ.
        "$mesh" run --local "$module" --output "greeting=$place.greeting" >"$place" 2>"$place.notes" ||
            { cat "$place.notes" >&2; exit 1; }
        grep -Eq '^Hello from job baf[a-z2-7]+$' "$place"
        grep -Eq '^Hello from job baf[a-z2-7]+$' "$place.greeting"
        grep -o '[0-9,]* fuel' "$place.notes" >"$place.fuel"
    done
    cmp one.fuel two.fuel
    printf '%-5s  built, checked and run: %s bytes, %s\n' "$language" "$(wc -c <"$module")" "$(cat one.fuel)"
done
[ ${#left_out[@]} -eq 0 ] || {
    printf 'left out, their toolchains are not at hand: %s\n' "${left_out[*]}"
    [ "${REQUIRE:-}" != all ]
}
