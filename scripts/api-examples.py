#!/usr/bin/env python3
"""Runs the commands of a page against a running node, as a reader would, and compares what they print with the page.

In a block of code, a line that begins with `$ ` is a command; what stands below it, up to the next, is what it prints.
`…` there stands for anything within a line. Blocks without such lines are not run. The commands run one after the
other in one shell, with the node's home folder for ~/.mesh, its address for http://127.0.0.1:4080, and MESH_MODULE
as sum.wasm.

    MESH_API=… MESH_HOME=… MESH_MODULE=… scripts/api-examples.py docs/api.md
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile


def examples(page):
    """The commands of a page, each with its line and with what it is said to print."""
    found = []
    for number, line in enumerate(page.splitlines(), 1):
        if line.startswith("    $ "):
            found.append((number, line[6:], []))
        elif line.startswith("    ") and found and found[-1] is not None:
            found[-1][2].append(line[4:])
        elif found and found[-1] is not None:
            found.append(None)
    return [example for example in found if example is not None]


def main():
    text = pathlib.Path(sys.argv[1]).read_text()
    commands = examples(text)
    if not commands:
        sys.exit(f"{sys.argv[1]} has no commands")
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        (home / ".mesh").symlink_to(os.environ["MESH_HOME"])
        shutil.copy(os.environ["MESH_MODULE"], home / "sum.wasm")
        shell = subprocess.Popen(
            ["bash"], cwd=home, env={**os.environ, "HOME": folder}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            for line, command, expected in commands:
                check(sys.argv[1], line, run(shell, command), expected)
        finally:
            shell.kill()
            shell.wait()
    print(f"{len(commands)} commands print what {sys.argv[1]} says")


def run(shell, command):
    """What a command prints; the end is marked by a line that none prints."""
    address = os.environ["MESH_API"]
    mark = "\x04 end of a command"
    command = command.replace("http://127.0.0.1:4080", address)
    shell.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n%s\\n' '{mark}'\n")
    shell.stdin.flush()
    lines = []
    for line in shell.stdout:
        if line.rstrip("\n") == mark:
            break
        lines.append(line.rstrip("\r\n"))
    while lines and not lines[-1]:
        lines.pop()
    return [line.replace(address, "http://127.0.0.1:4080") for line in lines]


def check(page, line, printed, expected):
    """Fails where a command prints something else."""
    patterns = [".*".join(re.escape(part) for part in text.split("…")) for text in expected]
    fits = len(printed) == len(patterns) and all(map(re.fullmatch, patterns, printed))
    if not fits:
        sys.exit("\n".join(
            [f"{page}:{line} should print", *expected, "and prints", *printed]))


if __name__ == "__main__":
    main()
