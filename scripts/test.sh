#!/usr/bin/env bash
# Runs the tests that were built: scripts/test.sh [FILTER [SKIP]]. FILTER limits them as `swift test --filter` does; SKIP
# names one target to leave out.
#
# Targets that decide and never wait run beside each other, one process a core, each one test after the other, so that
# the times of their tests are their own. Those that wait for processes and sockets, or fill all threads, then run
# alone: beside others they would only show how long they can be kept waiting. All targets run, also after one has
# failed; nothing is tried twice. The whole output of a target is in .build/logs/tests/.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
filter=${1:-} skip=${2:-}
alone=(CoVMTests MeshStoreTests LibP2PTests PlanetaryMeshTests NodeSetupTests MeshHTTPTests MeshCLITests NodeTests CrashTests)
# These begin first, so that no core waits for them at the end: targets, and suites of the targets that are run by suites.
longest=(SimulationTests JobMarketTests GuestFilesTests)
longest_suites=(
    CrashTests.{NetworkTests,UnrunnableJobTests,SharedOutputTests,StopTests,ExecutorFailureTests,CrashTests}
    CrashTests.{PresentationTests,WorkflowTests,BackupTests,CreditJobCrashTests}
    NodeTests.{AcrossTests,ArbiterTests,UnwantedBidTests,RestartTests,BanTests,StorageTests,SessionTests,MovedPeerTests}
)
# The bundle itself: `swift test` would plan the build again for every target, and let only one run at a time.
bundle=$(swift build --show-bin-path)/planetary-meshPackageTests.xctest
[ -x "$bundle" ] || { echo "$bundle is not there: build the tests first" >&2; exit 1; }
logs=.build/logs/tests
rm -rf "$logs" && mkdir -p "$logs"
export bundle logs

slowest() { # the ten tests that took longest, over all targets
    [ -z "$(find "$logs" -name '*.xml')" ] && return
    echo "slowest tests (seconds):"
    sed -nE 's/^ *<testcase classname="([^"]*)" name="([^"]*)" time="([^"]*)".*/\3 \1.\2/p' "$logs"/*.xml |
        sed 's/&quot;/"/g; s/&lt;/</g; s/&gt;/>/g; s/&amp;/\&/g' | sort -rn | head -10 |
        awk '{ time = $1; sub(/^[^ ]* /, ""); printf "  %7.2f  %s\n", time, $0 }'
}

run_target() { # run_target TARGET [FLAG...]: a line when it passed, all its output when it failed
    local target=$1 log=$logs/$1.log from=$SECONDS status=0
    shift
    "$bundle" --testing-library swift-testing --filter "^$target[./]" --xunit-output "$logs/$target.xml" "$@" \
        >"$log" 2>&1 || status=$?
    if [ "$status" -eq 0 ] && grep -q 'Test run with [1-9][0-9]* test' "$log"; then
        touch "$logs/$target.passed"
        grep -ahE '(^|[^a-z])skipped' "$log"
        printf 'passed  %-34s %4d s  %s\n' "$target" $((SECONDS - from)) \
            "$(grep -aoE 'Test run with [0-9]+ tests?' "$log" | tail -1 | cut -c15-)"
    else
        echo "=== $target, exit code $status:"
        cat "$log"
        printf 'FAILED  %-34s %4d s  %s\n' "$target" $((SECONDS - from)) "$log"
    fi
}

# Side by side, so that what one target prints stays together.
run_beside() { # run_beside TARGET
    local output
    output=$(run_target "$1" --no-parallel 2>&1)
    printf '%s\n' "$output"
}

# Suites of meshes of processes: one process a core, each one test after the other. All of a target at once take several
# times as long as this, and starve each other's timeouts.
run_suites() { # run_suites TARGET
    local suites
    suites=$("$bundle" --testing-library swift-testing --list-tests 2>/dev/null |
        sed -nE "s#^($1\.[^/]*)/.*#\1#p" | sort -u)
    [ -n "$suites" ] || { echo "$1 has no suites"; return; }
    suites=$({ grep -xF "$(printf '%s\n' "${longest_suites[@]}")" <<<"$suites"; printf '%s\n' "$suites"; } | awk '!seen[$0]++')
    xargs -P "$(nproc)" -I '{}' bash -c 'run_beside {}' <<<"$suites"
    while read -r suite; do [ -e "$logs/$suite.passed" ] || return; done <<<"$suites"
    touch "$logs/$1.passed"
}
export -f run_target run_beside

if [ "$filter" = CrashTests ] || [ "$filter" = NodeTests ]; then
    run_suites "$filter"
    slowest
    [ -e "$logs/$filter.passed" ] || { echo "FAILED: $filter, in $SECONDS s"; exit 1; }
    exit 0
elif [ -n "$filter" ]; then
    "$bundle" --testing-library swift-testing --filter "$filter" --xunit-output "$logs/filtered.xml"
    status=$?
    slowest
    exit "$status"
fi

targets=("${longest[@]}")
for folder in Tests/*/ libp2p/Tests/*/ mesh/Tests/*/; do
    compgen -G "$folder*.swift" >/dev/null || continue # data of other targets
    [[ " ${longest[*]} " == *" $(basename "$folder") "* ]] || targets+=("$(basename "$folder")")
done
beside=() waiting=()
for target in "${targets[@]}"; do
    if [ "$target" = "$skip" ]; then continue; fi
    if [[ " ${alone[*]} " == *" $target "* ]]; then waiting+=("$target"); else beside+=("$target"); fi
done
printf '%s\n' "${beside[@]}" | xargs -P "$(nproc)" -I '{}' bash -c 'run_beside {}'
for target in "${waiting[@]}"; do
    case "$target" in
        # Each of these tests is a mesh of its own, which mostly waits.
        CrashTests | NodeTests) run_suites "$target" ;;
        *) run_target "$target" ;;
    esac
done

failed=()
for target in "${beside[@]}" "${waiting[@]}"; do [ -e "$logs/$target.passed" ] || failed+=("$target"); done
slowest
echo "targets: $((${#beside[@]} + ${#waiting[@]} - ${#failed[@]})) passed, ${#failed[@]} failed, $SECONDS s"
[ ${#failed[@]} -eq 0 ] || { echo "FAILED TARGETS: ${failed[*]}"; exit 1; }
