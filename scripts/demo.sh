#!/usr/bin/env bash
# The demo (`make demo`): a mesh of five nodes, each a process of its own. One wants a job done, three offer to do it at
# different prices and from different regions, and an auditor who had no part in it checks the receipt and runs the job
# again. Everything stands in a temporary folder and is gone afterwards.
# Then one of four executors of another job lies, and is caught.
#   MESH=path/to/mesh      another binary than .build/debug/mesh
#   MESH_DEMO_KEEP=1       leave the folder, with the nodes' logs, where it is
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mesh=${MESH:-.build/debug/mesh}
cheat=.build/debug/mesh-cheat
module=Examples/build/TextPortrait.wasm
adventure=Examples/build/Adventure.wasm
text=ARCHITECTURE.md
wait_seconds=20

for file in "$mesh" "$cheat" "$module" "$adventure"; do
    [ -e "$file" ] || { echo "demo: $file is missing; run 'make demo', which builds it" >&2; exit 1; }
done

. scripts/demo-lib.sh

heading "1. Five nodes that have never met"
start auditor --no-executor
until_true "the start of the auditor" answers auditor
entrance=$(on auditor status --json | field addresses.0)
start alice --no-executor --bootstrap "$entrance"
start oslo --executor --region eu-north --price-base 120 --price-per-million-fuel 14 --bootstrap "$entrance"
start nairobi --executor --region af-east --price-base 80 --price-per-million-fuel 9 --bootstrap "$entrance"
start lima --executor --region sa-west --price-base 100 --price-per-million-fuel 12 --bootstrap "$entrance"
for name in alice oslo nairobi lima; do
    until_true "the start of $name" answers "$name"
done
for name in alice oslo nairobi lima; do
    until_true "the first connection of $name" is_connected "$name" 1
done

describe() { # describe NAME ROLE
    printf '  %-8s  process %-7s  %-44s  %s\n' "$1" "${process[$1]}" "$2" \
        "$(on "$1" status --json | field did | sed -E 's/.*(.{8})$/…\1/')"
}
describe alice "wants a job done"
describe oslo "eu-north, 120 tokens + 14 per million fuel"
describe nairobi "af-east, 80 tokens + 9 per million fuel"
describe lima "sa-west, 100 tokens + 12 per million fuel"
describe auditor "takes no part; only the others' way in"

heading "2. alice has a page read by a stranger's machine"
say "The job is written in Swift, compiled to $(($(wc -c <"$module") / 1024)) KiB of WebAssembly; its input is $text."
terms=(--max-fuel 50M --budget 750 --sufficient-bids 2)
shown "run $module --stdin $text ${terms[*]}"
on alice run "$module" --stdin "$text" "${terms[@]}" --output "summary.json=$folder/summary.json"

on alice jobs --json --limit 1 >"$folder/job.json"
job=$(field 0.job_id <"$folder/job.json")
receipt=$(field 0.result.receipt_cid <"$folder/job.json")
executor=$(field 0.result.executor_did <"$folder/job.json")
fuel=$(field 0.result.fuel <"$folder/job.json")
paid=$(field 0.result.paid <"$folder/job.json")
[ -n "$receipt" ] || { echo "demo: the job ended without a receipt" >&2; exit 1; }
winner=unknown
for name in oslo nairobi lima; do
    [ "$(on "$name" status --json | field did)" != "$executor" ] || winner=$name
done

heading "3. How it came about"
shown "explain last"
on alice explain "$job"

heading "4. The auditor, who has nothing but the receipt's CID"
[ "$(on auditor jobs --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')" = 0 ] ||
    { echo "demo: the auditor had a part in a job" >&2; exit 1; }
shown "receipt verify $receipt"
until_true "the receipt's arrival in the DHT" on auditor receipt show "$receipt"
on auditor receipt verify "$receipt"
shown "receipt replay $receipt"
on auditor receipt replay "$receipt"

