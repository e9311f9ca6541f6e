#!/usr/bin/env python3
"""Runs programs that others compiled to WebAssembly as jobs, and compares (`make programs`, `make programs-all`).

Each step runs under the bare engine on a real folder, then as a job in a mesh of three processes: one that asks, one
that runs jobs, one that had no part in it and replays the receipt. Exit code, standard output and error, and every
collected file have to be the same bytes, and the replay has to agree. An interpreter is also talked with, line by line.

    Programs/run.py                 the programs that CI runs
    Programs/run.py --all           all of them, the large ones too
    Programs/run.py --only resvg    some; may be given several times
    Programs/run.py --bare          only under the bare engine
    Programs/run.py --times 20      then 20 times each in turn, with medians of how long the runs took
    MESH=path/to/mesh               another binary than .build/debug/mesh
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".build/programs"


class Failed(Exception):
    """A program did not do as a job what it does under the bare engine."""


class Mesh:
    """Three nodes, each a process of its own, in a temporary folder."""

    # What the large programs need of a node, where config.json says less by default.
    limits = {
        "module_bytes_max": 96 << 20,
        "module_functions_max": 50_000,
        "function_bytes_max": 1 << 20,
        "compile_memory_bytes_max": 2 << 30,
        "file_bytes_max": 128 << 20,
    }

    def __init__(self, binary: str, is_large: bool):
        self.binary, self.is_large = binary, is_large
        # A socket's path has about a hundred characters, so the folder's has to be short.
        self.folder = Path(tempfile.mkdtemp(prefix="mesh-programs.", dir="/tmp"))
        self.nodes: list[subprocess.Popen] = []

    def __enter__(self):
        try:
            self.start("auditor", "--no-executor")
            entrance = self.call("auditor", "status")["addresses"][0]
            self.start("worker", "--executor", "--bootstrap", entrance)
            self.start("alice", "--no-executor", "--bootstrap", entrance)
            for name in ("worker", "alice"):
                self.wait(name, lambda status: status["connected_peers"] > 0)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        for node in self.nodes:
            node.send_signal(signal.SIGTERM)
        for node in self.nodes:
            try:
                node.wait(30)
            except subprocess.TimeoutExpired:
                node.kill()
        if kind is not None:
            for log in sorted(self.folder.glob("*.log")):
                text = log.read_text(errors="replace").splitlines()[-15:]
                print(f"--- the end of {log.name}", *text, sep="\n", file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name: str, *options: str):
        """Makes a node, and starts it once its configuration is what the programs need."""
        home = self.folder / name
        listen = ["--listen", "/ip4/127.0.0.1/tcp/0"]
        subprocess.run([self.binary, "init", "--home", home, *listen, *options], check=True, capture_output=True)
        if self.is_large:
            configuration = json.loads((home / "config.json").read_text())
            limits = configuration["limits"]
            limits.update({key: max(limits[key], least) for key, least in self.limits.items()})
            (home / "config.json").write_text(json.dumps(configuration))
        log = open(self.folder / f"{name}.log", "wb")
        self.nodes.append(subprocess.Popen([self.binary, "up", "--home", home], stdout=log, stderr=log))
        self.wait(name, lambda status: True)

    def wait(self, name: str, is_so, seconds: int = 30):
        """Asks a node for its status until it is as it should be."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if is_so(self.call(name, "status")):
                    return
            except Failed:
                pass
            if any(node.poll() is not None for node in self.nodes):
                raise Failed("a node ended by itself")
            if time.monotonic() > deadline:
                raise Failed(f"{name} did not get ready within {seconds} s")
            time.sleep(0.05)

    def call(self, name: str, *words: str):
        """A command of a node, as JSON."""
        done = subprocess.run(
            [self.binary, *words[:1], "--home", self.folder / name, "--json", *words[1:]], capture_output=True)
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise Failed(f"mesh {' '.join(map(str, words))}: {done.stderr.decode(errors='replace')}") from None


    def talk(self, name: str, words: list[str], lines: list[bytes], seconds: int = 60):
        """An interactive `mesh run`: types each line once the one before was answered, then the end of input; returns
        the exit code, all answers, and the receipt's CID. A job without an answer ends after `seconds` of idling."""
        command = [self.binary, "run", "--home", self.folder / name, "--idle", f"{seconds}s", *words]
        said = b""
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as run:
            for line in lines:
                run.stdin.write(line)
                answer = run.stdout.readline()
                if not answer:
                    raise Failed(f"no answer to {line!r}: {run.stderr.read().decode(errors='replace')}")
                said += answer
            run.stdin.close()
            said += run.stdout.read()
            notes = run.stderr.read().decode(errors="replace")
        receipts = [line.split()[1] for line in notes.splitlines() if line.startswith("receipt  ")]
        if not receipts:
            raise Failed(f"no receipt: {notes}")
        return run.returncode, said, receipts[0]


