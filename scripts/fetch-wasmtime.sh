#!/usr/bin/env bash
# Puts the pinned wasmtime library into vendor/wasmtime (or into the folder given as argument). It comes out of the
# project's Python wheel, which pip downloads; nothing of the wheel is run, and nothing of it is used unless its SHA-256
# is the one in wasmtime.lock. Does nothing when the pinned library is there already.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
prefix="${1:-$here/../vendor/wasmtime}"
lock="$here/wasmtime.lock"

fail() {
  echo "fetch-wasmtime: $1" >&2
  exit 1
}

case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) platform=manylinux1_x86_64 folder=linux-x86_64 library=libwasmtime.so ;;
  Linux-aarch64) platform=manylinux2014_aarch64 folder=linux-aarch64 library=libwasmtime.so ;;
  Darwin-arm64) platform=macosx_11_0_arm64 folder=darwin-aarch64 library=libwasmtime.dylib ;;
  Darwin-x86_64) platform=macosx_10_13_x86_64 folder=darwin-x86_64 library=libwasmtime.dylib ;;
  *) fail "there is no wasmtime library for $(uname -s) on $(uname -m)." ;;
esac
version="$(awk '$1 == "version" { print $2 }' "$lock")"
want="$(awk -v platform="$platform" '$1 == platform { print $2 }' "$lock")"
[ -n "$version" ] && [ -n "$want" ] || fail "$lock names no version or no hash for $platform."

# The stamp is written last, so a library without it is one of an interrupted run.
stamp="$prefix/.sha256"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && [ -f "$prefix/lib/$library" ]; then exit 0; fi

python="${PYTHON:-python3}"
"$python" -m pip --version >/dev/null 2>&1 || fail "python3 with pip is needed to download wasmtime."
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
"$python" -m pip download --quiet --disable-pip-version-check --retries 0 --no-deps --only-binary=:all: \
  --platform "$platform" --dest "$work" "wasmtime==$version" >"$work/log" 2>&1 \
  || fail "wasmtime $version could not be downloaded: $(grep -m 1 -i error "$work/log" || tail -n 1 "$work/log")"
set -- "$work"/*.whl
[ $# -eq 1 ] && [ -f "$1" ] || fail "the download of wasmtime $version brought no wheel."
wheel="$1"
got="$("$python" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$wheel")"
[ "$got" = "$want" ] || fail "the downloaded wasmtime $version has SHA-256 $got but $want is pinned; nothing was installed."

"$python" -m zipfile -e "$wheel" "$work/wheel"
rm -f "$stamp"
mkdir -p "$prefix/lib" "$prefix/share"
install -m 0755 "$work/wheel/wasmtime/$folder/_$library" "$prefix/lib/$library"
cp -R "$work/wheel/wasmtime-$version.dist-info/licenses" "$prefix/share/" 2>/dev/null || true
if [ "$(uname -s)" = Darwin ]; then
  install_name_tool -id "@rpath/$library" "$prefix/lib/$library"
  codesign --force --sign - "$prefix/lib/$library"
fi
echo "$want" >"$stamp"
