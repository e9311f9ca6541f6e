"""What is checked between two connected peers; each check is a function of (ours, theirs) and raises when it fails.

States that a peer does not announce are awaited by asking again until a deadline (`Peer.until`), never by sleeping.
"""
import base64
import hashlib
import os

ECHO = "/echo/1.0.0"
BIG_BYTES = 300_000
GOSSIP_BIG_BYTES = 900_000
RAW_SHA256 = b"\x01\x55\x12\x20"


def expect(condition, message):
    if not condition:
        raise AssertionError(message)


def cid_of(data):
    return RAW_SHA256 + hashlib.sha256(data).digest()


def cid_arguments(cid):
    """Both spellings of a CID: py reads the text, go the bytes."""
    return {"cid_hex": cid.hex(), "cid": "b" + base64.b32encode(cid).decode().lower().rstrip("=")}


def base58_decode(text):
    alphabet, number = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", 0
    for character in text:
        number = number * 58 + alphabet.index(character)
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


async def sees(peer, other):
    await peer.until("peers", lambda reply: other.identifier in reply["peers"])


async def connect(ours, theirs, subject_dials):
    """A dial, Noise (go offers early muxer negotiation, py does not) and Yamux, seen from both sides."""
    dialer, listener = (ours, theirs) if subject_dials else (theirs, ours)
    await dialer.do("connect", addr=listener.address)
    await sees(ours, theirs)
    await sees(theirs, ours)


async def identify(asking, asked, agent=None):
    """Identify names the protocols and addresses of the peer, and the key that its PeerID comes from."""

    def complete(reply):
        return "/ipfs/ping/1.0.0" in reply["protocols"] and "/ipfs/kad/1.0.0" in reply["protocols"]

    reply = await asking.until("identify", complete, peer=asked.identifier)
    listening = asked.address.split("/p2p/")[0]
    addresses = [address.split("/p2p/")[0] for address in reply["listen"]]
    expect(listening in addresses, f"{listening} is not among the addresses {addresses}")
    if reply.get("public_key_hex"):
        key = bytes.fromhex(reply["public_key_hex"])
        expect(b"\x00\x24" + key == base58_decode(asked.identifier), "the key is not the one of the PeerID")
    if agent:
        expect(reply["agent"].startswith(agent), f"the agent is {reply['agent']}")


async def ping(asking, asked):
    reply = await asking.do("ping", peer=asked.identifier, count=5)
    round_trips = reply["rtt_ms"]
    expect(len(round_trips) == 5 and all(value >= 0 for value in round_trips), f"round trips were {round_trips}")


async def echo(asking, asked):
    """A stream of 300 kB there and back, past the 256 KiB window, after one protocol that the peer must refuse."""
    await asked.do("handle-echo", proto=ECHO)
    data = os.urandom(BIG_BYTES).hex()
    reply = await asking.do(
        "open-stream", peer=asked.identifier, proto=["/not/here/1.0.0", ECHO], data_hex=data, read_n=BIG_BYTES
    )
    expect(reply["proto"] == ECHO, f"the protocol was {reply['proto']}")
    expect(reply["data_hex"] == data, "the bytes came back different")


async def half_close(asking, asked):
    """The end of our side reaches the peer, whose end comes back after all bytes."""
    await asked.do("handle-echo", proto=ECHO)
    reply = await asking.do("open-stream", peer=asked.identifier, proto=ECHO, data="until the end")
    expect(bytes.fromhex(reply["data_hex"]) == b"until the end", f"what came back is {reply['data_hex']}")


async def gossip(publisher, receiver, size):
    """A signed message of `size` bytes reaches the subscribed peer, whole, with its publisher as its source."""
    topic = f"/interop/{os.urandom(4).hex()}"
    for peer in (publisher, receiver):
        await peer.do("subscribe", topic=topic)
    for peer, other in ((publisher, receiver), (receiver, publisher)):
        await peer.until("topic-peers", lambda reply, other=other: other.identifier in reply["peers"], topic=topic)
    data = os.urandom(size).hex()
    await publisher.do("publish", topic=topic, data_hex=data)
    message = await receiver.event("message", topic=topic)
    expect(message["data_hex"] == data, f"{len(message['data_hex']) // 2} bytes came, not the {size} published")
    expect(message["from"] == publisher.identifier, f"the source is {message['from']}")
    expect(message["signed"], "the message is not signed")


async def provider_record(provider, seeker):
    """What one announces in the DHT the other finds, with its provider."""
    cid = cid_arguments(cid_of(os.urandom(32)))
    await provider.do("provide", **cid)
    # go stores a provider record without telling, after its stream was read: ask until it is there.
    reply = await seeker.until(
        "find-providers",
        lambda reply: any(found["id"] == provider.identifier for found in reply["providers"]),
        **cid,
    )
    expect(reply["providers"], "no providers")


