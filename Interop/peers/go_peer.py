#!/usr/bin/env python3
"""A go-libp2p peer: the `p2pd` daemon (go-libp2p 0.32) behind the JSON-lines front end of `peerlib.py`.

    python go_peer.py --seed 1 [--listen MULTIADDR] [--no-dht] [--log FILE] [p2pd options, e.g. -tls=false]

The first line on stdout is {"event":"ready","peer_id":..,"addrs":[..],"pid":..}. Then one request per line on stdin,
{"id":1,"cmd":"connect","addr":"/ip4/../tcp/../p2p/.."}, answered by {"id":1,"ok":true,..} or
{"id":1,"ok":false,"error":".."}; requests run side by side. Bytes are hex in fields ending in _hex, and may be given as
text without the suffix. Gossip messages and inbound streams are {"event":..} lines. End of input or "quit" ends it.

Commands: id connect disconnect peers ping subscribe unsubscribe publish topic-peers dht-put dht-get provide
find-providers find-peer handle-echo open-stream quit
"""
import argparse
import asyncio
import contextlib
import json
import os
import socket
import sys
import sysconfig
import tempfile
import time

LINE_BYTES_MAX = 1 << 26


# Protobuf, multiaddr and base58: the little of them that the daemon's control protocol needs.


def encode_varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode_varint(data, position):
    number = shift = 0
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, position


def encode_message(*fields):
    """encode_message((number, value), ..): an int is a varint, bytes and text are length-delimited, a list repeats."""
    out = b""
    for number, values in fields:
        for value in values if isinstance(values, list) else [values]:
            if value is None:
                continue
            if isinstance(value, int):
                out += encode_varint(number << 3) + encode_varint(value)
            else:
                value = value.encode() if isinstance(value, str) else value
                out += encode_varint(number << 3 | 2) + encode_varint(len(value)) + value
    return out


def decode_message(data):
    """-> {field number: [values]}"""
    fields, position = {}, 0
    while position < len(data):
        key, position = decode_varint(data, position)
        if key & 7 == 0:
            value, position = decode_varint(data, position)
        elif key & 7 == 2:
            length, position = decode_varint(data, position)
            value = data[position : position + length]
            position += length
        else:
            raise ValueError(f"wire type {key & 7}")
        fields.setdefault(key >> 3, []).append(value)
    return fields


BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def encode_base58(data):
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def decode_base58(text):
    number = 0
    for character in text:
        number = number * 58 + BASE58.index(character)
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


IP4, TCP, IP6, UDP, UNIX, P2P, QUIC_V1 = 4, 6, 41, 273, 400, 421, 461


def encode_multiaddr(text):
    out, parts = b"", iter(text.strip("/").split("/"))
    for name in parts:
        if name == "ip4":
            out += encode_varint(IP4) + socket.inet_aton(next(parts))
        elif name == "ip6":
            out += encode_varint(IP6) + socket.inet_pton(socket.AF_INET6, next(parts))
        elif name == "tcp":
            out += encode_varint(TCP) + int(next(parts)).to_bytes(2, "big")
        elif name == "p2p":
            peer = decode_base58(next(parts))
            out += encode_varint(P2P) + encode_varint(len(peer)) + peer
        elif name == "unix":
            path = ("/" + "/".join(parts)).encode()
            out += encode_varint(UNIX) + encode_varint(len(path)) + path
        else:
            raise ValueError(f"multiaddr component {name}")
    return out


def decode_multiaddr(data):
    text, position = "", 0
    while position < len(data):
        code, position = decode_varint(data, position)
        if code == IP4:
            text += "/ip4/" + socket.inet_ntoa(data[position : position + 4])
            position += 4
        elif code == IP6:
            text += "/ip6/" + socket.inet_ntop(socket.AF_INET6, data[position : position + 16])
            position += 16
        elif code in (TCP, UDP):
            port = int.from_bytes(data[position : position + 2], "big")
            text += ("/tcp/" if code == TCP else "/udp/") + str(port)
            position += 2
        elif code == QUIC_V1:
            text += "/quic-v1"
        elif code == P2P:
            length, position = decode_varint(data, position)
            text += "/p2p/" + encode_base58(data[position : position + length])
            position += length
        else:
            return text + "/?" + data[position:].hex()
    return text


