#!/usr/bin/env bash
# Runs a command with its output in a log file and one progress line in its place.
#   scripts/quietly.sh "Building mesh" build.log swift build --product mesh
# On a terminal the line shows the elapsed time and the newest [done/total] of the build; elsewhere it is printed once
# at the end. A failure prints the errors (or the end of the log) and keeps the command's exit code.
set -uo pipefail
title=$1
log_name=$2
shift 2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "$root/.build/logs"
log="$root/.build/logs/$log_name"
started=$SECONDS

"$@" >"$log" 2>&1 </dev/null &
child=$!
trap 'kill "$child" 2>/dev/null; wait "$child" 2>/dev/null; exit 130' INT TERM
if [ -t 2 ]; then
    while kill -0 "$child" 2>/dev/null; do
        step=$(tail -c 4000 "$log" 2>/dev/null | tr '\r' '\n' | grep -oE '^\[[0-9]+/[0-9]+\]' | tail -1)
        printf '\r\033[K%s … %d s %s' "$title" "$((SECONDS - started))" "$step" >&2
        sleep 0.5
    done
    printf '\r\033[K' >&2
fi
wait "$child"
status=$?
if [ "$status" -ne 0 ]; then
    printf '%s failed after %d s; the whole output is in %s\n' "$title" "$((SECONDS - started))" "${log#"$root"/}" >&2
    errors=$(grep -aE '(error|FAIL|ERROR)[: ]' "$log" | head -40)
    if [ -n "$errors" ]; then printf '%s\n' "$errors" >&2; else tail -n 40 "$log" >&2; fi
    exit "$status"
fi
printf '%s: %d s\n' "$title" "$((SECONDS - started))" >&2
