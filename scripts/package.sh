#!/usr/bin/env bash
# Packs the optimised build, which `make release` made, into .build/package:
#   mesh-VERSION-linux-ARCH.tar.gz               a folder that runs wherever Debian 12 runs
#   planetary-mesh_VERSION-REVISION_ARCH.deb     the same as a service, with the system's SQLite
#   SHA256SUMS
# Both have man pages, completions, licences and a list of what is in them (SPDX), made here from what is shipped.
#   RELEASE=DIR    where the build is, if not in .build/release
#   REVISION=2     the revision of the .deb, 1 by default
# Two runs give the same bytes, over one build or over two of one commit in one folder (docs/installing.md, "The same
# bytes"): names in order, one owner, and the commit's date (or SOURCE_DATE_EPOCH).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
release=$(readlink -f "${RELEASE:-.build/release}")
revision=${REVISION:-1}
out=.build/package
work=$out/work
commit=$(git rev-parse HEAD)
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}" LC_ALL=C TZ=UTC
umask 022

fail() {
    printf 'package: %s\n' "$1" >&2
    exit 1
}

[ "$(uname -s)" = Linux ] || fail "packages are made on Linux only"
case "$(uname -m)" in
x86_64) platform=linux-x86_64 architecture=amd64 ;;
aarch64) platform=linux-aarch64 architecture=arm64 ;;
*) fail "there is no package for $(uname -m)" ;;
esac
[ -x "$release/mesh" ] || fail "there is no $release/mesh; run make release"
version=$("$release/mesh" --version)
schema=$(sed -n 's/^ *static let version = \([0-9]*\)$/\1/p' mesh/Sources/MeshStore/StoreSchema.swift)
[ -n "$schema" ] || fail "StoreSchema.swift does not say the version of the tables"
# How exposed the service is, from 0 to 10, by its unit alone: at most 3.0.
exposure=$(systemd-analyze security --offline=true --no-pager --threshold=30 packaging/deb/mesh.service) ||
    fail "systemd-analyze security: $(tail -n 1 <<<"$exposure")"
tail -n 1 <<<"$exposure"
name=mesh-$version-$platform
rm -rf "$out"
mkdir -p "$work"

# 1. The program and the libraries that it loads, except those that every Debian 12 has.
stage=$work/$name
mkdir -p "$stage/bin" "$stage/lib"
# Two builds of one commit in one folder differ in these two sections and in what a debugger reads, and in nothing else:
# hashes of the compiler's own inputs, for the compiler, and a hash of the whole program.
strip --remove-section=.swift_modhash --remove-section=.note.gnu.build-id -o "$stage/bin/mesh" "$release/mesh"
# Nothing of this machine: the library folder beside it, and no other.
chrpath --replace "\$ORIGIN/../lib" "$stage/bin/mesh" >/dev/null
ldd "$release/mesh" | while read -r library _ path _; do
    case "$library" in
    linux-vdso.so.* | /lib*/ld-linux* | libc.so.6 | libm.so.6 | libdl.so.2 | libpthread.so.0) ;;
    libgcc_s.so.1 | libstdc++.so.6) ;;
    libswift* | libFoundation* | lib_FoundationICU.so | libdispatch.so | libBlocksRuntime.so | \
        libwasmtime.so | libsqlite3.so.0)
        [ -f "$path" ] || fail "$library is not found"
        strip --strip-unneeded -o "$stage/lib/$library" "$(readlink -f "$path")"
        ;;
    *) fail "the program needs $library, of which nobody has said whether it is shipped" ;;
    esac
