#!/usr/bin/env bash
# Prints the folder of the first cargo and rustc in PATH that build for WASI: their standard library for the target is
# there, which is called wasm32-wasip1, and before Rust 1.78 wasm32-wasi. Fails where there are none. Debian's, which
# `scripts/setup.sh docs` installs, may stand behind others in PATH that lack it.
set -euo pipefail
while read -r rustc; do
    folder=$(dirname "$rustc")
    [ -x "$folder/cargo" ] || continue
    libraries=$("$rustc" --print sysroot 2>/dev/null)/lib/rustlib
    if [ -d "$libraries/wasm32-wasip1/lib" ] || [ -d "$libraries/wasm32-wasi/lib" ]; then
        echo "$folder"
        exit 0
    fi
done < <(type -ap rustc)
exit 1
