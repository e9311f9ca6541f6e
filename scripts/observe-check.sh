#!/usr/bin/env bash
# Watches three nodes as their owners would: a stock Prometheus (Debian's package) scrapes all of them and answers every
# query of the dashboard for Grafana, and a receiver of OTLP, which reads by OpenTelemetry's own types, gets the trace of
# one job over the three.
#   MESH=path/to/mesh               another binary than .build/debug/mesh
#   PROMETHEUS=path/to/prometheus   another one than Debian's, which is unpacked in .build and not installed
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
MESH=$(realpath "${MESH:-.build/debug/mesh}")
environment=.build/observe-venv
list=scripts/observe-check-requirements.txt
module=Examples/build/Sum.wasm
[ -x "$MESH" ] && [ -e "$module" ] ||
    { echo "observe-check: run 'make observe-check', which builds what is missing" >&2; exit 1; }

wanted=$(sha256sum "$list" | cut -d ' ' -f 1)
if [ "$(cat "$environment/.installed" 2>/dev/null || true)" != "$wanted" ]; then
    rm -rf "$environment"
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$list"
    echo "$wanted" >"$environment/.installed"
fi
if [ -z "${PROMETHEUS:-}" ]; then
    PROMETHEUS=$PWD/.build/prometheus/usr/bin/prometheus
    if [ ! -x "$PROMETHEUS" ]; then
        package=$(mktemp -d)
        # A fresh machine has no lists of packages yet.
        apt-cache show prometheus >/dev/null 2>&1 || apt-get update -qq
        (cd "$package" && apt-get download -qq prometheus 2>/dev/null && dpkg -x prometheus_*.deb unpacked)
        rm -rf .build/prometheus
        mv "$package/unpacked" .build/prometheus
        rm -rf "$package"
    fi
fi
export MESH PROMETHEUS
exec "$environment/bin/python" -W error scripts/observe_check.py "$module"
