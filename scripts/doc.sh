#!/usr/bin/env bash
# The pages of the code (DocC), in .build/documentation/MODULE: of the network's modules what is public, of the mesh's
# what other modules see. The debug build with its tests has to be there. A warning fails, such as a link to nothing or
# a parameter without a word.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
modules=$PWD/.build/debug/Modules pages=.build/documentation graphs=.build/documentation/graphs
tools=$(dirname "$(realpath "$(command -v swift)")")
command -v docc >/dev/null || PATH=$tools:$PATH
target=$(swift -print-target-info | python3 -c 'import json, sys; print(json.load(sys.stdin)["target"]["unversionedTriple"])')
rm -rf "$pages" && mkdir -p "$graphs"

# The modules of C that they import: of this repository, of packages, and what the build wrote for packages without one.
flags=(-I "$modules")
while read -r map; do
    flags+=(-Xcc "-fmodule-map-file=$map" -Xcc "-I$(dirname "$map")")
done < <(find -L "$PWD"/{libp2p,mesh}/Sources "$PWD/vendor" -name module.modulemap
    find "$PWD/.build/checkouts" -name module.modulemap \( -path '*/include/*' -o -path '*/GRDB*' \)
    find "$PWD/.build/debug/" -maxdepth 2 -name module.modulemap)

document() { # document FOLDER ACCESS
    local module catalogue log
    module=$(basename "$1") log=$graphs/$(basename "$1").log
    catalogue=$1/$module.docc
    mkdir -p "$graphs/$module"
    swift-symbolgraph-extract -module-name "$module" "${flags[@]}" -target "$target" -minimum-access-level "$2" \
        -skip-synthesized-members -output-dir "$graphs/$module" >"$log" 2>&1 &&
        docc convert $([ -d "$catalogue" ] && echo "$catalogue") --additional-symbol-graph-dir "$graphs/$module" \
            --fallback-display-name "$module" --fallback-bundle-identifier "net.planetary-mesh.$module" \
            --warnings-as-errors --transform-for-static-hosting --hosting-base-path "$module" \
            --output-dir "$pages/$module" >"$log" 2>&1 && return
    printf '%s:\n' "$module"
    cat "$log"
    return 1
}

count=0 failed=0
for folder in libp2p/Sources/* mesh/Sources/*; do
    # Programs and C have no pages.
    case "$folder" in mesh/Sources/mesh | mesh/Sources/mesh-*) continue ;; esac
    [ -n "$(find "$folder" -name '*.swift' -print -quit)" ] || continue
    [ -e "$modules/$(basename "$folder").swiftmodule" ] || {
        echo "$(basename "$folder") is not built: build the tests first" >&2
        exit 1
    }
    case "$folder" in
        libp2p/*) document "$folder" public || failed=$((failed + 1)) ;;
        *) document "$folder" package || failed=$((failed + 1)) ;;
    esac
    count=$((count + 1))
done
rm -rf "$graphs"
echo "documentation: $((count - failed)) of $count modules without a warning, in $pages"
[ "$failed" -eq 0 ]
