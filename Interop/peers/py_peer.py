#!/usr/bin/env python3
"""A py-libp2p 0.8.1 peer behind the JSON-lines front end of `peerlib.py`; see `go_peer.py` for the lines.

    python py_peer.py --seed 2 [--listen MULTIADDR] [--dht-prefix /ipfs] [--mdns] [--log-level DEBUG]

Commands: id connect disconnect peers conn identify ping subscribe unsubscribe publish topic-peers dht-add-peer
dht-validator dht-put dht-get provide find-providers find-peer handle-echo open-stream add-block bitswap-get mdns-peers quit
"""
import argparse
import base64
import functools
import hashlib
import json
import logging
import os
import sys

import multiaddr
import trio
from libp2p import create_yamux_muxer_option, new_host
from libp2p.bitswap import BitswapClient
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.discovery.mdns import mdns
from libp2p.host.ping import PingService
from libp2p.identity.identify.identify import parse_identify_response
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.records.validator import Validator
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.tools.anyio_service import background_trio_service

GOSSIP_PROTOCOLS = [TProtocol(name) for name in ("/meshsub/1.1.0", "/meshsub/1.0.0", "/floodsub/1.0.0")]
RAW_SHA256 = b"\x01\x55\x12\x20"


class AcceptAnything(Validator):
    """For DHT namespaces whose values this peer only carries."""

    def validate(self, key, value):
        pass

    def select(self, key, values):
        return 0


def emit(message):
    print(json.dumps(message), flush=True)


def bytes_of(request, name):
    return bytes.fromhex(request[name + "_hex"]) if name + "_hex" in request else request[name].encode()


def cid_of(request):
    return bytes.fromhex(request["cid_hex"]) if "cid_hex" in request else request["cid"]


def cid_text(cid):
    return "b" + base64.b32encode(cid).decode().lower().rstrip("=")


def peer_information(info):
    return {"id": str(info.peer_id), "addrs": [str(address) for address in info.addrs]}


def is_end(error):
    """py-libp2p tells the end of a stream by exceptions of several modules."""
    return "EOF" in type(error).__name__ or "Closed" in type(error).__name__


async def read_all(stream, count=None):
    """Reads `count` bytes, or all up to the end."""
    data = bytearray()
    while count is None or len(data) < count:
        try:
            part = await stream.read(1 << 16 if count is None else count - len(data))
        except Exception as error:
            if is_end(error):
                break
            raise
        if not part:
            break
        data += part
    return bytes(data)


async def echo(stream):
    try:
        while data := await stream.read(1 << 16):
            await stream.write(data)
    except Exception as error:
        if not is_end(error):
            raise
    await stream.close()


