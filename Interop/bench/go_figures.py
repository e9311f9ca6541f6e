"""The figures of go-libp2p, daemon to daemon: blocking sockets, because an event loop would be what is measured.

Two unix-socket copies between the daemon and this process stand in each path of bytes that our own peer does not have.
"""
import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

import go_peer
from go_peer import encode_message, encode_varint

NOISE_ONLY = ["-tls=false"]
CHUNK_BYTES = 1 << 20

# Counts the bytes of each stream in a process of its own: eight bytes tell how many follow.
SINK = r"""
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(8)
print("up", flush=True)
buffer = bytearray(1 << 20)
while True:
    stream, _ = server.accept()
    length = shift = 0
    while True:
        byte = stream.recv(1)[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    while length:
        length -= len(stream.recv(length))
    wanted, got = int.from_bytes(stream.recv(8, socket.MSG_WAITALL), "big"), 0
    while got < wanted:
        count = stream.recv_into(buffer)
        if not count:
            break
        got += count
    stream.sendall(got.to_bytes(8, "big"))
    stream.close()
"""

# Receives gossip in a process of its own and prints how long each message was under way, in milliseconds.
RECEIVER = r"""
import json, socket, struct, sys, time
sys.path.insert(0, sys.argv[2])
from go_peer import decode_message, encode_message, encode_varint
control = socket.socket(socket.AF_UNIX)
control.connect(sys.argv[1])
request = encode_message((1, 8), (8, encode_message((1, 3), (2, sys.argv[3]))))
control.sendall(encode_varint(len(request)) + request)
stream = control.makefile("rb", 1 << 20)
def message():
    length = shift = 0
    while True:
        byte = stream.read(1)[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return stream.read(length)
message()
print("up", flush=True)
under_way = []
while len(under_way) < int(sys.argv[4]):
    data = decode_message(message())[2][0]
    under_way.append((time.monotonic() - struct.unpack_from(">d", data)[0]) * 1e3)
print(json.dumps(under_way), flush=True)
"""


class Control:
    """One blocking connection to a daemon's control socket; after opening a stream it is the stream."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)

    def exactly(self, count):
        data = bytearray()
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise EOFError("the daemon closed the connection")
            data += part
        return bytes(data)

    def message(self):
        length = shift = 0
        while True:
            byte = self.exactly(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return self.exactly(length)

    def send(self, request):
        self.socket.sendall(encode_varint(len(request)) + request)

    def call(self, *fields):
        self.send(encode_message(*fields))
        response = go_peer.decode_message(self.message())
        if response.get(1, [0])[0]:
            raise go_peer.DaemonError(go_peer.decode_message(response[2][0])[1][0].decode())
        return response

    def open_stream(self, peer, protocol):
        request = encode_message((1, go_peer.decode_base58(peer)), (2, protocol), (3, 10))
        self.call((1, go_peer.STREAM_OPEN), (3, request))
        return self


async def start_pair(seed):
    pair = []
    for offset in range(2):
        peer = await go_peer.GoPeer.start(seed + offset, "/ip4/127.0.0.1/tcp/0", NOISE_ONLY, False, None)
        pair.append(peer)
    await pair[0].connect(f"{pair[1].addresses[0]}/p2p/{pair[1].peer_id}")
    return pair


async def bulk(count, runs):
    """MB/s of one stream."""
    left, right = await start_pair(41)
    path = right.folder.name + "/sink"
    sink = subprocess.Popen([sys.executable, "-c", SINK, path], stdout=subprocess.PIPE)
    try:
        sink.stdout.readline()
        handler = encode_message((1, go_peer.encode_multiaddr("/unix" + path)), (2, "/sink/1"), (3, 0))
        Control(right.control_path).call((1, go_peer.STREAM_HANDLER), (4, handler))
        chunk, figures = bytes(CHUNK_BYTES), []
        for _ in range(runs):
            stream = Control(left.control_path).open_stream(right.peer_id, "/sink/1")
            started = time.perf_counter()
            stream.socket.sendall(count.to_bytes(8, "big"))
            for _ in range(count // CHUNK_BYTES):
                stream.socket.sendall(chunk)
            if int.from_bytes(stream.exactly(8), "big") != count:
                raise RuntimeError("the sink counted another number of bytes")
            figures.append(count / (time.perf_counter() - started) / 1e6)
        return figures
    finally:
        sink.kill()
        sink.wait()
        await left.stop()
        await right.stop()


async def connects(count):
    """Milliseconds of each connect with identify, and connects per second with the disconnects between them."""
    left, right = await start_pair(43)
    try:
        control = Control(left.control_path)
        peer, base = go_peer.split_peer(f"{right.addresses[0]}/p2p/{right.peer_id}")
        connect = ((1, go_peer.CONNECT), (2, encode_message((1, peer), (2, base), (3, 10))))
        disconnect = ((1, go_peer.DISCONNECT), (7, encode_message((1, peer))))
        control.call(*disconnect)
        milliseconds, started = [], time.perf_counter()
        for _ in range(count):
            attempt = time.perf_counter()
            control.call(*connect)
            milliseconds.append((time.perf_counter() - attempt) * 1e3)
            control.call(*disconnect)
        return milliseconds, count / (time.perf_counter() - started)
    finally:
        await left.stop()
        await right.stop()


async def round_trips(count, streams, size):
    """Round trips per second of `size` bytes over so many streams at once; the echo is this process."""
    left, right = await start_pair(45)
    try:
        async def echo(reader, writer):
            while data := await reader.read(1 << 16):
                writer.write(data)

        await right.handle("/echo/1", echo)
        controls = []
        for _ in range(streams):
            controls.append(await asyncio.to_thread(Control(left.control_path).open_stream, right.peer_id, "/echo/1"))
        payload = bytes(size)

        def turn(stream):
            for _ in range(count):
                stream.socket.sendall(payload)
                stream.exactly(size)

        threads = [threading.Thread(target=turn, args=(stream,)) for stream in controls]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in threads))
        return count * streams / (time.perf_counter() - started)
    finally:
        await left.stop()
        await right.stop()


async def gossip(count, rate, size):
    """Milliseconds from publish to delivery."""
    left, right = await start_pair(47)
    folder = os.path.dirname(os.path.abspath(go_peer.__file__))
    receiver = subprocess.Popen(
        [sys.executable, "-c", RECEIVER, right.control_path, folder, "figures", str(count)], stdout=subprocess.PIPE
    )
    try:
        receiver.stdout.readline()
        while right.peer_id not in await left.topic_peers("figures"):
            await asyncio.sleep(0.02)
        control, padding = Control(left.control_path), bytes(size - 8)
        started = time.monotonic()
        for index in range(count):
            time.sleep(max(0, started + index / rate - time.monotonic()))
            data = struct.pack(">d", time.monotonic()) + padding
            message = encode_message((1, go_peer.PUBSUB_PUBLISH), (2, "figures"), (3, data))
            control.call((1, go_peer.PUBSUB), (8, message))
        return json.loads(receiver.stdout.readline())
    finally:
        receiver.kill()
        receiver.wait()
        await left.stop()
        await right.stop()
