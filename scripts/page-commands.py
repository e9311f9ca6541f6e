#!/usr/bin/env python3
"""Runs the commands of a page as a reader would, one after the other, and compares what they print with the page.

In an indented block, a line that begins with `$ ` is a command; what stands below it, up to the next, is what it
prints: on a line `…` stands for anything, and a line `…` for any lines. A command that ends with ` &` goes on in the
background, and is waited for until it has printed what the page shows. Commands have to end with exit code 0, except
where the next one is `echo $?`. Blocks without `$ ` are not run, and neither is a block below

    <!-- needs: COMMAND -->

where COMMAND fails; the page's line says then that it was left out. Where CI is set that is a failure.

What a page has a reader type without `$ ` nothing runs as it stands, so each such block says why, in the line before it:

    <!-- left out: REASON -->

`scripts/page-commands.py --left-out PAGE…` names all of them with their reasons, and fails where one gives none.

The commands of a page run in one shell, in a new folder that is their home folder too. `mesh` is MESH (or
.build/debug/mesh); the folders and files of the repository that pages name (Examples, Programs, docs, README.md and
vendor) are there as links. Where MESH_HOME, MESH_API and MESH_MODULE are set, as scripts/api-check.sh does, ~/.mesh is
that node's home folder, http://127.0.0.1:4080 its address, and sum.wasm that module.

    scripts/page-commands.py docs/python.md docs/auditing.md
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINKED = ["Examples", "Programs", "docs", "vendor", "README.md"]
MARK = "\x04 end of a command, exit code "
BACKGROUND_SECONDS = 60


class Command:
    """A command of a page, with its line and with what it is said to print."""

    def __init__(self, line, text, needs):
        self.line, self.text, self.needs, self.expected = line, text, needs, []


def commands(page):
    """The commands of a page, in their order."""
    found, current, needs = [], None, None
    for number, line in enumerate(page.splitlines(), 1):
        condition = re.fullmatch(r"<!-- needs: (.*) -->", line)
        if condition:
            current, needs = None, condition[1]
        elif line.startswith("    $ "):
            current = Command(number, line[6:], needs)
            found.append(current)
        elif line.startswith("    ") and current and current.text.endswith("\\"):
            current.text += "\n" + line[4:]
        elif line.startswith("    ") and current:
            current.expected.append(line[4:])
        elif line.strip():
            current, needs = None, None
        elif current:
            current.expected.append("")
    for command in found:
        while command.expected and not command.expected[-1]:
            command.expected.pop()
    return found


# How a line begins that looks like something to type.
TYPED = re.compile(
    r"    (mesh|sudo|make|docker|podman|apt|systemctl|tar|curl|sed|git|scripts/\S+|\./\S+|\w+=\S+)( |$)")


def left_out(page):
    """What a page has a reader type and nothing here runs: of each block its line, its commands and the reason."""
    found, reason, is_run, is_open = [], None, False, False
    for number, line in enumerate(page.splitlines(), 1):
        given = re.fullmatch(r"<!-- left out: (.*) -->", line)
        if given:
            reason, is_open = given[1], False
        elif not line.startswith("    "):
            if line.strip():
                reason, is_run, is_open = None, False, False
        elif line.startswith("    $ "):
            is_run = True
        elif not is_run and is_open:
            found[-1][1].append(line[4:])
        elif not is_run and (reason or TYPED.match(line)):
            found.append((number, [line[4:]], reason))
            is_open = True
    return found


def tell_left_out(pages):
    """Names what no check runs as it stands, and fails where a page gives no reason."""
    without = []
    for page in pages:
        for number, lines, reason in left_out(pathlib.Path(page).read_text()):
            first = lines[0].strip() + (f" (and {len(lines) - 1} more lines)" if len(lines) > 1 else "")
            if reason:
                print(f"{page}:{number}: left out: {first}: {reason}", flush=True)
            else:
                without.append(f"{page}:{number}: {first}: nothing runs this; begin it with $, or say why it is left out")
    if without:
        sys.exit("\n".join(without))


def fits(printed, expected):
    """Is what was printed what the page shows?"""
    pattern = "".join(
        r"(?:.*\n)*" if line.strip() == "…" else ".*".join(map(re.escape, line.split("…"))) + r"\n"
        for line in expected)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is not None


class Reader:
    """A shell in a folder of its own, in which the commands of one page run."""

    def __init__(self, page, folder):
        self.page, self.folder, self.begun = page, pathlib.Path(folder), 0
        self.address = os.environ.get("MESH_API")
        mesh = pathlib.Path(os.environ.get("MESH", ROOT / ".build/debug/mesh")).resolve()
        if not mesh.exists():
            sys.exit(f"{mesh} is not there; run 'make build', or say where it is with MESH")
        (self.folder / ".bin").mkdir()
        (self.folder / ".bin/mesh").symlink_to(mesh)
        for name in LINKED:
            if (ROOT / name).exists():
                (self.folder / name).symlink_to(ROOT / name)
        if "MESH_MODULE" in os.environ:
            shutil.copy(os.environ["MESH_MODULE"], self.folder / "sum.wasm")
        environment = {**os.environ, "HOME": folder, "PATH": f"{self.folder / '.bin'}:{os.environ['PATH']}"}
        # Toolchains that keep themselves in the home folder.
        for name, place in (("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")):
            environment.setdefault(name, str(pathlib.Path.home() / place))
        home = environment.pop("MESH_HOME", None)
        if home:
            (self.folder / ".mesh").symlink_to(home)
        self.shell = subprocess.Popen(
            ["bash"], cwd=folder, env=environment, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def run(self, command):
        """Runs a command and fails where it does not do what the page says."""
        text = command.text
        if self.address:
            text = text.replace("http://127.0.0.1:4080", self.address)
        if text.endswith(" &"):
            return self.begin(command, text.removesuffix(" &"))
        printed, status = self.typed(text)
        if not fits(printed, command.expected):
            self.fail(command, printed)
        return status

    def typed(self, text):
        """What a command prints, and its exit code; the end is marked by a line that none prints."""
        self.shell.stdin.write(f"{{ {text}\n}} </dev/null\nprintf '\\n%s%s\\n' '{MARK}' $?\n")
        self.shell.stdin.flush()
        lines = []
        for line in self.shell.stdout:
            if line.startswith(MARK):
                break
            lines.append(line.rstrip("\r\n"))
        else:
            sys.exit(f"{self.page}: the shell ended at: {text}")
        while lines and not lines[-1]:
            lines.pop()
        if self.address:
            lines = [line.replace(self.address, "http://127.0.0.1:4080") for line in lines]
        # The exit code stays what it was for `echo $?`.
        status = int(line[len(MARK):])
        self.shell.stdin.write(f"(exit {status})\n")
        return lines, status

    def begin(self, command, text):
        """Leaves a command in the background as soon as it has printed what the page shows."""
        self.begun += 1
        output = self.folder / f".background-{self.begun}"
        self.typed(f"{text} >{output} 2>&1 &")
        deadline = time.monotonic() + BACKGROUND_SECONDS
        while not fits(printed := self.so_far(output), command.expected):
            if time.monotonic() > deadline:
                self.fail(command, printed)
            time.sleep(0.05)
        return 0

    def so_far(self, output):
        return output.read_text().rstrip("\n").splitlines() if output.exists() else []

    def fail(self, command, printed):
        sys.exit("\n".join(
            [f"{self.page}:{command.line}: {command.text}", "--- should print", *command.expected,
             "--- and prints", *printed]))

    def close(self):
        """Ends the shell and whatever it began, as the end of a terminal would."""
        group = self.shell.pid
        for signal_number, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
            try:
                os.killpg(group, signal_number)
                deadline = time.monotonic() + seconds
                while time.monotonic() < deadline:
                    self.shell.poll()
                    os.killpg(group, 0)
                    time.sleep(0.05)
            except ProcessLookupError:
                break
        self.shell.wait()


def check(page):
    """Runs the commands of one page."""
    found = commands(pathlib.Path(page).read_text())
    if not found:
        sys.exit(f"{page} has no commands")
    left_out = set()
    with tempfile.TemporaryDirectory(prefix="mesh-page.") as folder:
        reader = Reader(page, folder)
        try:
            ran = 0
            for command, after in zip(found, [*found[1:], None]):
                if command.needs and command.needs not in left_out and reader.typed(f"{command.needs} >/dev/null 2>&1")[1]:
                    left_out.add(command.needs)
                if command.needs in left_out:
                    continue
                status = reader.run(command)
                ran += 1
                if status and not (after and after.text == "echo $?"):
                    sys.exit(f"{page}:{command.line}: {command.text}: ended with exit code {status}")
        finally:
            reader.close()
    print(f"{page}: {ran} commands print what it says", flush=True)
    for needs in sorted(left_out):
        print(f"{page}: left out what needs: {needs}", flush=True)
    if left_out and os.environ.get("CI"):
        sys.exit(f"{page}: nothing may be left out where CI is set; scripts/setup.sh docs installs what is missing")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--left-out"]:
        tell_left_out(sys.argv[2:])
    else:
        for page in sys.argv[1:]:
            check(page)
