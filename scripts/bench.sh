#!/usr/bin/env bash
# The figures of docs/performance.md (`make bench`), from the optimised binaries that it built.
#   scripts/bench.sh                      all of them
#   scripts/bench.sh PART [OPTION...]     one of formats, transport, gossip, dht, yields, logs, credit (with options of its own), jobs, holds
# `jobs` starts a mesh of one originator and three executors on loopback, each a process of its own, and stops it again;
# `holds` one with an issuer and its two officers, whom the executors trust, for jobs by credit beside jobs for tokens;
# with WITNESSES=3, so many nodes keep the issuer's book.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
binaries=.build/release
idle_seconds=10

for binary in mesh mesh-benchmarks; do
    [ -x "$binaries/$binary" ] || { echo "bench: $binaries/$binary is missing; run 'make bench', which builds it" >&2; exit 1; }
done

heading() { printf '\n--- %s\n' "$1"; }

jobs() {
    # A socket's path has about a hundred characters, so the folder's has to be short.
    local folder
    folder=$(mktemp -d "${TMPDIR:-/tmp}/mesh-bench.XXXXXX")
    trap 'kill "${devnet_PID:-}" 2>/dev/null || true; rm -rf "'"$folder"'"' EXIT
    coproc devnet { exec "$binaries/mesh" devnet --nodes 4 --base-dir "$folder/net" --json 2>"$folder/log"; }
    local child=$devnet_PID input=${devnet[1]} nodes
    if ! read -r -u "${devnet[0]}" nodes; then
        echo "bench: the mesh did not start:" >&2
        cat "$folder/log" >&2
        return 1
    fi
    sleep "$idle_seconds"
    heading "resident memory after $idle_seconds s without work"
    for home in "$folder"/net/node-*; do
        "$binaries/mesh" status --home "$home" --json | python3 -c '
import json, sys
status = json.load(sys.stdin)
role = "executor" if status["executor"] else "originator"
print("%-12s %6.1f MiB" % (role, status["resident_bytes"] / 2**20))'
    done
    heading "mesh bench jobs --count 500 --in-flight 1"
    "$binaries/mesh" bench jobs --home "$folder/net/node-0" --count 500 --in-flight 1
    heading "mesh bench jobs --count 3000 --in-flight 32"
    "$binaries/mesh" bench jobs --home "$folder/net/node-0" --count 3000 --in-flight 32
    heading "mesh bench run --count 300"
    "$binaries/mesh" bench run --home "$folder/net/node-0" --count 300
    heading "mesh bench session --count 1000"
    "$binaries/mesh" bench session --home "$folder/net/node-0" --count 1000
    heading "mesh bench workflow"
    "$binaries/mesh" bench workflow --home "$folder/net/node-0"
    eval "exec $input>&-"
    wait "$child"
}

# The value of a key of what a command prints as JSON.
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

holds() {
    local folder did address executor line name order number
    folder=$(mktemp -d "${TMPDIR:-/tmp}/mesh-bench.XXXXXX")
    trap 'kill "${running[@]}" 2>/dev/null || true; wait; rm -rf "'"$folder"'"' EXIT
    local -A dids=()
    running=()
    mesh() { "$binaries/mesh" "${@:2}" --home "$folder/$1"; }
    begin() { # begin NAME: starts a node, and waits until it answers
        "$binaries/mesh" up --home "$folder/$1" >>"$folder/log" 2>&1 &
        running+=($!)
        until mesh "$1" status >/dev/null 2>&1; do
            kill -0 "${running[-1]}" || { cat "$folder/log" >&2; return 1; }
            sleep 0.1
        done
    }
    local -a keepers=() kept=()
    for ((number = 1; number <= ${WITNESSES:-0}; number++)); do keepers+=("witness$number"); done
    for name in issuer "${keepers[@]}" first second originator executor1 executor2 executor3; do
        case $name in
            issuer) mesh issuer init --listen /ip4/127.0.0.1/tcp/0 --no-executor >/dev/null ;;
            executor*)
                mesh "$name" init --listen /ip4/127.0.0.1/tcp/0 --executor --bootstrap "$address" >/dev/null
                mesh "$name" config set executor.issuers "$did hours/2 0.10 0.00" >/dev/null
                ;;
            *) mesh "$name" init --listen /ip4/127.0.0.1/tcp/0 --no-executor --bootstrap "$address" >/dev/null ;;
        esac
        case $name in witness*) mesh "$name" config set witness.issuers "$did" >/dev/null ;; esac
        begin "$name"
        dids[$name]=$(mesh "$name" status --json | field did)
        case $name in witness*) kept+=(--witness "${dids[$name]}") ;; esac
        if [ "$name" = issuer ]; then
            did=${dids[issuer]}
            address=$(mesh issuer status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["addresses"][0])')
        fi
        if [ "$name" = second ]; then
            mesh issuer issuer found --unit hours --officer "${dids[first]}" --officer "${dids[second]}" \
                --arbiter "${dids[second]}" "${kept[@]}" >/dev/null
            # Witnesses keep the first entry before the book takes others.
            while mesh issuer issuer show --json | grep -q '"obstacle"'; do sleep 0.1; done
        fi
    done
    for name in originator executor1 executor2 executor3; do
        order=$(mesh first issuer order limit "${dids[$name]}" --owed 90000.00 --owing 90000.00 --issuer "$did" --json |
            field order_cid)
        mesh second issuer approve "$order" --issuer "$did" >/dev/null
    done
    mesh originator issuer show --issuer "$did" >/dev/null
    # Executors look every few seconds whether they have a line by now.
    sleep "$idle_seconds"
    heading "mesh bench credit ${*:---count 300}"
    mesh originator bench credit --issuer "$did" "${@:---count=300}"
}

part() { # part NAME OPTION...
    case $1 in
        jobs) jobs ;;
        holds) holds "${@:2}" ;;
        formats | transport | gossip | dht | yields | logs | credit)
            heading "mesh-benchmarks $*"
            "$binaries/mesh-benchmarks" "$@"
            ;;
        *)
            echo "bench: '$1' is none of formats, transport, gossip, dht, yields, logs, credit, jobs, holds" >&2
            exit 2
            ;;
    esac
}

if [ $# -gt 0 ]; then
    part "$@"
else
    for name in formats transport gossip dht yields logs credit jobs holds; do part "$name"; done
fi
