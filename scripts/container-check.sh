#!/usr/bin/env bash
# Builds packaging/Containerfile from the tarball of `make package`, and runs it: a node that makes its key in a volume,
# runs a job in its sandbox, stops as it is told, and is the same node in the next container.
#   sudo scripts/container-check.sh
#   BASE=DIR sudo -E scripts/container-check.sh     keeps the bare Debian in DIR, and takes it from there the next time
# Asks no registry: the image that the Containerfile begins with is a bare Debian 12 made by debootstrap. Needs root and
# Debian's debootstrap, buildah, podman and runc. Images and containers are in a folder of its own, and go with it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
packages=$PWD/.build/package

fail() {
    printf 'FAILED  %s\n' "$1" >&2
    exit 1
}
[ "$(id -u)" -eq 0 ] || fail "this needs root"
for program in debootstrap buildah podman runc; do
    command -v "$program" >/dev/null || fail "this needs $program: apt-get install debootstrap buildah podman runc"
done
ls "$packages"/mesh-*.tar.gz >/dev/null 2>&1 || fail "there is no tarball in .build/package: run make package"

work=$(mktemp -d)
base=${BASE:-$work/base}
log=$work/log
storage=(--root "$work/storage" --runroot "$work/run" --storage-driver vfs)
images() { buildah "${storage[@]}" "$@"; }
containers() { podman "${storage[@]}" --cgroup-manager cgroupfs --runtime runc "$@"; }
clean_up() {
    containers rm --all --force >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean_up EXIT
ok() { printf 'ok  %s\n' "$1"; }
check() { # check WHAT COMMAND...
    local what=$1
    shift
    "$@" >"$log" 2>&1 || { tail -n 20 "$log" >&2 && fail "$what"; }
    ok "$what"
}
begin() { # starts a container over the volume, and waits until its node may be used
    # Limits that a root may set which may not raise its own.
    node=$(containers run --detach --network none --ulimit nofile=1024:1024 --ulimit nproc=4096:4096 \
        --volume mesh:/var/lib/mesh mesh)
    for _ in $(seq 300); do
        if inside status >"$work/status" 2>&1; then return 0; fi
        sleep 0.1
    done
    containers logs "$node" >&2
    return 1
}
inside() { containers exec -i "$node" mesh "$@"; }
stop() { # as `podman stop` does: SIGTERM, and a minute to end
    containers stop --time 60 "$node" && [ "$(containers inspect --format '{{.State.ExitCode}}' "$node")" = 0 ]
}

# 1. The image.
if ! [ -e "$base/etc/debian_version" ]; then
    printf 'making a bare Debian 12 …\n'
    debootstrap --variant=minbase bookworm "$base" >"$log" 2>&1 || { tail "$log" >&2 && fail debootstrap; }
fi
bare=$(images from scratch)
images add --quiet "$bare" "$base" / >/dev/null
images commit --quiet --rm "$bare" "docker.io/library/$(sed -n 's/^FROM //p' packaging/Containerfile)" >/dev/null
check 'the Containerfile builds from the tarball' \
    buildah "${storage[@]}" build --isolation chroot --pull=never --tag mesh --file packaging/Containerfile "$packages"

# 2. A node in it.
check 'a container starts a node that answers' begin
check 'it runs as the user mesh' test "$(containers exec "$node" id --user --name)" = mesh
check 'it listens on the port that the Containerfile names' grep '^listens on .*/tcp/4001/' "$work/status"
check 'its runs are kept apart in there, too' grep '^runs .*seccomp and landlock' "$work/status"
# shellcheck disable=SC2016  # a command of the container
check 'a module of the tarball runs as a job' containers exec "$node" sh -c \
    '[ "$(echo 1 2 39 | mesh run --quiet /opt/mesh-*/share/doc/mesh/examples/Sum.wasm --stdin -)" = 42 ]'
check 'its receipt holds' inside receipt verify last
check 'and says the same when it is run again' inside receipt replay last
inside status --json >"$work/first"
inside jobs --json >"$work/jobs"
check 'it stops when it is told to, with exit code 0' stop
check 'the container goes' containers rm "$node"

# 3. The same node in the next one.
field() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1" "$2"; }
check 'another container over the same volume starts' begin
inside status --json >"$work/second"
check 'and is the same node' test "$(field "$work/first" did)" = "$(field "$work/second" did)"
check 'which still has the job' sh -c "podman ${storage[*]} exec $node mesh jobs --json | cmp - '$work/jobs'"
check 'it stops' stop
printf 'all is well\n'
