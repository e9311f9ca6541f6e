#!/usr/bin/env bash
# Runs the tests that were built, one target after the other; a pattern given as $1 limits them as `--filter` does, and
# the target named in $2 is left out.
#
# One at a time, because some targets wait for processes or fill all threads: side by side on two cores they would only
# show how long others can be kept waiting. All targets run, also after one has failed; nothing is tried twice.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
flags=(--explicit-target-dependency-import-check error --skip-build)
if [ -n "${1:-}" ]; then exec swift test "${flags[@]}" --filter "$1"; fi
passed=0 failed=()
for folder in Tests/*/ libp2p/Tests/*/ mesh/Tests/*/; do
    compgen -G "$folder*.swift" >/dev/null || continue # data of other targets
    target=$(basename "$folder")
    [ "$target" != "${2:-}" ] || continue
    started_at=$SECONDS
    echo "--- $target"
    if swift test "${flags[@]}" --filter "^$target\\."; then passed=$((passed + 1)); else failed+=("$target"); fi
    echo "--- $target took $((SECONDS - started_at)) s"
done
[ ${#failed[@]} -eq 0 ] || echo "Failed targets: ${failed[*]}"
echo "targets: $passed passed, ${#failed[@]} failed"
[ ${#failed[@]} -eq 0 ]