def split_peer(address):
    base, _, peer = address.rpartition("/p2p/")
    return decode_base58(peer), encode_multiaddr(base) if base else b""


def write_key(seed, path):
    """An Ed25519 key from a small number, by the same rule in all peers: the number as 32 bytes, big-endian."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    raw = seed.to_bytes(32, "big")
    public = Ed25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()
    with open(path, "wb") as file:
        file.write(encode_message((1, 1), (2, raw + public)))


def find_daemon():
    folders = [sysconfig.get_path(kind) for kind in ("platlib", "purelib")]
    for path in [os.environ.get("P2PD", "")] + [f"{folder}/hivemind/hivemind_cli/p2pd" for folder in folders]:
        if path and os.path.exists(path):
            return path
    sys.exit("p2pd not found: pip install --no-deps -r requirements.txt, or set P2PD")


async def read_message(reader):
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return await reader.readexactly(length)


class DaemonError(Exception):
    """The daemon refused a request."""


# Request types of the daemon's control protocol, and of its DHT and pubsub requests.
IDENTIFY, CONNECT, STREAM_OPEN, STREAM_HANDLER, DHT, LIST_PEERS, DISCONNECT, PUBSUB = 0, 1, 2, 3, 4, 5, 7, 8
DHT_FIND_PEER, DHT_FIND_PROVIDERS, DHT_GET_VALUE, DHT_PUT_VALUE, DHT_PROVIDE = 0, 2, 5, 7, 8
PUBSUB_LIST_PEERS, PUBSUB_PUBLISH, PUBSUB_SUBSCRIBE = 1, 2, 3


class GoPeer:
    """One daemon process and its control socket; every request is a connection of its own."""

    def __init__(self):
        self.subscriptions = {}
        self.handlers = {}
        self.on_event = lambda event: None

    @classmethod
    async def start(cls, seed, listen, options, dht, log_path):
        self = cls()
        self.folder = tempfile.TemporaryDirectory(prefix="go-peer-")
        self.control_path = self.folder.name + "/control"
        self.inbound_path = self.folder.name + "/inbound"
        command = [
            *[find_daemon(), "-listen", "/unix" + self.control_path, "-hostAddrs", listen, "-natPortMap=false"],
            *["-pubsub", "-gossipsubHeartbeatInterval", "1s"],
            *(["-dhtServer"] if dht else []),
            *options,
        ]
        if seed is not None:
            write_key(seed, self.folder.name + "/key")
            command += ["-id", self.folder.name + "/key"]
        output = open(log_path, "ab") if log_path else asyncio.subprocess.DEVNULL
        self.process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
        )
        self.server = await asyncio.start_unix_server(self._inbound, path=self.inbound_path, limit=1 << 20)
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self.identify()
                return self
            if self.process.returncode is not None:
                raise DaemonError(f"p2pd ended with {self.process.returncode}")
            await asyncio.sleep(0.02)

    async def stop(self):
        self.server.close()
        if self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()
        self.folder.cleanup()

    async def _open(self, request):
        reader, writer = await asyncio.open_unix_connection(self.control_path, limit=1 << 20)
        writer.write(encode_varint(len(request)) + request)
        response = decode_message(await read_message(reader))
        if response.get(1, [0])[0] != 0:
            writer.close()
            reason = decode_message(response[2][0])[1][0].decode(errors="replace") if 2 in response else "refused"
            raise DaemonError(reason)
        return response, reader, writer

    async def _call(self, *fields):
        response, _, writer = await self._open(encode_message(*fields))
        writer.close()
        return response

    async def identify(self):
        identity = decode_message((await self._call((1, IDENTIFY)))[4][0])
        self.peer_id = encode_base58(identity[1][0])
        self.addresses = [decode_multiaddr(address) for address in identity.get(2, [])]

    async def connect(self, address, timeout=10):
        peer, base = split_peer(address)
        await self._call((1, CONNECT), (2, encode_message((1, peer), (2, base), (3, timeout))))

    async def disconnect(self, peer):
        await self._call((1, DISCONNECT), (7, encode_message((1, decode_base58(peer)))))

    async def peers(self):
        response = await self._call((1, LIST_PEERS))
        return [encode_base58(decode_message(peer)[1][0]) for peer in response.get(6, [])]

    async def open_stream(self, peer, protocols, timeout=10):
        """-> (reader, writer, agreed protocol); the control connection becomes the stream."""
        request = encode_message((1, decode_base58(peer)), (2, list(protocols)), (3, timeout))
        response, reader, writer = await self._open(encode_message((1, STREAM_OPEN), (3, request)))
        return reader, writer, decode_message(response[3][0])[3][0].decode()

    async def handle(self, protocol, handler):
        """Runs handler(reader, writer) for each inbound stream of `protocol`."""
        self.handlers[protocol] = handler
        request = encode_message((1, encode_multiaddr("/unix" + self.inbound_path)), (2, protocol), (3, 0))
        await self._call((1, STREAM_HANDLER), (4, request))

    async def _inbound(self, reader, writer):
        stream = decode_message(await read_message(reader))
        peer, protocol = encode_base58(stream[1][0]), stream[3][0].decode()
        self.on_event({"event": "stream", "peer": peer, "proto": protocol})
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self.handlers[protocol](reader, writer)
        writer.close()

    async def ping(self, peer, count):
        reader, writer, _ = await self.open_stream(peer, ["/ipfs/ping/1.0.0"])
        round_trips = []
        for _ in range(count):
            payload = os.urandom(32)
            started = time.perf_counter()
            writer.write(payload)
            if await reader.readexactly(32) != payload:
                raise DaemonError("the ping came back with other bytes")
            round_trips.append((time.perf_counter() - started) * 1e3)
        writer.close()
        return round_trips

    async def subscribe(self, topic, on_message):
        request = encode_message((1, PUBSUB_SUBSCRIBE), (2, topic))
        _, reader, writer = await self._open(encode_message((1, PUBSUB), (8, request)))

        async def pump():
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    on_message(decode_message(await read_message(reader)))

        self.subscriptions[topic] = (asyncio.ensure_future(pump()), writer)

    def unsubscribe(self, topic):
        task, writer = self.subscriptions.pop(topic)
        task.cancel()
        writer.close()

    async def publish(self, topic, data):
        await self._call((1, PUBSUB), (8, encode_message((1, PUBSUB_PUBLISH), (2, topic), (3, data))))

    async def topic_peers(self, topic):
        response = await self._call((1, PUBSUB), (8, encode_message((1, PUBSUB_LIST_PEERS), (2, topic))))
        return [encode_base58(peer) for peer in decode_message(response.get(7, [b""])[0]).get(2, [])]

    async def dht(self, kind, timeout=20, peer=None, cid=None, key=None, value=None, count=None):
        """-> the responses, decoded; look-ups answer with a begin, one message per find, and an end."""
        fields = encode_message((1, kind), (2, peer), (3, cid), (4, key), (5, value), (6, count), (7, timeout))
        response, reader, writer = await self._open(encode_message((1, DHT), (5, fields)))
        found = [decode_message(message) for message in response.get(5, [])]
        if found and found[0].get(1, [0])[0] == 0:
            found = []
            while (message := decode_message(await read_message(reader)))[1][0] != 2:
                found.append(message)
        writer.close()
        return found


# The JSON-lines front end.


def bytes_of(request, name):
    return bytes.fromhex(request[name + "_hex"]) if name + "_hex" in request else request[name].encode()


def peer_information(message):
    return {
        "id": encode_base58(message[1][0]),
        "addrs": [decode_multiaddr(address) for address in message.get(2, [])],
    }


async def echo(reader, writer):
    while data := await reader.read(1 << 18):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def stream_command(peer, request):
    """Sends data and reads it back: `read_n` bytes of it, for the daemon cannot half-close a stream."""
    protocols = [request["proto"]] if isinstance(request["proto"], str) else request["proto"]
    reader, writer, protocol = await peer.open_stream(request["peer"], protocols)
    writer.write(bytes_of(request, "data"))
    data = await asyncio.wait_for(reader.readexactly(request["read_n"]), request.get("timeout", 20))
    writer.close()
    return {"proto": protocol, "data_hex": data.hex()}


async def gossip_command(peer, name, request, emit):
    topic = request["topic"]
    if name == "subscribe":

        def on_message(message):
            source = encode_base58(message[1][0]) if 1 in message else None
            data = message.get(2, [b""])[0]
            emit({"event": "message", "topic": topic, "from": source, "data_hex": data.hex(), "signed": 5 in message})

        await peer.subscribe(topic, on_message)
    elif name == "unsubscribe":
        peer.unsubscribe(topic)
    elif name == "publish":
        await peer.publish(topic, bytes_of(request, "data"))
    elif name == "topic-peers":
        return {"peers": await peer.topic_peers(topic)}
    return {}


async def dht_command(peer, name, request):
    timeout = request.get("timeout", 10)
    if name == "dht-put":
        await peer.dht(DHT_PUT_VALUE, key=bytes_of(request, "key"), value=bytes_of(request, "value"), timeout=timeout)
    elif name == "dht-get":
        found = await peer.dht(DHT_GET_VALUE, key=bytes_of(request, "key"), timeout=timeout)
        return {"value_hex": found[0][3][0].hex()}
    elif name == "provide":
        await peer.dht(DHT_PROVIDE, cid=bytes_of(request, "cid"), timeout=timeout)
    elif name == "find-providers":
        cid, count = bytes_of(request, "cid"), request.get("count", 20)
        found = await peer.dht(DHT_FIND_PROVIDERS, cid=cid, count=count, timeout=timeout)
        return {"providers": [peer_information(decode_message(message[2][0])) for message in found]}
    elif name == "find-peer":
        found = await peer.dht(DHT_FIND_PEER, peer=decode_base58(request["peer"]), timeout=timeout)
        return {"peer": peer_information(decode_message(found[0][2][0]))}
    return {}


async def command(peer, request, emit):
    name = request["cmd"]
    if name == "id":
        await peer.identify()
        return {"peer_id": peer.peer_id, "addrs": peer.addresses}
    if name == "connect":
        await peer.connect(request["addr"])
        return {}
    if name == "disconnect":
        await peer.disconnect(request["peer"])
        return {}
    if name == "peers":
        return {"peers": await peer.peers()}
    if name == "ping":
        return {"rtt_ms": await peer.ping(request["peer"], request.get("count", 1))}
    if name == "handle-echo":
        await peer.handle(request["proto"], echo)
        return {}
    if name == "open-stream":
        return await stream_command(peer, request)
    if name in ("subscribe", "unsubscribe", "publish", "topic-peers"):
        return await gossip_command(peer, name, request, emit)
    if name in ("dht-put", "dht-get", "provide", "find-providers", "find-peer"):
        return await dht_command(peer, name, request)
    raise ValueError(f"unknown command {name}")


async def serve(arguments, options):
    def emit(message):
        print(json.dumps(message), flush=True)

    peer = await GoPeer.start(arguments.seed, arguments.listen, options, not arguments.no_dht, arguments.log)
    peer.on_event = emit
    emit({"event": "ready", "peer_id": peer.peer_id, "addrs": peer.addresses, "pid": peer.process.pid})
    requests = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)

    async def answer(request):
        try:
            emit({"id": request.get("id"), "ok": True, **await command(peer, request, emit)})
        except Exception as error:  # the other side of the pipe is told, whatever it was
            emit({"id": request.get("id"), "ok": False, "error": f"{type(error).__name__}: {error}"})

    running = set()
    while line := await requests.readline():
        request = json.loads(line)
        if request["cmd"] == "quit":
            break
        task = asyncio.ensure_future(answer(request))
        running.add(task)
        task.add_done_callback(running.discard)
    await peer.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int)
    parser.add_argument("--listen", default="/ip4/127.0.0.1/tcp/0")
    parser.add_argument("--no-dht", action="store_true")
    parser.add_argument("--log")
    asyncio.run(serve(*parser.parse_known_args()))


if __name__ == "__main__":
    main()
