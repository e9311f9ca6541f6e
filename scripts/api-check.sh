#!/usr/bin/env bash
# Holds a running node's API against its own description, /openapi.json, with made-up requests: every operation over
# TCP but those that end the node or never end, with a token, and with all checks of schemathesis that fit (a path of
# the right form that leads to nothing is no failure). The node stands alone in a temporary folder.
#   MESH=path/to/mesh            another binary than .build/debug/mesh
#   SCHEMATHESIS=path/to/it      another program than schemathesis
#   API_CHECK_EXAMPLES=200       requests of each operation
#   API_CHECK_SEED=1             the seed
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mesh=${MESH:-.build/debug/mesh}
schemathesis=${SCHEMATHESIS:-schemathesis}
folder=$(mktemp -d "${TMPDIR:-/tmp}/mesh-api.XXXXXX")
node=

clean_up() {
    local status=$?
    trap - EXIT INT TERM
    if [ -n "$node" ]; then
        kill "$node" 2>/dev/null || true
        wait "$node" 2>/dev/null || true
    fi
    [ "$status" = 0 ] || tail -n 20 "$folder/node.log" >&2 || true
    rm -rf "$folder"
    exit "$status"
}
trap clean_up EXIT INT TERM

"$mesh" init --home "$folder/node" --listen /ip4/127.0.0.1/tcp/0 >/dev/null
mkfifo "$folder/up"
"$mesh" up --home "$folder/node" --api 127.0.0.1:0 --json >"$folder/up" 2>"$folder/node.log" &
node=$!
# The line comes once the node may be used.
read -r -t 60 line <"$folder/up"
address=$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["api_address"])' "$line")
printf 'checking %s\n' "$address"
"$schemathesis" run "$address/openapi.json" --no-color \
    --header "Authorization: Bearer $(cat "$folder/node/api-token")" \
    --checks all --exclude-checks positive_data_acceptance \
    --exclude-path /v1/shutdown --exclude-path /v1/events --exclude-path '/v1/jobs/{cid}/session' \
    --max-examples "${API_CHECK_EXAMPLES:-200}" --seed "${API_CHECK_SEED:-1}" --request-timeout 60 --report-dir "$folder"