done
chmod 755 "$stage/bin/mesh"
chmod 644 "$stage"/lib/*
# From here on by itself, as a stranger's machine runs it.
packed() { env -i HOME=/nonexistent PATH=/usr/bin:/bin "$stage/bin/mesh" "$@"; }
[ "$(packed --version)" = "$version" ] || fail "the packed program does not run"

# 2. What the program says of itself: man pages and completions.
packed --experimental-dump-help |
    packaging/man.py --version "$version" --epoch "$SOURCE_DATE_EPOCH" "$stage/share/man/man1"
for page in "$stage"/share/man/man1/*; do
    faults=$(LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null) ||
        fail "man cannot read $page: $faults"
    [ -z "$faults" ] || fail "man says of $page: $faults"
done
complete() { # complete SHELL FILE
    mkdir -p "$(dirname "$stage/share/$2")"
    packed completions "$1" >"$stage/share/$2"
}
complete bash bash-completion/completions/mesh
complete zsh zsh/site-functions/_mesh
complete fish fish/vendor_completions.d/mesh.fish

# 3. Licences, and the list of what is in it.
sbom() { # sbom STAGE
    packaging/sbom.py --stage "$1" --release "$release" --version "$version" --commit "$commit" \
        --epoch "$SOURCE_DATE_EPOCH"
}
sbom "$stage"

# Modules to begin with.
examples() { # examples DOC
    mkdir -p "$1/examples"
    install -m 0644 Examples/build/Sum.wasm Examples/build/TextPortrait.wasm "$1/examples/"
}
[ -f Examples/build/Sum.wasm ] || fail "there is no Examples/build/Sum.wasm; run make guests"
examples "$stage/share/doc/mesh"

# 4. The tarball.
touched() { find "$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +; }
touched "$stage"
tar --create --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --directory "$work" "$name" |
    gzip --no-name --best >"$out/$name.tar.gz"

# 5. The .deb: the same below /usr/lib/mesh, with the system's SQLite.
deb=$work/deb
mkdir -p "$deb/DEBIAN" "$deb/usr/bin" "$deb/usr/lib" "$deb/lib/systemd/system"
cp -R "$stage" "$deb/usr/lib/mesh"
rm -rf "$deb/usr/lib/mesh/lib/libsqlite3.so.0" "$deb/usr/lib/mesh/share/doc"
sbom "$deb/usr/lib/mesh"
examples "$deb/usr/lib/mesh/share/doc/mesh"
mv "$deb/usr/lib/mesh/share" "$deb/usr/share"
mv "$deb/usr/share/doc/mesh" "$deb/usr/share/doc/planetary-mesh"
mv "$deb/usr/share/zsh/site-functions" "$deb/usr/share/zsh/vendor-completions"
gzip --no-name --best "$deb"/usr/share/man/man1/*
ln -s ../lib/mesh/bin/mesh "$deb/usr/bin/mesh"
install -m 0644 packaging/deb/mesh.service "$deb/lib/systemd/system/mesh.service"
# Every key with its default, as `mesh init` writes it for the usual port.
packed init --home "$PWD/$work/home" --listen /ip4/0.0.0.0/tcp/4001 --listen /ip6/::/tcp/4001 --json >/dev/null 2>&1
install -D -m 0644 "$work/home/config.json" "$deb/usr/share/planetary-mesh/config.json"
debian_version=$version-$revision
date=$(date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")
printf 'planetary-mesh (%s) unstable; urgency=medium\n\n  * Built from commit %s.\n\n -- %s  %s\n' \
    "$debian_version" "$commit" "$(sed -n 's/^Maintainer: //p' packaging/deb/control.in)" "$date" |
    gzip --no-name --best >"$deb/usr/share/doc/planetary-mesh/changelog.Debian.gz"
{
    printf 'Planetary Mesh is under the Apache License 2.0 (/usr/share/common-licenses/Apache-2.0).\n'
    printf 'What is shipped with it, as mesh.spdx.json lists it; the texts are in the folder licenses:\n\n'
    python3 -c 'import json, sys
for package in json.load(open(sys.argv[1]))["packages"]:
    print("{name} {versionInfo}: {licenseDeclared}".format(**package))' \
        "$deb/usr/share/doc/planetary-mesh/mesh.spdx.json"
} >"$deb/usr/share/doc/planetary-mesh/copyright"
# The oldest versions of the system's libraries that have what the program uses.
depends="libc6 (>= 2.36), libgcc-s1 (>= 3.0), libstdc++6 (>= 11), libsqlite3-0 (>= 3.40)"
size=$(du --summarize --block-size=1024 --apparent-size "$deb/usr" | cut -f 1)
for file in control.in preinst postinst prerm postrm; do
    sed -e "s/@VERSION@/$debian_version/; s/@ARCHITECTURE@/$architecture/; s/@SIZE@/$size/" \
        -e "s/@DEPENDS@/$depends/; s/@SCHEMA@/$schema/" \
        "packaging/deb/$file" >"$deb/DEBIAN/${file%.in}"
done
chmod 755 "$deb"/DEBIAN/p*
(cd "$deb" && find usr lib -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
touched "$deb"
dpkg-deb --root-owner-group -Zxz -z3 --threads-max=1 \
    --build "$deb" "$out/planetary-mesh_${debian_version}_$architecture.deb" >/dev/null

rm -rf "$work"
(cd "$out" && sha256sum -- *.tar.gz *.deb | tee SHA256SUMS)
du --apparent-size --block-size=1 "$out"/*.tar.gz "$out"/*.deb
for package in "$out"/*.tar.gz "$out"/*.deb; do
    [ "$(stat -c %s "$package")" -le $((60 * 1000 * 1000)) ] || fail "$package is larger than 60 MB"
done
