#!/usr/bin/env python3
"""Makes a home of a release for mesh/Tests/OldHomes: `scripts/old-home.py BINARY COMMIT`.

BINARY is the `mesh` that the commit builds. It plays what the tests expect of every such home: an originator and one
executor; a job that writes `kept`, one that traps, one that runs, and one whose bid is in and whose window is open; then both
are killed. What that binary says of jobs and money, before it is killed, is kept beside the dump of its database.
"""
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

HOMES = pathlib.Path(__file__).resolve().parent.parent / "mesh/Tests/OldHomes"
STEP_SECONDS = 30


def modules(folder):
    """The three modules, as the oldest home has them."""
    database = sqlite3.connect(":memory:")
    database.executescript((HOMES / "ea6c709/originator/mesh.sql").read_text())
    names = {150: "say", 126: "trap", 138: "endless"}
    for (block,) in database.execute("SELECT bytes FROM blocks"):
        if block[:4] == b"\0asm":
            (folder / f"{names[len(block)]}.wasm").write_bytes(block)


class Node:
    def __init__(self, binary, folder, name, settings):
        self.binary, self.home, self.process = binary, folder / name, None
        self.mesh("init")
        self.configure(settings)

    def mesh(self, *arguments, check=True):
        done = subprocess.run(
            [self.binary, *arguments, "--home", self.home], capture_output=True, text=True, timeout=STEP_SECONDS)
        if check and done.returncode != 0:
            sys.exit(f"mesh {' '.join(map(str, arguments))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def json(self, *arguments):
        return json.loads(self.mesh(*arguments, "--json"))

    def configure(self, settings):
        path = self.home / "config.json"
        config = json.loads(path.read_text())
        for section, values in settings.items():
            if isinstance(values, dict):
                config.setdefault(section, {}).update(values)
            else:
                config[section] = values
        path.write_text(json.dumps(config, indent=2, sort_keys=True))

    def start(self):
        self.process = subprocess.Popen(
            [self.binary, "up", "--home", self.home], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: self.mesh("status", "--json", check=False), "a node is up")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def phase(self, job):
        return next(each["phase"] for each in self.json("jobs") if each["job_id"] == job)


def until(condition, what):
    end = time.monotonic() + STEP_SECONDS
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"not within {STEP_SECONDS} s: {what}")
        time.sleep(0.02)


def keep(node, target):
    """What a home is, as texts: the database as SQL with its number, and the files beside it that are no logs."""
    target.mkdir(parents=True)
    (target / "jobs.json").write_text(json.dumps(node.json("jobs"), indent=2, sort_keys=True) + "\n")
    wallet = node.json("wallet", "--entries", "1000")
    (target / "wallet.json").write_text(json.dumps(wallet, indent=2, sort_keys=True) + "\n")
    node.kill()
    for name in ("config.json", "identity.key"):
        shutil.copy(node.home / name, target / name)
    database = sqlite3.connect(node.home / "mesh.sqlite")
    numbers = [(name, database.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("application_id", "user_version")]
    dump = "".join(f"PRAGMA {name} = {number};\n" for name, number in numbers)
    (target / "mesh.sql").write_text(dump + "PRAGMA foreign_keys=OFF;\n" + "\n".join(database.iterdump()) + "\n")


def main():
    binary, commit = os.path.abspath(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory(prefix="mo-") as name:
        folder = pathlib.Path(name)
        modules(folder)
        (folder / "stdin").write_text("what went in\n")
        executor = Node(binary, folder, "executor", {
            "listen": ["/ip4/127.0.0.1/tcp/0"], "region": "eu-north", "executor": {"enabled": True, "price_base": 50}})
        executor.start()
        address = executor.json("status")["addresses"][0]
        originator = Node(binary, folder, "originator", {
            "listen": ["/ip4/127.0.0.1/tcp/0"], "bootstrap": [address], "executor": {"enabled": False},
            "originator": {"bid_window_ms": 20_000}})
        originator.start()
        until(lambda: originator.json("status")["connected_peers"] == 1, "the two are connected")

        def run(module, *options):
            sent = originator.mesh("run", folder / module, "--detach", "--json", *options)
            return json.loads(sent)["job_id"]

        first = run("say.wasm", "--stdin", folder / "stdin", "--idempotency-key", "old-said", "--sufficient-bids", "1")
        until(lambda: originator.phase(first) == "ReceiptAnchored", "the first job has ended")
        trapped = run("trap.wasm", "--sufficient-bids", "1")
        until(lambda: originator.phase(trapped) == "ReceiptAnchored", "the job that traps has ended")
        endless = run("endless.wasm", "--sufficient-bids", "1", "--max-fuel", "100000000000")
        until(lambda: originator.phase(endless) == "Running", "the third job runs")
        opened = run("say.wasm", "--sufficient-bids", "2")
        until(lambda: executor.phase(opened) == "BiddingOpen", "the bid of the fourth is in")
        keep(originator, HOMES / commit / "originator")
        keep(executor, HOMES / commit / "executor")


if __name__ == "__main__":
    main()
