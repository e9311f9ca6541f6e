"""The figures of our own peer, process to process."""
import os

import peerlib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("MESH_PEER", os.path.join(ROOT, ".build", "release", "mesh-peer"))
PATIENCE_SECONDS = 600


async def start_pair(logs):
    pair = []
    for seed in (2001, 2002):
        pair.append(await peerlib.Peer.start([BINARY, "--seed", seed], os.path.join(logs, f"mesh-{seed}.log")))
    await pair[0].do("connect", addr=pair[1].address)
    return pair


async def stop(pair):
    for peer in pair:
        await peer.stop()


async def bulk(logs, count, runs):
    """MB/s of one stream."""
    left, right = pair = await start_pair(logs)
    try:
        await right.do("handle-sink", proto="/sink/1")
        figures = []
        for _ in range(runs):
            reply = await left.do(
                "send-bytes", peer=right.identifier, proto="/sink/1", count=count, timeout=PATIENCE_SECONDS
            )
            figures.append(count / reply["seconds"] / 1e6)
        return figures
    finally:
        await stop(pair)


async def connects(logs, count):
    """Milliseconds of each connect with identify, and connects per second with the disconnects between them."""
    left, right = pair = await start_pair(logs)
    try:
        await left.do("disconnect", peer=right.identifier)
        reply = await left.do("connects", addr=right.address, count=count, timeout=PATIENCE_SECONDS)
        return reply["milliseconds"], reply["count"] / reply["seconds"]
    finally:
        await stop(pair)


async def round_trips(logs, count, streams, size):
    """Round trips per second of `size` bytes over so many streams at once."""
    left, right = pair = await start_pair(logs)
    try:
        await right.do("handle-echo", proto="/echo/1")
        arguments = {"proto": "/echo/1", "count": count, "streams": streams, "size": size}
        reply = await left.do("round-trips", peer=right.identifier, timeout=PATIENCE_SECONDS, **arguments)
        return reply["count"] / reply["seconds"]
    finally:
        await stop(pair)


async def gossip(logs, count, rate, size):
    """Milliseconds from publish to delivery."""
    left, right = pair = await start_pair(logs)
    try:
        receiving = right.start_request("receive-stamped", topic="figures", count=count)
        await left.until(
            "topic-peers", lambda reply: right.identifier in reply["peers"], topic="figures", timeout=PATIENCE_SECONDS
        )
        await left.do("publish-stamped", topic="figures", count=count, rate=rate, size=size, timeout=PATIENCE_SECONDS)
        return (await right.finish(receiving, timeout=30))["milliseconds"]
    finally:
        await stop(pair)
