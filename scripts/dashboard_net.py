"""A devnet to look at in a browser, and the Python packages that this takes (used by dashboard-check.py and -bench.py)."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

root = pathlib.Path(__file__).resolve().parent.parent
packages = ["websocket-client==1.9.2", "pillow==13.0.0", "axe-core-python==0.1.0"]


def within_venv():
    """Goes on in an environment that has the packages."""
    home = root / ".build" / "dashboard-venv"
    python = home / "bin" / "python"
    if pathlib.Path(sys.prefix).resolve() == home.resolve():
        return
    if not (home / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "-q", "install", *packages], check=True)
        (home / "ready").touch()
    os.execv(str(python), [str(python), *sys.argv])


class Net:
    """A devnet whose first two nodes listen for browsers: one that only asks, and an executor."""

    def __init__(self, program, settings=None):
        """`settings` are further ones, by the number of the node and the part of its file, of a function of all DIDs."""
        self.program = program
        self.folder = tempfile.TemporaryDirectory(prefix="dashboard-net-")
        self.base = pathlib.Path(self.folder.name)
        self.start()
        further = settings([self.did(index) for index in range(4)]) if settings else {}
        self.stop()
        for index in range(4):
            path = self.base / f"node-{index}" / "config.json"
            config = json.loads(path.read_text())
            if index < 2:
                config["api"] = {"listen": "127.0.0.1:0"}
            for part, values in further.get(index, {}).items():
                config[part] = {**(config.get(part) or {}), **values}
            path.write_text(json.dumps(config))
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "devnet", "--nodes", "4", "--base-dir", str(self.base)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for line in self.process.stdout:
            if line.startswith("Ctrl-C"):
                return
        raise RuntimeError("the devnet did not start")

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def mesh(self, *arguments, node=0, check=True, data=b""):
        done = subprocess.run(
            [self.program, *arguments, "--home", str(self.base / f"node-{node}")], input=data, capture_output=True
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"mesh {' '.join(arguments)}: {done.stderr.decode()}")
        return done.stdout.decode()

    def answers(self, node=0):
        home = str(self.base / f"node-{node}")
        return subprocess.run([self.program, "status", "--home", home], capture_output=True).returncode == 0

    def did(self, node):
        return json.loads(self.mesh("status", "--json", node=node))["did"]

    def link(self, node=0, *options):
        return json.loads(self.mesh("dashboard", "--json", *options, node=node))["url"]

    def close(self):
        self.stop()
        self.folder.cleanup()