heading "5. alice plays a game that runs on a stranger's machine"
say "Each line is typed when the game has answered the one before; meanwhile it waits, with its clock standing still."
shown "run -i $adventure"
moves=("take key" north "take matches" east "take oil" west up unlock up fill light)
mkfifo "$folder/typed"
on alice run -i --quiet "$adventure" --max-fuel 500M <"$folder/typed" >"$folder/game" &
process[game]=$!
exec 9>"$folder/typed"
prompts() { [ "$(tr -cd '>' <"$folder/game" | wc -c)" -ge "$1" ]; }
asked=0
for move in "${moves[@]}"; do
    asked=$((asked + 1))
    until_true "the game's answer" prompts "$asked"
    printf '%s\n' "$move" >&9
done
exec 9>&-
wait "${process[game]}"
unset 'process[game]'
# What was typed stands behind each prompt, as on a terminal.
python3 - "$folder/game" "${moves[@]}" <<'PYTHON'
import sys
parts = open(sys.argv[1], encoding="utf-8").read().split("> ")
moves = sys.argv[2:]
text = parts[0] + "".join(f"> {move}\n{part}" for move, part in zip(moves, parts[1:]))
lines = text.rstrip().split("\n")
shown = lines if len(lines) <= 12 else lines[:5] + ["…"] + lines[-6:]
print("\n".join("  " + line for line in shown))
PYTHON
grep -q "The lamp burns after ${#moves[@]} turns" "$folder/game" || { echo "demo: the game was not won" >&2; exit 1; }

heading "6. A pipeline: the words of each page in docs/, then in how many pages each word is"
shown "workflow graph Examples/words.yaml"
"$mesh" workflow graph Examples/words.yaml
shown "workflow run Examples/words.yaml"
on alice workflow run --quiet Examples/words.yaml
on alice workflow show --json >"$folder/workflow.json"
workflow=$(field workflow.receipt_cid <"$folder/workflow.json")
shown "receipt verify $workflow"
until_true "the workflow's receipt" on auditor receipt show "$workflow"
on auditor receipt verify "$workflow"

heading "7. Three executors do one job, and one of them lies"
"$cheat" --bootstrap "$(on alice status --json | field addresses.0)" --price 10 >"$folder/mallory.log" 2>&1 &
process[mallory]=$!
until_true "the start of mallory" grep -q "listens for jobs" "$folder/mallory.log"
say "mallory is a program for tests (mesh-cheat): it bids least, runs nothing, and signs that all went well."
quorum=(--max-fuel 50M --budget 750 --sufficient-bids 4 --bid-window 5s --verify quorum:2/3)
shown "run $module --stdin $text ${quorum[*]} --output summary.json=again.json"
on alice run "$module" --stdin "$text" "${quorum[@]}" --output "summary.json=$folder/again.json"
cmp "$folder/summary.json" "$folder/again.json"
on alice proof ls --json >"$folder/proofs.json"
proof=$(field 0.proof_cid <"$folder/proofs.json")
[ -n "$proof" ] || { echo "demo: the lie was not found" >&2; exit 1; }
until_true "mallory's settlement" grep -q "settled: refuted, 0 tokens" "$folder/mallory.log"
say "mallory got: $(grep settled "$folder/mallory.log" | head -1)"
shown "proof verify $proof    # by the auditor, who saw nothing of it"
until_true "the proof's arrival in the DHT" on auditor proof show "$proof"
on auditor proof verify "$proof"

heading "What happened"
printf '  %-10s %s\n' \
    job "$job" \
    "run by" "$winner, for $paid tokens: the price it bid, by the $fuel units of fuel that it metered" \
    "left" "a portrait of $text, and $(wc -c <"$folder/summary.json" | tr -d ' ') bytes of summary.json, each under the CID of its bytes" \
    receipt "$receipt" \
    verified "by the auditor, out of the DHT: every signature, every link, the limits, the price" \
    replayed "by the auditor: the same outputs to the byte, the same fuel to the unit" \
    pipeline "$(field workflow.stages.0.items <"$folder/workflow.json") jobs for the pages, and one over all that they made; its receipt covers all of it" \
    caught "mallory, by comparison and a run at alice's; proved by $proof" \
    took "$((SECONDS - started_at)) seconds, with the start of five nodes"

if [ -n "${DEMO_SECONDS_MAX:-}" ] && [ $((SECONDS - started_at)) -gt "$DEMO_SECONDS_MAX" ]; then
    echo "demo: it took more than the $DEMO_SECONDS_MAX seconds that DEMO_SECONDS_MAX allows" >&2
    exit 1
fi
