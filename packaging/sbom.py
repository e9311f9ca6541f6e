#!/usr/bin/env python3
"""Lists what a package ships, as SPDX 2.3, and gathers the licences of it.

    packaging/sbom.py --stage FOLDER --release .build/release --version 0.1.0 --commit HASH --epoch 1700000000

The list is made from what is there: the libraries in FOLDER/lib, and for the program the object files that it was
linked from, each traced to the package it was compiled from. What cannot be traced, or has no licence that is known
here, is an error. Writes FOLDER/share/doc/mesh/mesh.spdx.json and FOLDER/share/doc/mesh/licenses.
"""
import argparse
import ctypes
import hashlib
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
LICENSES = ROOT / "packaging" / "licenses"
SWIFT = "Apache-2.0 WITH Swift-exception"


def fail(sentence):
    sys.exit(f"sbom.py: {sentence}")


def digests(path):
    data = path.read_bytes()
    return [{"algorithm": name, "checksumValue": hashlib.new(name.lower(), data).hexdigest()}
            for name in ("SHA1", "SHA256")]


def license_of(text, name):
    """The SPDX expression of a licence's text."""
    if "Apache License" in text:
        return SWIFT if "Runtime Library Exception" in text else "Apache-2.0"
    if "Permission is hereby granted, free of charge" in text:
        return "MIT"
    return fail(f"the licence of {name} is none that is known here")


def linked_modules(release):
    """The modules whose object files the program was linked from, each with its package; None for our own."""
    modules = {}
    for line in (release / "mesh.product" / "Objects.LinkFileList").read_text().splitlines():
        name = re.search(r"/([^/]+)\.build/", line)
        if not name:
            fail(f"{line} is the object file of no module")
        modules[name.group(1)] = None
    for module in modules:
        folder = release / f"{module}.build"
        # What the build keeps of a module: a map of its Swift files, or what make wants to know of its C files.
        kept = [folder / "output-file-map.json", *sorted(folder.rglob("*.d"))]
        texts = (path.read_text() for path in kept if path.exists())
        sources = (re.search(r"/checkouts/([^/]+)/|/(?:mesh|libp2p)/Sources/", text) for text in texts)
        source = next((source for source in sources if source), None)
        if not source:
            fail(f"nothing says which package the module {module} is from")
        modules[module] = source.group(1)
    return modules


