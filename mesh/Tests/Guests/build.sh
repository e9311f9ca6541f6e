#!/usr/bin/env bash
# Builds the guests of the tests, which are kept beside their sources in hexadecimal digits: clang and wasm-ld of the Swift toolchain.
set -euo pipefail
cd "$(dirname "$0")"
toolchain=$(dirname "$(readlink -f "$(command -v swiftc)")")
"$toolchain/clang" --target=wasm32-unknown-none-wasm -nostdlib -ffreestanding -fno-builtin -O2 -Wall -Wextra -Werror \
  -mbulk-memory -c filer.c -o filer.o
"$toolchain/wasm-ld" --no-entry --strip-all --gc-sections -z stack-size=65536 filer.o -o filer.wasm
od -An -v -tx1 filer.wasm | tr -d ' \n' | fold -w 100 >filer.wasm.hex
echo >>filer.wasm.hex
rm filer.o filer.wasm
