#!/usr/bin/env bash
# The demo of two cooperatives (`make demo-credit`): six nodes, each a process of its own. Two are issuers, each of a
# cooperative; nora is a member of the north, sam of the south, and neither trusts the other's issuer. A job of nora's is
# run and paid across both; nora vanishes during another, and sam is paid all the same; a stranger proves that a receipt
# is anchored from its CID; and an issuer that tells two stories is found out by two heads.
#   MESH=path/to/mesh      another binary than .build/debug/mesh
#   MESH_DEMO_KEEP=1       leave the folder, with the nodes' logs, where it is
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mesh=${MESH:-.build/debug/mesh}
portrait=Examples/build/TextPortrait.wasm
picture=Examples/build/Mandelbrot.wasm
text=ARCHITECTURE.md
wait_seconds=300

for file in "$mesh" "$portrait" "$picture"; do
    [ -e "$file" ] || { echo "demo: $file is missing; run 'make demo-credit', which builds it" >&2; exit 1; }
done

. scripts/demo-lib.sh

stop() { # stop NAME [SIGNAL]
    kill -"${2:-TERM}" "${process[$1]}" && wait "${process[$1]}" 2>/dev/null || true
    unset "process[$1]"
}
did() { on "$1" status --json | field did; }
short() { sed -E 's/.*(.{8})$/…\1/'; }

order() { # order ISSUER OFFICER OFFICER WORDS...: one officer proposes, another approves
    local issuer=$1 first=$2 second=$3 cid
    shift 3
    on "$first" issuer order "$@" --issuer "${dids[$issuer]}" >/dev/null
    cid=$(on "$second" issuer orders --json --issuer "${dids[$issuer]}" | field 0.order_cid)
    on "$second" issuer approve "$cid" --issuer "${dids[$issuer]}" >/dev/null
}

holds_nothing() { # holds_nothing ISSUER: whether nothing is held in its book
    on "$1" issuer members --json |
        python3 -c 'import json, sys; sys.exit(any(line["leaving"] for line in json.load(sys.stdin)))'
}

balances() { # balances ISSUER: who owes what in its book
    say "In the book of the $1:"
    on "$1" issuer members --json | python3 -c '
import json, sys
names = dict(zip(sys.argv[1::2], sys.argv[2::2]))
for line in json.load(sys.stdin):
    balance = line["balance"] / 10 ** line["decimals"]
    print("  %-8s %s %.4f hours" % (names.get(line["did"], "?"), "is owed" if balance >= 0 else "owes   ", abs(balance)))
' $(for name in "${!dids[@]}"; do printf '%s %s ' "${dids[$name]}" "$name"; done)
}

heading "1. Two cooperatives, and nodes that trust different issuers"
start alba --no-executor
until_true "the start of alba" answers alba
entrance=$(on alba status --json | field addresses.0)
for name in north south vera; do start "$name" --no-executor --bootstrap "$entrance"; done
for name in north south vera; do until_true "the start of $name" answers "$name"; done
declare -A dids=([alba]=$(did alba) [north]=$(did north) [south]=$(did south) [vera]=$(did vera))
ways=(--bootstrap "$entrance" --bootstrap "$(on north status --json | field addresses.0)"
    --bootstrap "$(on south status --json | field addresses.0)")

on nora init --listen /ip4/127.0.0.1/tcp/0 --no-executor "${ways[@]}" >/dev/null 2>"$folder/nora.log"
# A demo cannot wait for the hours that a hold may last by default.
for setting in delivery_seconds=5 claim_seconds=60 window_seconds=12; do
    on nora config set "holds.${setting%=*}" "${setting#*=}" >/dev/null
done
up nora
on sam init --listen /ip4/127.0.0.1/tcp/0 --executor "${ways[@]}" >/dev/null 2>"$folder/sam.log"
on sam config set executor.issuers "${dids[south]} hours/4 0.1000 0.0001" >/dev/null
up sam
# alba has to know for whom it decides before it starts.
stop alba
on alba config set arbiter.issuers "${dids[north]}" "${dids[south]}" >/dev/null
on alba config set listen "${entrance%/p2p/*}" >/dev/null
up alba
for name in alba nora sam; do until_true "the start of $name" answers "$name"; done
dids[nora]=$(did nora) dids[sam]=$(did sam)
for name in nora sam; do until_true "the connections of $name" is_connected "$name" 3; done
until_true "the connections of north" is_connected north 3