class Document:
    """What is shipped, as it is found."""

    def __init__(self, opts):
        self.opts = opts
        self.packages, self.files, self.relations = [], [], []
        self.folder = opts.stage / "share" / "doc" / "mesh"

    def package(self, name, version, declared, location, texts, purl=None, comment=None, checksums=None):
        """Adds a package and copies the texts of its licence; its identifier."""
        identifier = "SPDXRef-" + re.sub(r"[^A-Za-z0-9.]+", "-", name)
        entry = {
            "SPDXID": identifier, "name": name, "versionInfo": version, "downloadLocation": location,
            "filesAnalyzed": False, "licenseConcluded": "NOASSERTION", "licenseDeclared": declared,
            "copyrightText": "NOASSERTION"}
        if purl:
            entry["externalRefs"] = [{
                "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}]
        if comment:
            entry["comment"] = comment
        if checksums:
            entry["checksums"] = checksums
        self.packages.append(entry)
        if not texts:
            fail(f"{name} has no text of its licence")
        target = self.folder / "licenses" / name
        target.mkdir(parents=True, exist_ok=True)
        for text in texts:
            shutil.copyfile(text, target / pathlib.Path(text).name)
        return identifier

    def file(self, path, owner):
        name = "./" + str(path.relative_to(self.opts.stage))
        identifier = "SPDXRef-File-" + re.sub(r"[^A-Za-z0-9.]+", "-", name[2:])
        self.files.append({
            "SPDXID": identifier, "fileName": name, "checksums": digests(path), "fileTypes": ["BINARY"],
            "licenseConcluded": "NOASSERTION", "copyrightText": "NOASSERTION"})
        self.relate(owner, "CONTAINS", identifier)

    def relate(self, one, kind, other):
        self.relations.append({"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other})

    def analyse(self):
        """Marks the packages whose files are listed, with the code that the files' digests give (SPDX 2.3, 7.9)."""
        sums = {file["SPDXID"]: file["checksums"][0]["checksumValue"] for file in self.files}
        for package in self.packages:
            own = sorted(sums[one["relatedSpdxElement"]] for one in self.relations
                         if one["spdxElementId"] == package["SPDXID"] and one["relatedSpdxElement"] in sums)
            if own:
                package["filesAnalyzed"] = True
                package["packageVerificationCode"] = {
                    "packageVerificationCodeValue": hashlib.sha1("".join(own).encode()).hexdigest()}

    def write(self):
        self.analyse()
        body = {"packages": self.packages, "files": self.files, "relationships": self.relations}
        mark = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True))
        name = f"planetary-mesh-{self.opts.version}"
        document = {
            "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": name,
            "documentNamespace": f"https://spdx.org/spdxdocs/{name}-{mark}",
            "creationInfo": {
                "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.opts.epoch)),
                "creators": ["Tool: planetary-mesh-sbom.py"]},
            **body}
        (self.folder / "mesh.spdx.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


def swift_packages(document, program, modules, checkouts, resolved):
    """The packages that are linked into the program."""
    pins = {pin["location"].rstrip("/").removesuffix(".git").split("/")[-1]: pin for pin in resolved["pins"]}
    linked = {}
    for module, package in modules.items():
        if package:
            linked.setdefault(package, []).append(module)
    for name in sorted(linked):
        pin = pins.get(name) or fail(f"{name} is linked, and Package.resolved does not name it")
        texts = sorted(path for path in (checkouts / name).iterdir() if re.match(r"(LICEN[SC]E|NOTICE)", path.name))
        declared = license_of(next((t.read_text() for t in texts if t.name.startswith("LICEN")), ""), name)
        location, state = pin["location"].removesuffix(".git"), pin["state"]
        identifier = document.package(
            name, state.get("version", state["revision"]), declared, f"git+{location}.git@{state['revision']}", texts,
            purl=f"pkg:swift/{location.removeprefix('https://')}@{state.get('version', state['revision'])}",
            comment="Linked modules: " + ", ".join(sorted(linked[name])))
        document.relate(program, "STATIC_LINK", identifier)
        for module in linked[name]:
            carried_along(document, identifier, module, checkouts / name)


def carried_along(document, owner, module, checkout):
    """The sources of others that a package carries in a module."""
    sources = checkout / "Sources" / module
    if module in ("CCryptoBoringSSL", "CNIOBoringSSL"):
        # Two packages carry it, each a revision of its own, with names of its own for every symbol.
        name = "boringssl" if module == "CCryptoBoringSSL" else "boringssl-nio"
        revision = re.search(r"revision:? ([0-9a-f]{40})", (sources / "hash.txt").read_text()).group(1)
        found = (name, revision, "Apache-2.0 AND ISC", [checkout / "LICENSE.txt", checkout / "NOTICE.txt"])
    elif module == "CNIOLLHTTP":
        header = (sources / "include" / "c_nio_llhttp.h").read_text()
        version = ".".join(re.search(rf"LLHTTP_VERSION_{part} (\d+)", header).group(1)
                           for part in ("MAJOR", "MINOR", "PATCH"))
        found = ("llhttp", version, "MIT", [sources / "LICENSE"])
    elif module == "CYaml":
        found = ("libyaml", "NOASSERTION", "MIT", [LICENSES / "libyaml.txt"])
    elif module == "CXKCP":
        found = ("XKCP", "NOASSERTION", "CC0-1.0", [LICENSES / "xkcp.txt"])
    else:
        return
    name, version, declared, texts = found
    document.relate(owner, "CONTAINS", document.package(name, version, declared, "NOASSERTION", texts))


def libraries(document, program, opts):
    """The shared libraries beside the program."""
    said = subprocess.run([opts.swift, "--version"], capture_output=True, text=True, check=True)
    swift = re.search(r"Swift version (\S+)", said.stdout + said.stderr).group(1)
    toolchain = pathlib.Path(shutil.which(opts.swift)).resolve().parent.parent
    text = toolchain / "share" / "swift" / "LICENSE.txt"
    owners = {}

    def owner(name, make):
        if name not in owners:
            owners[name] = make()
            document.relate(program, "DYNAMIC_LINK", owners[name])
        return owners[name]

    for path in sorted((opts.stage / "lib").iterdir()):
        if path.name == "libwasmtime.so":
            lock = dict(line.split() for line in (ROOT / "scripts" / "wasmtime.lock").read_text().splitlines()
                        if not line.startswith("#"))
            made = owner("wasmtime", lambda: document.package(
                "wasmtime", lock["version"], "Apache-2.0 WITH LLVM-exception",
                f"https://github.com/bytecodealliance/wasmtime/releases/tag/v{lock['version']}",
                sorted((ROOT / "vendor" / "wasmtime" / "share" / "licenses").iterdir()),
                comment="The library of the project's Python wheel, which scripts/wasmtime.lock pins by its SHA-256. "
                        "The Rust crates in it are not listed."))
        elif path.name.startswith("libsqlite3.so"):
            library = ctypes.CDLL(str(path))
            library.sqlite3_libversion.restype = ctypes.c_char_p
            made = owner("sqlite", lambda: document.package(
                "sqlite", library.sqlite3_libversion().decode(), "blessing", "https://sqlite.org/download.html",
                [LICENSES / "sqlite.txt"]))
        elif path.name == "lib_FoundationICU.so":
            made = owner("swift-foundation-icu", lambda: document.package(
                "swift-foundation-icu", swift, f"Unicode-3.0 AND {SWIFT}", "https://www.swift.org/install/",
                [LICENSES / "Unicode-3.0.txt", text]))
        elif re.match(r"lib(swift|Foundation|dispatch|BlocksRuntime)", path.name):
            made = owner("swift-runtime", lambda: document.package(
                "swift-runtime", swift, SWIFT, "https://www.swift.org/install/", [text],
                comment="The runtime, the standard library, Dispatch and Foundation of the toolchain."))
        else:
            fail(f"nothing is known of {path.name}")
        document.file(path, made)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", type=pathlib.Path, required=True, help="what will be packed")
    parser.add_argument("--release", type=pathlib.Path, required=True, help="the folder that the program was built in")
    parser.add_argument("--version", required=True)
    parser.add_argument("--commit", required=True)
    parser.add_argument("--epoch", type=int, required=True, help="the date of the list, in seconds since 1970")
    parser.add_argument("--swift", default="swift")
    opts = parser.parse_args()
    release = opts.release.resolve()
    # .build/x86_64-unknown-linux-gnu/release
    build = release.parent.parent
    document = Document(opts)
    program = document.package(
        "planetary-mesh", opts.version, "Apache-2.0", "NOASSERTION", [ROOT / "LICENSE"],
        comment=f"Built from commit {opts.commit}.")
    document.relate("SPDXRef-DOCUMENT", "DESCRIBES", program)
    document.file(opts.stage / "bin" / "mesh", program)
    resolved = json.loads((build.parent / "Package.resolved").read_text())
    swift_packages(document, program, linked_modules(release), build / "checkouts", resolved)
    libraries(document, program, opts)
    document.write()


main()