class PyPeer:
    """One host with gossip, DHT and Bitswap."""

    def __init__(self, arguments):
        self.arguments = arguments
        seed = arguments.seed if arguments.seed is not None else int.from_bytes(os.urandom(31), "big")
        key_pair = create_new_key_pair(seed.to_bytes(32, "big"))
        if arguments.mdns:  # on loopback alone, and not through the interface that leads to the internet
            mdns.Zeroconf = functools.partial(mdns.Zeroconf, interfaces=["127.0.0.1"])
        self.host = new_host(
            key_pair=key_pair,
            sec_opt={NOISE: NoiseTransport(key_pair, noise_privkey=create_noise_key_pair().private_key)},
            muxer_opt=create_yamux_muxer_option(),
            enable_mDNS=arguments.mdns,
            listen_addrs=[multiaddr.Multiaddr(arguments.listen)],
        )
        self.router = GossipSub(
            protocols=GOSSIP_PROTOCOLS,
            degree=6,
            degree_low=4,
            degree_high=12,
            heartbeat_initial_delay=0.1,
            heartbeat_interval=1,
            spam_protection_enabled=False,
            max_messages_per_topic_per_second=1e9,
        )
        self.pubsub = Pubsub(self.host, self.router, strict_signing=True)

    async def run(self):
        listen = [multiaddr.Multiaddr(self.arguments.listen)]
        async with self.host.run(listen_addrs=listen), trio.open_nursery() as nursery:
            self.nursery = nursery
            self.bitswap = BitswapClient(self.host)
            self.bitswap.set_nursery(nursery)
            await self.bitswap.start()
            self.dht = KadDHT(self.host, DHTMode.SERVER, protocol_prefix=TProtocol(self.arguments.dht_prefix))
            async with background_trio_service(self.pubsub), background_trio_service(self.router):
                await self.pubsub.wait_until_ready()
                async with background_trio_service(self.dht):
                    await self.serve()
            await self.bitswap.stop()
            nursery.cancel_scope.cancel()

    async def serve(self):
        addresses = [str(address).split("/p2p/")[0] for address in self.host.get_addrs()]
        emit({"event": "ready", "peer_id": str(self.host.get_id()), "addrs": addresses, "pid": os.getpid()})
        rest = b""
        async with trio.lowlevel.FdStream(os.dup(0)) as requests:
            while chunk := await requests.receive_some(1 << 16):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in filter(None, map(bytes.strip, lines)):
                    request = json.loads(line)
                    if request["cmd"] == "quit":
                        return
                    self.nursery.start_soon(self.answer, request)

    async def answer(self, request):
        try:
            with trio.fail_after(request.get("timeout", 30)):
                reply = await self.command(request["cmd"], request)
            emit({"id": request.get("id"), "ok": True, **(reply or {})})
        except Exception as error:  # the other side of the pipe is told, whatever it was
            emit({"id": request.get("id"), "ok": False, "error": f"{type(error).__name__}: {error}"})

    async def command(self, name, request):
        peer = ID.from_string(request["peer"]) if "peer" in request else None
        if name in ("subscribe", "unsubscribe", "publish", "topic-peers"):
            return await self.gossip_command(name, request)
        if name.startswith("dht-") or name in ("provide", "find-providers", "find-peer"):
            return await self.dht_command(name, request, peer)
        if name in ("add-block", "bitswap-get"):
            return await self.block_command(name, request, peer)
        if name in ("handle-echo", "open-stream"):
            return await self.stream_command(name, request, peer)
        return await self.host_command(name, request, peer)

    async def host_command(self, name, request, peer):
        host = self.host
        if name == "id":
            return {"peer_id": str(host.get_id()), "addrs": [str(address) for address in host.get_addrs()]}
        if name == "connect":
            return await host.connect(info_from_p2p_addr(multiaddr.Multiaddr(request["addr"])))
        if name == "mdns-peers":
            own = host.get_id()
            return {"peers": [str(peer) for peer in host.get_peerstore().peers_with_addrs() if peer != own]}
        if name == "disconnect":
            return await host.disconnect(peer)
        if name == "peers":
            return {"peers": [str(other) for other in host.get_network().connections]}
        if name == "conn":  # what was negotiated
            connections = host.get_network().connections[peer]
            connection = (connections if isinstance(connections, list) else [connections])[0].muxed_conn
            secured = type(getattr(connection, "secured_conn", None)).__name__
            return {"muxer": type(connection).__name__, "secure": secured}
        if name == "identify":
            return await self.identify(peer)
        if name == "ping":
            return {"rtt_ms": await PingService(host).ping(peer, request.get("count", 1))}
        raise ValueError(f"unknown command {name}")

    async def identify(self, peer):
        stream = await self.host.new_stream(peer, [TProtocol("/ipfs/id/1.0.0")])
        answer = parse_identify_response(await read_all(stream))
        await stream.close()
        observed = str(multiaddr.Multiaddr(answer.observed_addr)) if answer.observed_addr else None
        return {
            "agent": answer.agent_version,
            "protocol_version": answer.protocol_version,
            "protocols": list(answer.protocols),
            "listen": [str(multiaddr.Multiaddr(address)) for address in answer.listen_addrs],
            "observed": observed,
            "public_key_hex": answer.public_key.hex(),
            "signed_record_hex": answer.signedPeerRecord.hex(),
        }

    async def pump(self, topic, subscription):
        async for message in subscription:
            source = str(ID(message.from_id)) if message.from_id else None
            signed = bool(message.signature)
            emit({"event": "message", "topic": topic, "from": source, "data_hex": message.data.hex(), "signed": signed})

    async def greetings_over(self):
        """A subscription made while py greets a peer is in neither its hello nor its later messages, so the peer never
        learns of it: wait until every connected peer was greeted."""
        while any(peer not in self.pubsub.peers for peer in self.host.get_network().connections):
            await trio.sleep(0.005)

    async def gossip_command(self, name, request):
        topic = request["topic"]
        if name == "subscribe":
            await self.greetings_over()
            self.nursery.start_soon(self.pump, topic, await self.pubsub.subscribe(topic))
        elif name == "unsubscribe":
            await self.pubsub.unsubscribe(topic)
        elif name == "publish":
            await self.pubsub.publish(topic, bytes_of(request, "data"))
        elif name == "topic-peers":
            subscribed = [str(peer) for peer in self.pubsub.peer_topics.get(topic, ())]
            return {"peers": subscribed, "mesh": [str(peer) for peer in self.router.mesh.get(topic, ())]}

    async def dht_command(self, name, request, peer):
        dht = self.dht
        if name == "dht-add-peer":  # a connected peer into the routing table, without waiting for identify
            return {"added": await dht.add_peer(peer, skip_server_mode_check=True)}
        if name == "dht-validator":
            return dht.register_validator(request["ns"], AcceptAnything())
        if name == "dht-put":
            return await dht.put_value(request["key"], bytes_of(request, "value"))
        if name == "dht-get":
            value = await dht.get_value(request["key"])
            if value is None:
                raise LookupError("not found")
            return {"value_hex": value.hex()}
        if name == "provide":
            return {"stored": await dht.provide(request["cid"])}
        if name == "find-providers":
            found = await dht.find_providers(request["cid"], request.get("count", 20))
            return {"providers": [peer_information(info) for info in found]}
        if name == "find-peer":
            info = await dht.find_peer(peer)
            return {"peer": peer_information(info) if info else None}
        raise ValueError(f"unknown command {name}")

    async def stream_command(self, name, request, peer):
        if name == "handle-echo":
            return self.host.set_stream_handler(TProtocol(request["proto"]), echo)
        protocols = [request["proto"]] if isinstance(request["proto"], str) else request["proto"]
        stream = await self.host.new_stream(peer, [TProtocol(protocol) for protocol in protocols])
        await stream.write(bytes_of(request, "data"))
        if "read_n" not in request:  # then the end of our side is what the other waits for
            await stream.close_write()
        data = await read_all(stream, request.get("read_n"))
        await stream.close()
        return {"proto": str(stream.get_protocol()), "data_hex": data.hex()}

    async def block_command(self, name, request, peer):
        if name == "add-block":
            data = bytes_of(request, "data")
            cid = RAW_SHA256 + hashlib.sha256(data).digest()
            await self.bitswap.add_block(cid, data)
            return {"cid_hex": cid.hex(), "cid": cid_text(cid)}
        data = await self.bitswap.new_session().get_block(cid_of(request), peer, request.get("timeout", 20))
        return {"data_hex": data.hex()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int)
    parser.add_argument("--listen", default="/ip4/127.0.0.1/tcp/0")
    parser.add_argument("--dht-prefix", default="/ipfs")
    parser.add_argument("--mdns", action="store_true")
    parser.add_argument("--log-level", default="CRITICAL")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=arguments.log_level)
    logging.getLogger("multiaddr").setLevel(logging.WARNING)
    trio.run(PyPeer(arguments).run)


if __name__ == "__main__":
    main()
