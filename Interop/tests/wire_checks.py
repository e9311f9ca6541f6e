"""What our peer puts on the wire, read by a Noise implementation of its own: the handshake in all its variants.

go-libp2p offers early muxer negotiation and py-libp2p does not; here both are done by hand, so that it is visible which
bytes decide, and so are the dialers that lie.
"""
import asyncio
import os
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from noise.connection import Keypair, NoiseConnection

import go_peer
from checks import expect

YAMUX = "/yamux/1.0.0"
MULTISTREAM = "/multistream/1.0.0"
STATIC_KEY_PREFIX = b"noise-libp2p-static-key:"
READ_SECONDS = 10
FRAME_BYTES_MAX = 65_535
PING_TYPE, WINDOW_UPDATE_TYPE, SYN, ACK = 2, 1, 1, 2


class Wire:
    """One TCP connection, first in the clear, then encrypted."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.noise = None
        self.plain = b""

    async def exactly(self, count):
        if self.noise is None:
            return await asyncio.wait_for(self.reader.readexactly(count), READ_SECONDS)
        while len(self.plain) < count:
            self.plain += bytes(self.noise.decrypt(await self.frame()))
        data, self.plain = self.plain[:count], self.plain[count:]
        return data

    def send(self, data):
        if self.noise is None:
            self.writer.write(data)
        else:
            self.send_frame(self.noise.encrypt(data))

    async def frame(self):
        (length,) = struct.unpack(">H", await asyncio.wait_for(self.reader.readexactly(2), READ_SECONDS))
        return await asyncio.wait_for(self.reader.readexactly(length), READ_SECONDS)

    def send_frame(self, data):
        self.writer.write(struct.pack(">H", len(data)) + data)

    async def multistream(self):
        length = shift = 0
        while True:
            byte = (await self.exactly(1))[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                line = await self.exactly(length)
                expect(line.endswith(b"\n"), f"a multistream line without its end: {line!r}")
                return line[:-1].decode()

    def send_multistream(self, *lines):
        for line in lines:
            data = line.encode() + b"\n"
            self.send(go_peer.encode_varint(len(data)) + data)

    async def negotiate(self, protocol):
        """As the dialer: both sides say multistream, we propose, the other repeats it."""
        self.send_multistream(MULTISTREAM, protocol)
        expect(await self.multistream() == MULTISTREAM, "no multistream header")
        answer = await self.multistream()
        expect(answer == protocol, f"{protocol} was answered by {answer}")

    async def ended(self):
        """Reads until the other side closes; what it still sent is left out."""
        try:
            while await asyncio.wait_for(self.reader.read(1 << 16), READ_SECONDS):
                pass
        except ConnectionError:
            pass
        return True


def signed_payload(identity, static_key, muxers, signature=None):
    public = identity.public_key().public_bytes_raw()
    signature = signature or identity.sign(STATIC_KEY_PREFIX + static_key)
    extensions = go_peer.encode_message((2, list(muxers))) if muxers else None
    key = go_peer.encode_message((1, 1), (2, public))
    return go_peer.encode_message((1, key), (2, signature), (4, extensions))


def start_noise(initiator):
    static = X25519PrivateKey.generate()
    noise = NoiseConnection.from_name(b"Noise_XX_25519_ChaChaPoly_SHA256")
    noise.set_keypair_from_private_bytes(Keypair.STATIC, static.private_bytes_raw())
    (noise.set_as_initiator if initiator else noise.set_as_responder)()
    noise.start_handshake()
    return noise, static.public_key().public_bytes_raw()


async def dial(peer):
    _, _, host, _, port, *_ = peer.address.split("/")
    return Wire(*await asyncio.open_connection(host, int(port)))


async def handshake_as_dialer(wire, muxers, signature=None):
    """-> the muxers that the listener offered in its Noise extensions."""
    await wire.negotiate("/noise")
    noise, static_key = start_noise(initiator=True)
    wire.send_frame(noise.write_message())
    theirs = go_peer.decode_message(bytes(noise.read_message(await wire.frame())))
    identity = Ed25519PrivateKey.generate()
    wire.send_frame(noise.write_message(signed_payload(identity, static_key, muxers, signature)))
    wire.noise = noise
    extensions = go_peer.decode_message(theirs[4][0]) if 4 in theirs else {}
    return [name.decode() for name in extensions.get(2, [])]


def yamux_header(kind, flags, stream, length):
    return struct.pack(">BBHII", 0, kind, flags, stream, length)


async def yamux_ping(wire):
    """A Yamux PING is answered by one with ACK and the same value; other frames may come before it."""
    wire.send(yamux_header(PING_TYPE, SYN, 0, 0x1234))
    while True:
        _, kind, flags, stream, length = struct.unpack(">BBHII", await wire.exactly(12))
        if kind == PING_TYPE and flags & ACK and length == 0x1234:
            return
        if kind == PING_TYPE and flags & SYN:
            wire.send(yamux_header(PING_TYPE, ACK, 0, length))
        elif kind == 0:
            await wire.exactly(length)


async def listener_with_early_muxer(runner):
    """Both sides offer Yamux in the Noise extensions: Yamux starts at once, without multistream."""
    peer = await runner.start("mesh", 1101)
    try:
        wire = await dial(peer)
        offered = await handshake_as_dialer(wire, [YAMUX])
        expect(YAMUX in offered, f"our listener offers {offered}")
        await yamux_ping(wire)
    finally:
        await peer.stop()


async def listener_without_early_muxer(runner):
    """The dialer offers nothing: our listener negotiates Yamux by multistream."""
    peer = await runner.start("mesh", 1102)
    try:
        wire = await dial(peer)
        await handshake_as_dialer(wire, [])
        await wire.negotiate(YAMUX)
        await yamux_ping(wire)
    finally:
        await peer.stop()


async def listener_refuses_unknown_protocols(runner):
    """What go-ipfs proposes before the security protocol is answered `na`, and the next proposal counts."""
    peer = await runner.start("mesh", 1103)
    try:
        wire = await dial(peer)
        wire.send_multistream(MULTISTREAM, "/libp2p/simultaneous-connect")
        expect(await wire.multistream() == MULTISTREAM, "no multistream header")
        answer = await wire.multistream()
        expect(answer == "na", f"/libp2p/simultaneous-connect was answered by {answer}")
        wire.send_multistream("/noise")
        answer = await wire.multistream()
        expect(answer == "/noise", f"/noise was answered by {answer}")
    finally:
        await peer.stop()


async def listener_refuses_a_foreign_identity(runner):
    """A Noise payload whose signature is of another key ends the connection, and no peer appears."""
    peer = await runner.start("mesh", 1104)
    try:
        wire = await dial(peer)
        await handshake_as_dialer(wire, [YAMUX], signature=os.urandom(64))
        expect(await wire.ended(), "the connection stayed open")
        reply = await peer.do("peers")
        expect(reply["peers"] == [], f"the peer list is {reply['peers']}")
    finally:
        await peer.stop()


async def first_bytes_of_our_dialer(runner, seed, muxers):
    """Dials a listener made by hand -> (what it offered, its first 20 bytes after the handshake)."""
    peer = await runner.start("mesh", seed)
    identity = Ed25519PrivateKey.generate()
    outcome = asyncio.get_running_loop().create_future()

    async def listen(reader, writer):
        wire = Wire(reader, writer)
        try:
            expect(await wire.multistream() == MULTISTREAM, "no multistream header")
            wire.send_multistream(MULTISTREAM)
            while (proposed := await wire.multistream()) != "/noise":
                wire.send_multistream("na")
            wire.send_multistream(proposed)
            noise, static_key = start_noise(initiator=False)
            noise.read_message(await wire.frame())
            wire.send_frame(noise.write_message(signed_payload(identity, static_key, muxers)))
            theirs = go_peer.decode_message(bytes(noise.read_message(await wire.frame())))
            wire.noise = noise
            extensions = go_peer.decode_message(theirs[4][0]) if 4 in theirs else {}
            offered = [name.decode() for name in extensions.get(2, [])]
            outcome.set_result((offered, await wire.exactly(12)))
        except Exception as error:  # handed to the check, which runs elsewhere
            outcome.set_exception(error)

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    key = b"\x00\x24\x08\x01\x12\x20" + identity.public_key().public_bytes_raw()
    address = f"/ip4/127.0.0.1/tcp/{port}/p2p/{go_peer.encode_base58(key)}"
    connecting = asyncio.ensure_future(peer.do("connect", addr=address))
    try:
        return await asyncio.wait_for(outcome, READ_SECONDS)
    finally:
        server.close()
        await peer.stop()
        await asyncio.gather(connecting, return_exceptions=True)


async def dialer_with_early_muxer(runner):
    offered, first = await first_bytes_of_our_dialer(runner, 1105, [YAMUX])
    expect(YAMUX in offered, f"our dialer offers {offered}")
    version, kind, *_ = struct.unpack(">BBHII", first)
    expect(version == 0 and kind <= 3, f"no Yamux header comes first, but {first!r}")


async def dialer_without_early_muxer(runner):
    _, first = await first_bytes_of_our_dialer(runner, 1106, [])
    expect(first.startswith(b"\x13/multistrea"), f"no multistream header comes first, but {first!r}")


async def run_all(runner):
    cases = {
        "our listener, early muxer": listener_with_early_muxer,
        "our listener, no early muxer": listener_without_early_muxer,
        "our dialer, early muxer": dialer_with_early_muxer,
        "our dialer, no early muxer": dialer_without_early_muxer,
        "our listener answers na": listener_refuses_unknown_protocols,
        "our listener refuses a foreign identity": listener_refuses_a_foreign_identity,
    }
    for name, case in cases.items():
        await runner.check(f"wire: {name}", lambda case=case: case(runner))
