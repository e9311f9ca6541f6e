"""The interop tests: our peer, dialing and being dialed, against libp2p implementations that nobody here wrote.

    Interop/run.sh [--only WORD] [--subject mesh|py|go] [--keep-logs]

Prints one PASS or FAIL line per check and ends with `N passed, N failed` on a line of its own; the exit code is 1 when
a check failed. A check fails by an exception that says what was seen. `--subject py` puts another peer in our place, to
see whether the tests themselves hold between two foreign implementations.
"""
import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "Interop", "peers"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import checks  # noqa: E402  (the folders above have to be known first)
import link_checks  # noqa: E402
import mdns_checks  # noqa: E402
import peerlib  # noqa: E402
import triangle_checks  # noqa: E402
import wire_checks  # noqa: E402

CHECK_SECONDS = 60


class Runner:
    """Runs checks one after another, prints their verdicts and counts them."""

    def __init__(self, only, logs):
        self.only = only
        self.logs = logs
        self.passed = 0
        self.failed = 0
        self.sessions = 0

    def wants(self, name):
        return self.only is None or self.only in name

    async def check(self, name, body):
        if not self.wants(name):
            return
        started = time.monotonic()
        try:
            await asyncio.wait_for(body(), CHECK_SECONDS)
        except Exception as error:  # the verdict of any failure is FAIL, with what it said
            self.failed += 1
            reason = f"{type(error).__name__}: {error}"[:600]
            print(f"FAIL {name} ({time.monotonic() - started:.2f} s): {reason}", flush=True)
        else:
            self.passed += 1
            print(f"PASS {name} ({time.monotonic() - started:.2f} s)", flush=True)

    async def re_raise(self, error):
        """The body of a check for what went wrong outside of any check."""
        raise error

    async def start(self, kind, seed, *options, within=None):
        """Starts a peer, in a network namespace if one is named."""
        self.sessions += 1
        log = os.path.join(self.logs, f"{self.sessions:02}-{kind}.log")
        place = ["ip", "netns", "exec", within] if within else []
        return await peerlib.Peer.start([*place, *command_of(kind, seed, *options)], log)


def command_of(kind, seed, *options):
    """How each kind of peer is started, all on the same DHT (`/ipfs/kad/1.0.0`)."""
    if kind == "go":
        return peerlib.python_peer("go_peer.py", "--seed", seed, *options)
    if kind == "py":
        return peerlib.python_peer("py_peer.py", "--seed", seed, "--dht-prefix", "/ipfs", *options)
    if kind == "kubo":
        return peerlib.python_peer("kubo_peer.py", "--seed", seed, *options)
    binary = os.environ.get("MESH_PEER", os.path.join(ROOT, ".build", "debug", "mesh-peer"))
    return [binary, "--seed", seed, "--dht-protocol", "/ipfs/kad/1.0.0", *options]


async def session(runner, subject, other, dialer, listen):
    """One pair of fresh peers and every check between them; `dialer` tells who opens the connection."""
    label = f"{subject} dials {other}" if dialer == subject else f"{other} dials {subject}"
    label += " over IPv6" if "ip6" in listen else ""
    if not any(runner.wants(name) for name in checks.names(label, subject, other)):
        return
    peers = []
    try:
        for kind, seed in ((subject, 1001), (other, 1002)):
            peers.append(await runner.start(kind, seed, "--listen", listen))
        await checks.run_all(runner, label, (subject, other), peers, subject_dials=dialer == subject)
    except Exception as error:  # a peer that does not start fails the session, not the run
        await runner.check(f"{label}: session", lambda error=error: runner.re_raise(error))
    finally:
        for peer in peers:
            await peer.stop()


async def run(arguments):
    logs = tempfile.mkdtemp(prefix="mesh-interop-")
    runner = Runner(arguments.only, logs)
    subject = arguments.subject
    for other in ("go", "py"):
        if other == subject:
            continue
        for dialer in (subject, other):
            await session(runner, subject, other, dialer, "/ip4/127.0.0.1/tcp/0")
        await session(runner, subject, other, subject, "/ip6/::1/tcp/0")
    if subject == "mesh":
        await mdns_checks.run_all(runner)
        await link_checks.run_all(runner)
        await triangle_checks.run_all(runner)
        await wire_checks.run_all(runner)
    print(f"{runner.passed} passed, {runner.failed} failed", flush=True)
    if runner.failed or arguments.keep_logs:
        print(f"The peers' own output is in {logs}", file=sys.stderr)
    else:
        shutil.rmtree(logs)
    return 1 if runner.failed or not runner.passed else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", help="run only the checks with this word in their name")
    parser.add_argument("--subject", default="mesh", choices=["mesh", "py", "go"], help="the peer in our place")
    parser.add_argument("--keep-logs", action="store_true", help="keep the peers' output after a success too")
    sys.exit(asyncio.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
