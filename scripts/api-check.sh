#!/usr/bin/env bash
# Checks the API of a running node, which stands alone in a temporary folder: by the Python client's tests, by the
# commands of docs/api.md, and by made-up requests, which schemathesis makes of /openapi.json: all operations over TCP,
# with a token, and all checks, one of them in our own words, each request alone and one after another.
# scripts/api-check.toml says what may be refused, scripts/api_check_hooks.py what leads where. Left out are
# /v1/shutdown, which ends the node, and /v1/events and the session of an interactive job, which wait for what does not
# come.
#   MESH=path/to/mesh            another binary than .build/debug/mesh
#   API_CHECK_EXAMPLES=200       made-up requests of each operation
#   API_CHECK_SEED=7             one seed; without it, 1 and another one each time, which is printed
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
mesh=${MESH:-.build/debug/mesh}
mesh=$(realpath "$mesh")
module=$root/Examples/build/Sum.wasm
environment=.build/api-venv
list=scripts/api-check-requirements.txt
[ -x "$mesh" ] && [ -e "$module" ] || { echo "api-check: run 'make api-check', which builds what is missing" >&2; exit 1; }

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
    scripts/quietly.sh "Installing schemathesis" api-venv.log bash -euo pipefail -c install
fi

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

export MESH_HOME=$folder/node MESH_MODULE=$module
"$mesh" init --home "$MESH_HOME" --listen /ip4/127.0.0.1/tcp/0 >/dev/null
mkfifo "$folder/up"
"$mesh" up --home "$MESH_HOME" --api 127.0.0.1:0 --json >"$folder/up" 2>"$folder/node.log" &
node=$!
# The line comes once the node may be used.
read -r -t 60 line <"$folder/up"
MESH_API=$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["api_address"])' "$line")
export MESH_API

echo '--- the Python client'
[ "$(wc -l <Clients/python/planetary_mesh.py)" -lt 300 ] || { echo "the client has 300 lines or more" >&2; exit 1; }
# What the node answers is taken at its word: the document holds it, not the client's types.
"$environment/bin/mypy" --strict --no-warn-return-any --cache-dir /dev/null Clients/python/planetary_mesh.py
PYTHONDONTWRITEBYTECODE=1 python3 -W error Clients/python/test_planetary_mesh.py
echo '--- the commands of docs/api.md'
python3 scripts/page-commands.py docs/api.md
API_CHECK_KNOWN=$(PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=Clients/python python3 - <<'PYTHON'
import json, os, planetary_mesh
node = planetary_mesh.Node.at_home(os.environ["MESH_HOME"])
job = next(job for job in node.jobs(status="succeeded"))
print(json.dumps({"job": job["job_id"], "receipt": job["receipt_cid"], "file": node.add(b"a known file")}))
PYTHON
)
export API_CHECK_KNOWN

export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$root/scripts SCHEMATHESIS_HOOKS=api_check_hooks
cd "$folder"
phases=coverage,fuzzing,stateful
for seed in ${API_CHECK_SEED:-1 $RANDOM}; do
    printf -- '--- made-up requests of %s, seed %s\n' "$MESH_API" "$seed"
    "$root/$environment/bin/schemathesis" --config-file "$root/scripts/api-check.toml" \
        run "$MESH_API/openapi.json" --no-color --warnings off \
        --header "Authorization: Bearer $(cat "$MESH_HOME/api-token")" \
        --checks all \
        --exclude-path /v1/shutdown --exclude-path /v1/events --exclude-path '/v1/jobs/{cid}/session' \
        --max-examples "${API_CHECK_EXAMPLES:-200}" --seed "$seed" --request-timeout 60 --report-dir "$folder" --phases "$phases"
    # What it tries of each operation by its own list is the same for all seeds; chains of requests are the first one's.
    phases=fuzzing
done
