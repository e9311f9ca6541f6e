"""Three peers in a line, one of each implementation: what the ends learn of each other comes through the one in the
middle. So gossip has to be forwarded, and records and addresses travel over two hops; go dials whom it hears of, so the
ends may be connected when a later check runs."""
import os

from checks import cid_arguments, cid_of, expect, sees

GOSSIP_BYTES = 20_000
LINES = (
    ("mesh", "go", "py"),
    ("mesh", "py", "go"),
    ("go", "mesh", "py"),
    ("py", "mesh", "go"),
    ("py", "go", "mesh"),
)


async def line_up(peers):
    """The ends dial the middle and never each other."""
    left, middle, right = peers
    for end in (left, right):
        await end.do("connect", addr=middle.address)
        await sees(end, middle)
        await sees(middle, end)
    for peer in peers:
        await fill_routing_table(peer, peers)


async def fill_routing_table(peer, peers):
    """py takes a peer into its table only after an identify that it may not have made yet; the others do it alone."""
    if not peer.takes_peers_by_hand:
        return
    for other in peers:
        if other is not peer and other.identifier in (await peer.do("peers"))["peers"]:
            await peer.do("dht-add-peer", peer=other.identifier)


async def forwarded_gossip(publisher, middle, receiver):
    topic = f"/interop/{os.urandom(4).hex()}"
    for peer in (publisher, middle, receiver):
        await peer.do("subscribe", topic=topic)
    for peer, other in ((publisher, middle), (middle, publisher), (middle, receiver), (receiver, middle)):
        await peer.until("topic-peers", lambda reply, other=other: other.identifier in reply["peers"], topic=topic)
    data = os.urandom(GOSSIP_BYTES).hex()
    await publisher.do("publish", topic=topic, data_hex=data)
    message = await receiver.event("message", topic=topic)
    expect(message["data_hex"] == data, "the message came with other bytes")
    expect(message["from"] == publisher.identifier, f"the source is {message['from']}")
    expect(message["signed"], "the message is not signed")


async def providers_through(provider, seeker):
    cid = cid_arguments(cid_of(os.urandom(32)))
    await provider.do("provide", **cid)
    await seeker.until(
        "find-providers",
        lambda reply: any(found["id"] == provider.identifier for found in reply["providers"]),
        **cid,
    )


async def find_through(seeker, sought):
    reply = await seeker.until("find-peer", lambda reply: reply["peer"] is not None, peer=sought.identifier)
    addresses = [address.split("/p2p/")[0] for address in reply["peer"]["addrs"]]
    base = sought.address.split("/p2p/")[0]
    expect(base in addresses, f"{base} is not among the addresses {addresses}")


def all_checks(kinds):
    """(name, function of left, middle, right), in the order they run: what connects the ends comes last."""
    left, middle, right = kinds
    yield f"gossip of {left}", lambda a, b, c: forwarded_gossip(a, b, c)
    yield f"gossip of {right}", lambda a, b, c: forwarded_gossip(c, b, a)
    yield f"{left} finds {right}", lambda a, b, c: find_through(a, c)
    yield f"{right} finds the record of {left}", lambda a, b, c: providers_through(a, c)
    yield f"{left} finds the record of {right}", lambda a, b, c: providers_through(c, a)


def label(kinds):
    return "{0} through {1} to {2}".format(*kinds)


async def run_all(runner):
    for kinds in LINES:
        names = [f"{label(kinds)}: {name}" for name, _ in all_checks(kinds)]
        if not any(runner.wants(name) for name in names):
            continue
        peers = []
        try:
            for seed, kind in enumerate(kinds, start=1201):
                peers.append(await runner.start(kind, seed))
                peers[-1].takes_peers_by_hand = kind == "py"
            await line_up(peers)
            for name, (_, body) in zip(names, all_checks(kinds)):
                await runner.check(name, lambda body=body: body(*peers))
        except Exception as error:  # a line that does not stand fails as one check
            await runner.check(f"{label(kinds)}: line", lambda error=error: runner.re_raise(error))
        finally:
            for peer in peers:
                await peer.stop()
