#!/usr/bin/env bash
# Builds every job in Examples/ into Examples/build/NAME.wasm with the Swift toolchain alone: swiftc in Embedded mode,
# its clang for the small runtime, its wasm-ld. A job is a folder with a main.swift; it gets Support/ compiled in.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p build

toolchain=$(dirname "$(readlink -f "$(command -v swiftc)" 2>/dev/null || command -v swiftc)")
linker="$toolchain/wasm-ld"
[ -x "$linker" ] || linker=$(command -v wasm-ld) || { echo "wasm-ld is missing: it comes with the Swift toolchain" >&2; exit 1; }
compiler="$toolchain/clang"
[ -x "$compiler" ] || compiler=clang

runtime=build/runtime.o
if [ ! -f "$runtime" ] || [ Support/runtime.c -nt "$runtime" ]; then
  "$compiler" --target=wasm32-unknown-none-wasm -nostdlib -ffreestanding -fno-builtin -O2 -mbulk-memory \
    -c Support/runtime.c -o "$runtime"
fi

for source in */main.swift; do
  name=$(dirname "$source")
  target=build/$name.wasm
  newest=$(ls -t "$source" Support/*.swift "$runtime" build.sh | head -1)
  if [ -f "$target" ] && [ ! "$newest" -nt "$target" ]; then continue; fi
  swiftc -target wasm32-unknown-none-wasm -enable-experimental-feature Embedded \
    -enable-experimental-feature Extern -wmo -Osize -parse-as-library -Xcc -fdeclspec -module-name "$name" \
    -c Support/*.swift "$source" -o "build/$name.o"
  "$linker" --no-entry --export=_start --gc-sections --strip-debug -z stack-size=131072 --stack-first \
    "build/$name.o" "$runtime" -o "$target"
  rm -f "build/$name.o"
done
