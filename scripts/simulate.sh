#!/usr/bin/env bash
# Plays rounds of the simulator: scripts/simulate.sh [SEEDS] [ROUNDS] [JOBS]. SEEDS rounds (200) of fifty composite jobs
# among cheats, ten seeds at a time, one process a core, and as many of two cooperatives with issuers; ROUNDS rounds (20)
# of six simple jobs with sixteen nodes, and one with fifty; and a round of JOBS jobs (1,000; none where it is 0) against
# each strategy of a liar (`make strategies` plays five, and asks for their means). A seed that fails prints what was
# violated, and the command that plays it again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seeds=${1:-200} rounds=${2:-20} jobs=${3:-1000}
export logs=.build/logs/simulate
rm -rf "$logs" && mkdir -p "$logs"

play() { # play NAME FIRST COUNT FLAG...: ten lines become one when all passed
    local name=$1 first=$2 count=$3 from=$SECONDS log
    shift 3
    log="$logs/$name-$first.log"
    local rounds=(--seeds "$count")
    [[ $name != issuers ]] || rounds=(--issuers "$count")
    if .build/release/mesh-sim --seed "$first" "${rounds[@]}" --json "$@" >"$log" 2>&1; then
        printf 'passed  %-9s  seeds %3d to %3d  %3d s\n' "$name" "$first" $((first + count - 1)) $((SECONDS - from))
    else
        printf 'FAILED  %-9s  seeds %3d to %3d: make sim SEED=… ARGS="%s"\n' \
            "$name" "$first" $((first + count - 1)) "$*"
        grep -av '"violations": \[\]' "$log" | cut -c1-4000
        return 1
    fi
}
export -f play

parts() { # parts NAME TOTAL FLAG...: a line of arguments for every ten seeds
    local name=$1 total=$2 first
    shift 2
    for ((first = 1; first <= total; first += 10)); do
        # No blank at the end, by which xargs would take the next line along.
        echo "$name $first $((first + 9 <= total ? 10 : total - first + 1))${*:+ $*}"
    done
}

{
    [ "$jobs" -eq 0 ] || echo "strategy 1 1 --strategies --jobs $jobs"
    parts composite "$seeds" --composite 50 --silent
    parts issuers "$seeds"
    echo "fifty 20 1 --nodes 50 --jobs 6 --pauses 3"
    parts rounds "$rounds" --nodes 16 --jobs 6 --pauses 3
} | xargs -P "$(nproc)" -L 1 bash -c 'play "$@"' play ||
    { echo "FAILED: the simulator found something, in $SECONDS s"; exit 1; }
echo "simulated: strategies with $jobs jobs each, $((seeds * 50)) composite jobs over $seeds seeds, as many of issuers, $rounds rounds of simple jobs, in $SECONDS s"