def places(work: Path):
    """What turns the paths of steps into real ones."""
    names = {
        "programs": ROOT / "vendor/programs",
        "examples": ROOT / "Examples/build",
        "inputs": ROOT / "Programs/inputs",
        "work": work,
    }
    return lambda path: Path(path.format(**names)).resolve()


def options(step, place, destination: Path) -> list[str]:
    """The step as options of `mesh run`."""
    words = ["--max-fuel", step.max_fuel, "--max-memory", step.max_memory, "--max-output", "64Mi", "--timeout", "10m"]
    for path, source in step.folders.items():
        words += ["--dir", f"{place(source)}:{path}"]
    for path, source in step.writable.items():
        words += ["--dir", f"{place(source)}:{path}:rw"]
    for path, source in step.files.items():
        words += ["--file", f"{place(source)}:{path}"]
    if step.workdir:
        words += ["--workdir", step.workdir]
    if step.tmp:
        words.append("--tmp")
    for name, value in step.env.items():
        words += ["--env", f"{name}={value}"]
    if step.talks:
        words += ["-i", "--transcript", "shared"]
    elif step.stdin:
        words += ["--stdin", str(place(step.stdin))]
    for pattern, name in step.collect.items():
        words += ["--collect", f"{pattern}:{destination / name}"]
    return [*words, str(place(step.module)), "--", *step.args]


def tree(path: Path) -> dict[str, str]:
    """The files at a path, or the file there, each with its digest."""
    if not path.exists():
        return {}
    files = [path] if path.is_file() else sorted(inner for inner in path.rglob("*") if inner.is_file())
    return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def compare(what: str, bare, job):
    """Fails with the first difference."""
    if bare == job:
        return
    if isinstance(bare, dict):
        differing = sorted(name for name in bare.keys() | job.keys() if bare.get(name) != job.get(name))
        raise Failed(f"{what}: {len(differing)} files differ, such as {differing[0]}")
    raise Failed(f"{what} differs; under the bare engine:\n{bare!r}\nas a job:\n{job!r}")


def root_of(pattern: str) -> str:
    """The folder above the first wildcard, or the path itself."""
    parts = pattern.split("/")
    wild = next((index for index, part in enumerate(parts) if any(sign in part for sign in "*?[")), len(parts))
    return "/".join(parts[:wild])


