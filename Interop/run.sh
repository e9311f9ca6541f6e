#!/usr/bin/env bash
# Runs the interop tests: our mesh-peer against the real go-libp2p daemon and py-libp2p.
#   Interop/run.sh                all of them
#   Interop/run.sh --only gossip  those with that word in their name
#   Interop/run.sh bench          the figures of our peer beside those of go-libp2p, from an optimised build
# Keeps its Python environment in .build/interop-venv, made anew when the list of packages changes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
environment=.build/interop-venv
list=Interop/peers/requirements.txt
wanted=$(sha256sum "$list" | cut -d ' ' -f 1)
if [ "$(cat "$environment/.installed" 2>/dev/null || true)" != "$wanted" ]; then
    install() {
        rm -rf "$environment"
        python3 -m venv "$environment"
        "$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$list"
        echo "$wanted" >"$environment/.installed"
    }
    export -f install
    export environment list wanted
    scripts/quietly.sh "Installing the Python peers" interop-venv.log bash -euo pipefail -c install
fi
if [ "${1:-}" = bench ]; then
    shift
    exec "$environment/bin/python" Interop/bench/run.py "$@"
fi
exec "$environment/bin/python" Interop/tests/run.py "$@"