async def find_peer(seeker, sought):
    """A look-up for a peer in the DHT answers with an address of it."""
    reply = await seeker.until("find-peer", lambda reply: reply["peer"] is not None, peer=sought.identifier)
    expect(reply["peer"]["id"] == sought.identifier, f"found was {reply['peer']['id']}")
    base = sought.address.split("/p2p/")[0]
    addresses = [address.split("/p2p/")[0] for address in reply["peer"]["addrs"]]
    expect(base in addresses, f"{base} is not among the addresses {addresses}")


async def public_key_record(putting, getting):
    """A value under /pk, the namespace that go accepts: put by one, verified and read by the other."""
    multihash = base58_decode(putting.identifier)
    key = b"/pk/" + multihash
    await putting.do("dht-put", key_hex=key.hex(), value_hex=multihash[2:].hex())
    reply = await getting.do("dht-get", key_hex=key.hex())
    expect(reply["value_hex"] == multihash[2:].hex(), f"the value is {reply['value_hex']}")


async def bitswap(server, client):
    """A block of 200 kB by its CID, from a peer that has it."""
    data = os.urandom(200_000)
    added = await server.do("add-block", data_hex=data.hex())
    expect(added["cid_hex"] == cid_of(data).hex(), f"the CID is {added['cid_hex']}")
    reply = await client.do("bitswap-get", peer=server.identifier, **cid_arguments(cid_of(data)))
    expect(bytes.fromhex(reply["data_hex"]) == data, "the block came with other bytes")


async def disconnect(ours, theirs):
    """One side closes, both see it."""
    await ours.do("disconnect", peer=theirs.identifier)
    for peer, other in ((ours, theirs), (theirs, ours)):
        await peer.until("peers", lambda reply, other=other: other.identifier not in reply["peers"])


def all_checks(subject, other):
    """(name, function of ours and theirs), in the order they run."""
    yield "identify, asked by us", lambda ours, theirs: identify(ours, theirs)
    if other == "py":  # the daemon's control protocol cannot ask for it; go reads ours to build its routing table
        yield "identify, asked by them", lambda ours, theirs: identify(theirs, ours)
    yield "ping, by us", lambda ours, theirs: ping(ours, theirs)
    yield "ping, by them", lambda ours, theirs: ping(theirs, ours)
    yield "echo of 300 kB, by us", lambda ours, theirs: echo(ours, theirs)
    yield "echo of 300 kB, by them", lambda ours, theirs: echo(theirs, ours)
    if other == "py":  # nor half-close a stream
        yield "half-close, by us", lambda ours, theirs: half_close(ours, theirs)
        yield "half-close, by them", lambda ours, theirs: half_close(theirs, ours)
    for size, words in ((20, "small"), (GOSSIP_BIG_BYTES, "900 kB")):
        yield f"gossip of us, {words}", lambda ours, theirs, size=size: gossip(ours, theirs, size)
        yield f"gossip of them, {words}", lambda ours, theirs, size=size: gossip(theirs, ours, size)
    if other == "py":
        yield "py's routing table takes us", lambda ours, theirs: theirs.do("dht-add-peer", peer=ours.identifier)
    if (subject, other) == ("mesh", "go"):  # py spells DHT keys in its own way: values do not pass to or from it
        yield "/pk record, put by us", lambda ours, theirs: public_key_record(ours, theirs)
        yield "/pk record, put by them", lambda ours, theirs: public_key_record(theirs, ours)
    yield "provider record of us", lambda ours, theirs: provider_record(ours, theirs)
    yield "provider record of them", lambda ours, theirs: provider_record(theirs, ours)
    yield "find-peer, by us", lambda ours, theirs: find_peer(ours, theirs)
    yield "find-peer, by them", lambda ours, theirs: find_peer(theirs, ours)
    if other == "py":
        yield "bitswap, block of us", lambda ours, theirs: bitswap(ours, theirs)
        yield "bitswap, block of them", lambda ours, theirs: bitswap(theirs, ours)
    yield "disconnect", disconnect


def names(label, subject, other):
    return [f"{label}: connect"] + [f"{label}: {name}" for name, _ in all_checks(subject, other)]


async def run_all(runner, label, kinds, peers, subject_dials):
    """Connects the two peers, then runs each check that is wanted between them."""
    failed = runner.failed
    only, runner.only = runner.only, None  # whatever was asked for needs the connection
    await runner.check(f"{label}: connect", lambda: connect(*peers, subject_dials))
    runner.only = only
    if runner.failed > failed:
        return
    ours, theirs = peers
    for name, body in all_checks(*kinds):
        await runner.check(f"{label}: {name}", lambda body=body: body(ours, theirs))