found() { # found ISSUER OFFICER...
    local name=$1 officer words=()
    shift
    for officer in "$@"; do words+=(--officer "${dids[$officer]}"); done
    on "$name" issuer found --unit hours --decimals 4 --approvals 2 --arbiter "${dids[alba]}" "${words[@]}" \
        >>"$folder/$name.log" 2>&1
}
found north alba sam vera south
found south alba nora sam
on north connect "$(on south status --json | field addresses.0)" >>"$folder/north.log" 2>&1
order north alba sam limit "${dids[nora]}" --owed 40.00
order north alba sam limit "${dids[south]}" --owed 100.00 --of-issuer
order south alba nora limit "${dids[sam]}" --owed 40.00
order south alba nora limit "${dids[north]}" --owed 100.00 --of-issuer
who() { printf '  %-6s process %-8s %-62s %s\n' "$1" "${process[$1]}" "$2" "$(printf %s "${dids[$1]}" | short)"; }
who north "issuer of the north's hours"
who south "issuer of the south's hours"
who nora "member of the north: wants jobs done"
who sam "member of the south: runs jobs, trusts the south alone"
who alba "officer of both, and the arbiter whom both charters name"
who vera "officer of the north"

heading "2. A job is paid across the two"
knows() { on nora issuer show --issuer "${dids[north]}" --json | grep -q "\"${dids[south]}\""; }
until_true "that the north pays members of the south" knows
terms=(--pay-by "${dids[north]}" --max-fuel 50M --timeout 5s --budget 5000)
shown "run $portrait --stdin $text --pay-by $(printf %s "${dids[north]}" | short) --budget 5000"
# sam asks its issuer every two seconds whether it has a line there, and bids once it has.
paid_for() {
    on nora run "$portrait" --stdin "$text" "${terms[@]}" --output "summary.json=$folder/summary.json" \
        >"$folder/run.out" 2>"$folder/run.log"
}
until_true "a job that is paid across" paid_for
cat "$folder/run.log"
on nora jobs --json --limit 1 >"$folder/job.json"
job=$(field 0.job_id <"$folder/job.json")
receipt=$(field 0.result.receipt_cid <"$folder/job.json")
shown "explain last"
on nora explain "$job" | grep -E 'issuer|holds|Assigned|paid|Settled' | cut -c 1-160 || true
is_paid() { [ "$(on "$1" describe "$2" --json | field credit.0.state)" = paid ]; }
for name in nora sam; do until_true "the booking of $name" is_paid "$name" "$job"; done
balances north
balances south

heading "3. nora vanishes in the middle of a job, and sam is paid all the same"
shown "run $picture -- 1536 1152    # and nora's process is killed while sam draws"
job=$("$mesh" run --home "$folder/nora" --detach --json "$picture" --workdir /job --collect set.png \
    --pay-by "${dids[north]}" --budget 30000 --max-fuel 20G --timeout 5s --attempts 1 -- 1536 1152 | field job_id)
runs() { [ "$(on sam describe "$job" --json | field job.status)" = Running ]; }
until_true "the run" runs
stop nora KILL
say "sam leaves the sealed result with the arbiter, claims by its word, and waits until nobody can dispute that any more."
until_true "the claim that is paid" is_paid sam "$job"
# The north's book follows the south's.
until_true "the north's part" holds_nothing north
on sam explain "$job" | grep -E 'arbiter|claim|holds' | cut -c 1-160 || true
balances south
balances north

heading "4. alba proves from its CID that a receipt is anchored"
shown "dag prove $receipt > receipt.tlog-proof    # by sam"
on sam dag prove "$receipt" >"$folder/receipt.tlog-proof"
say "The proof has $(wc -c <"$folder/receipt.tlog-proof") bytes."
shown "dag verify receipt.tlog-proof --receipt $receipt --author $(printf %s "${dids[sam]}" | short)    # by anybody"
"$mesh" dag verify "$folder/receipt.tlog-proof" --receipt "$receipt" --author "${dids[sam]}"

heading "5. The north tells two stories, and two heads of its log prove it"
say "Its home is copied, and each copy books something else."
stop north
cp -a "$folder/north" "$folder/twin"
head_of() { on "$1" issuer show --json | python3 -c 'import json, sys; sys.stdout.write(json.load(sys.stdin)["head"])'; }
story() { # story HOME OFFICER OFFICER AMOUNT: starts it, has its officers order something, and keeps the head
    up "$1"
    until_true "the start of the $1" answers "$1"
    reaches() { on "$2" connect "$(on "$1" status --json | field addresses.0)"; }
    for name in "$2" "$3"; do until_true "the way to the $1" reaches "$1" "$name"; done
    order north "$2" "$3" limit "${dids[nora]}" --owed "$4"
    head_of "$1" >"$folder/$1.head"
    stop "$1"
}
story north alba sam 50.00
story twin vera south 60.00
shown "dag verify north.head twin.head    # by anybody"
status=0
"$mesh" dag verify "$folder/north.head" "$folder/twin.head" || status=$?
[ "$status" = 241 ] || { echo "demo: the two stories were not found out (exit code $status)" >&2; exit 1; }

heading "What happened"
printf '  %-10s %s\n' \
    "paid" "a job of a member of the north, by an executor that trusts the south alone" \
    "vanished" "an originator, whose executor was paid by the arbiter's word and two books" \
    "proved" "a receipt's place in the log of its executor, from its CID" \
    "caught" "an issuer that told two stories, by two heads that it signed" \
    "took" "$((SECONDS - started_at)) seconds"
