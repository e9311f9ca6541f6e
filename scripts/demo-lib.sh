# What the demos share: nodes that are processes of their own, in a temporary folder that is gone afterwards.
# Read by scripts/demo.sh and scripts/demo-credit.sh, which set `mesh` to the binary and `wait_seconds` before.

# A socket's path has about a hundred characters, so the folder's has to be short.
folder=$(mktemp -d "${TMPDIR:-/tmp}/mesh-demo.XXXXXX")
declare -A process=()
started_at=$SECONDS

clean_up() {
    local status=$? name
    trap - EXIT INT TERM
    for name in "${!process[@]}"; do kill "${process[$name]}" 2>/dev/null || true; done
    for name in "${!process[@]}"; do wait "${process[$name]}" 2>/dev/null || true; done
    if [ "$status" -ne 0 ]; then
        echo >&2
        for log in "$folder"/*.log; do
            if [ -s "$log" ]; then
                printf -- '--- the end of %s\n' "${log##*/}" >&2
                tail -n 15 "$log" >&2
            fi
        done
    fi
    if [ -n "${MESH_DEMO_KEEP:-}" ]; then echo "The demo's folder is $folder" >&2; else rm -rf "$folder"; fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

if [ -t 1 ]; then bold=$'\033[1m' dim=$'\033[2m' plain=$'\033[0m'; else bold='' dim='' plain=''; fi
heading() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
say() { printf '%s\n' "$1"; }
shown() { printf '%s$ mesh %s%s\n' "$dim" "$1" "$plain"; }

on() { # on NAME COMMAND...: a command of the CLI, for the node of that name
    local name=$1
    shift
    "$mesh" "$@" --home "$folder/$name"
}

field() { # field PATH: one value of the JSON on standard input, such as result.receipt_cid
    python3 -c '
import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1].split("."):
    value = value[int(key)] if isinstance(value, list) else value.get(key)
print("" if value is None else value)' "$1"
}

until_true() { # until_true WHAT COMMAND...: asks until the command succeeds
    local what=$1 deadline=$((SECONDS + wait_seconds)) name
    shift
    until "$@" >/dev/null 2>&1; do
        for name in "${!process[@]}"; do
            if ! kill -0 "${process[$name]}" 2>/dev/null; then
                echo "demo: the node $name ended by itself" >&2
                return 1
            fi
        done
        if [ "$SECONDS" -ge "$deadline" ]; then
            echo "demo: $what did not happen within $wait_seconds seconds" >&2
            return 1
        fi
        sleep 0.05
    done
}

start() { # start NAME OPTIONS...: makes a node and starts it in a process of its own
    local name=$1
    shift
    on "$name" init --listen /ip4/127.0.0.1/tcp/0 "$@" >/dev/null 2>"$folder/$name.log"
    up "$name"
}

up() { # up NAME: starts a node that was made
    "$mesh" up --home "$folder/$1" >>"$folder/$1.log" 2>&1 &
    process[$1]=$!
}

answers() { on "$1" status --json; }

is_connected() { [ "$(on "$1" status --json | field connected_peers)" -ge "$2" ]; }
