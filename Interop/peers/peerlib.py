"""Drives one interop peer as a child process: JSON requests on its stdin, JSON replies and events on its stdout.

The peers (`go_peer.py`, `py_peer.py` and our own `mesh-peer`) have the same front end, so a test is written once and
run against any pair of them.
"""
import asyncio
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
START_SECONDS = 40
STOP_SECONDS = 8
LINE_BYTES_MAX = 1 << 26


class PeerFailure(Exception):
    """The peer answered ok:false, or is gone."""


class Peer:
    """One running peer; `identifier` is its PeerID and `address` where it listens, with /p2p at the end."""

    @classmethod
    async def start(cls, command, log_path):
        self = cls()
        self._log = open(log_path, "wb")
        self._process = await asyncio.create_subprocess_exec(
            *map(str, command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._log,
            limit=LINE_BYTES_MAX,
        )
        self._requests = 0
        self._pending = {}
        self._events = []
        self._changed = asyncio.Condition()
        self._reader = asyncio.ensure_future(self._read())
        try:
            ready = await self.event("ready", timeout=START_SECONDS)
        except BaseException:
            await self.stop()
            raise
        self.identifier = ready["peer_id"]
        self.addresses = [f"{address}/p2p/{self.identifier}" for address in ready["addrs"] if "/tcp/" in address]
        self.address = self.addresses[0]
        self.process_id = ready.get("pid", self._process.pid)
        return self

    async def _read(self):
        while line := await self._process.stdout.readline():
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if "event" in message:
                async with self._changed:
                    self._events.append(message)
                    self._changed.notify_all()
            elif message.get("id") in self._pending:
                self._pending.pop(message["id"]).set_result(message)
        for future in self._pending.values():
            future.set_exception(PeerFailure("the peer closed its output"))

    async def do(self, command, timeout=30, **arguments):
        """Sends one request and returns its reply; raises PeerFailure when the peer says no."""
        reply = self.start_request(command, **arguments)
        await self._process.stdin.drain()
        return await self.finish(reply, timeout)

    def start_request(self, command, **arguments):
        """Sends one request; `finish` waits for its reply."""
        self._requests += 1
        reply = self._pending[self._requests] = asyncio.get_running_loop().create_future()
        request = {"id": self._requests, "cmd": command, **arguments}
        self._process.stdin.write((json.dumps(request) + "\n").encode())
        return reply

    async def finish(self, reply, timeout=30):
        """The reply to a request that `start_request` sent."""
        message = await asyncio.wait_for(reply, timeout)
        if not message["ok"]:
            raise PeerFailure(message["error"])
        return message

    async def event(self, kind, timeout=15, **wanted):
        """The oldest event of this kind and these values that nobody took yet."""

        def take():
            for index, message in enumerate(self._events):
                if message["event"] == kind and all(message.get(key) == value for key, value in wanted.items()):
                    return self._events.pop(index)
            return None

        async def wait():
            async with self._changed:
                while (found := take()) is None:
                    await self._changed.wait()
                return found

        return await asyncio.wait_for(wait(), timeout)

    async def until(self, command, accepts, timeout=15, **arguments):
        """Repeats a request until `accepts(reply)`: for states of a peer that it does not announce."""
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            reply = await self.do(command, **arguments)
            if accepts(reply):
                return reply
            if asyncio.get_running_loop().time() > deadline:
                raise PeerFailure(f"{command} never became what was waited for; at the end it was {reply}")
            await asyncio.sleep(0.02)

    async def stop(self):
        """Ends the peer, by force when it does not go by itself."""
        if self._process.returncode is None:
            try:
                self._process.stdin.write(b'{"cmd":"quit"}\n')
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
            except (asyncio.TimeoutError, ConnectionError):
                self._process.kill()
                await self._process.wait()
        self._reader.cancel()
        self._log.close()


def python_peer(script, *arguments):
    """The command line of a peer that is a script beside this file."""
    return [sys.executable, os.path.join(HERE, script), *arguments]
