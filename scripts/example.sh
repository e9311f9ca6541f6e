#!/usr/bin/env bash
# Builds and runs libp2p/Example against a copy of libp2p/ alone, as somebody would who depends on that folder.
# The versions are those of the repository's own build where it has resolved them, and what it has downloaded is taken
# from SwiftPM's cache; the build folder stays, so only the first time is slow.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD/.build/example
expected=$'protocol: HELLO\ngossip: it works\nDHT: kept'
rm -rf "$root/libp2p" && mkdir -p "$root"
cp -r libp2p "$root/libp2p"
[ ! -f Package.resolved ] || cp Package.resolved "$root/libp2p/Example/"
package=(--package-path "$root/libp2p/Example" --scratch-path "$root/build")
scripts/quietly.sh "Building the example" example.log swift build "${package[@]}"
output=$(timeout 60 swift run "${package[@]}" --skip-build Example)
printf '%s\n' "$output"
[ "$output" = "$expected" ] || { printf 'the example should have printed:\n%s\n' "$expected" >&2; exit 1; }