class Runner:
    """Runs cases under the bare engine and as jobs."""

    def __init__(self, mesh: Mesh | None, times: int = 0):
        from bare import BareEngine

        self.mesh, self.times, self.engine = mesh, times, BareEngine(FOLDER / "compiled")

    def run(self, case) -> list[str]:
        """All steps of a case; returns a line for each. A step takes what the bare engine's steps left behind."""
        work = FOLDER / "runs" / case.name
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        place = places(work)
        return [self.run_step(case, step, place, work, number) for number, step in enumerate(case.steps, 1)]

    def run_step(self, case, step, place, work: Path, number: int) -> str:
        bare = self.engine.run(step, place, work / f"step-{number}")
        if bare.exit_code != step.exit_code:
            raise Failed(f"exit code {bare.exit_code} under the bare engine: {bare.stderr.decode(errors='replace')}")
        for pattern, name in step.collect.items():
            found = bare.root / (step.workdir or "/").lstrip("/") / root_of(pattern)
            if not tree(found):
                raise Failed(f"{pattern} brought nothing under the bare engine")
            (shutil.copytree if found.is_dir() else shutil.copyfile)(found, work / name)
        title = f"{case.name}, {Path(step.module).stem}" if len(case.steps) > 1 else case.name
        line = f"{title:26} exit {bare.exit_code:<3} {bare.fuel:>14,} fuel  bare {bare.milliseconds:7.0f} ms"
        if not self.mesh:
            return line
        line += self.run_job(step, place, work, work / f"job-{number}", bare)
        if self.times and not step.refused and not step.talks:
            line += "\n" + self.measure(step, place, work, number)
        return line

    def measure(self, step, place, work: Path, number: int) -> str:
        """Runs a step in turn under the bare engine and as a job, both compiled before: medians of the time of the run."""
        bare, job = [], []
        for turn in range(self.times):
            bare.append(self.engine.run(step, place, work / f"bare-{number}-{turn}").milliseconds)
            destination = work / f"timed-{number}-{turn}"
            destination.mkdir()
            job.append(self.mesh.call("alice", "run", *options(step, place, destination))["result"]["wall_ms"])
        bare_median, job_median = statistics.median(bare), statistics.median(job)
        allowed = 1.2 * bare_median + 5
        verdict = "within" if job_median <= allowed else "ABOVE"
        return (
            f"{'':26} {self.times} times each: bare {bare_median:.1f} ms ({min(bare):.1f} to {max(bare):.1f}), job "
            f"{job_median:.1f} ms ({min(job):.1f} to {max(job):.1f}), {verdict} 1.2 times bare + 5 ms = {allowed:.1f} ms")

    def run_job(self, step, place, work: Path, destination: Path, bare) -> str:
        destination.mkdir()
        if step.talks:
            return self.run_talk(step, place, destination, bare)
        try:
            report = self.mesh.call("alice", "run", *options(step, place, destination))
        except Failed as refusal:
            if step.refused and step.refused in str(refusal):
                return f"  refused: {step.refused}"
            raise
        if step.refused:
            if step.refused in json.dumps(report):
                return f"  does not run: {step.refused}"
            raise Failed(f"should have met {step.refused}: {json.dumps(report)}")
        result = report["result"]
        if report["exit"]["source"] != "module":
            raise Failed(f"the job did not run to its end: {json.dumps(result)}")
        compare("exit code", bare.exit_code, report["exit"]["status"])
        if not step.speaks_of_time:
            compare("standard output", bare.stdout.decode(), report["stdout"])
            compare("standard error", bare.stderr.decode(), report["stderr"])
        for name in step.collect.values():
            compare(name, tree(work / name), tree(destination / name))
        self.replay(result["receipt_cid"])
        return f"  job {result.get('wall_ms', 0):7} ms, {result['fuel']:>14,} fuel, replayed"


    def run_talk(self, step, place, destination: Path, bare) -> str:
        lines = place(step.stdin).read_bytes().splitlines(keepends=True)
        began = time.monotonic()
        status, said, receipt = self.mesh.talk("alice", options(step, place, destination), lines)
        milliseconds = 1_000 * (time.monotonic() - began)
        compare("exit code", bare.exit_code, status)
        compare("what was answered", bare.stdout.decode(), said.decode(errors="replace"))
        self.replay(receipt)
        return f"  talked {len(lines)} lines in {milliseconds:.0f} ms, replayed"

    def replay(self, receipt: str):
        """The node that had no part in a job runs it again."""
        replay = self.mesh.call("auditor", "receipt", "replay", receipt)
        if not replay.get("valid"):
            raise Failed(f"the replay does not agree: {json.dumps(replay)}")


def main() -> int:
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from cases import cases

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="the large programs, too")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="these programs")
    parser.add_argument("--bare", action="store_true", help="only under the bare engine")
    parser.add_argument("--times", type=int, default=0, help="then run each so often both ways, and say how long it took")
    chosen = parser.parse_args()
    known = cases()
    if unknown := set(chosen.only) - {case.name for case in known}:
        parser.error(f"no program {', '.join(sorted(unknown))}; there are {', '.join(case.name for case in known)}")
    wanted = [case for case in known if case.name in chosen.only or not chosen.only and (case.small or chosen.all)]
    packages = sorted({package for case in wanted for package in case.packages})
    subprocess.run([ROOT / "scripts/fetch-programs.sh", "wasmtime", *packages], check=True)
    failures = []

    def run_all(runner: Runner):
        for case in wanted:
            try:
                print(*runner.run(case), sep="\n", flush=True)
            except Failed as failure:
                failures.append(case.name)
                print(f"{case.name} FAILED: {failure}", flush=True)

    if chosen.bare:
        run_all(Runner(None))
    else:
        binary = os.environ.get("MESH", str(ROOT / ".build/debug/mesh"))
        with Mesh(binary, is_large=any(not case.small for case in wanted)) as mesh:
            run_all(Runner(mesh, chosen.times))
    print(f"programs: {len(wanted) - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
