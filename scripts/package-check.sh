#!/usr/bin/env bash
# Tries the packages of `make package` on a bare Debian 12, made by debootstrap: the tarball, then the .deb from its
# installation over an upgrade to its purge, then, where this machine lets a systemd start, what README.md and
# docs/installing.md tell a newcomer to type, as they stand there, and the service.
#   sudo scripts/package-check.sh
#   BASE=DIR sudo -E scripts/package-check.sh     keeps the bare Debian in DIR, and takes it from there the next time
# Needs root, debootstrap and Debian's packages. Changes nothing of this machine: all happens in namespaces of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
packages=$PWD/.build/package

fail() {
    printf 'FAILED  %s\n' "$1" >&2
    exit 1
}

if [ "${1:-}" != --inside ]; then
    [ "$(id -u)" -eq 0 ] || fail "this needs root"
    command -v debootstrap >/dev/null || fail "this needs debootstrap: apt-get install debootstrap"
    ls "$packages"/*.deb >/dev/null 2>&1 || fail "there is no package in .build/package: run make package"
    work=$(mktemp -d)
    base=${BASE:-$work/base}
    trap 'rm -rf "$work"' EXIT
    if ! [ -e "$base/etc/debian_version" ]; then
        printf 'making a bare Debian 12 …\n'
        debootstrap --variant=minbase bookworm "$base" >"$work/log" 2>&1 ||
            { tail "$work/log" >&2 && fail debootstrap; }
    fi
    cp -a "$base" "$work/root"
    cp /etc/resolv.conf "$work/root/etc/resolv.conf"
    mkdir -p "$work/root/packages"
    cp "$packages"/*.tar.gz "$packages"/*.deb "$work/root/packages/"
    cp README.md docs/installing.md "$work/root/srv/"
    unshare --mount --pid --fork --uts --ipc "$PWD/scripts/package-check.sh" --inside "$work/root"
    exit 0
fi

# 1. In namespaces of its own.
root=$2
mount --make-rprivate /
mount -t proc proc /proc
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t devpts devpts "$root/dev/pts" -o newinstance,ptmxmode=0666
ln -s pts/ptmx "$root/dev/ptmx"
home=/var/lib/mesh
log=$root/srv/log
inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/srv DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"; }
quietly() { "$@" >"$log" 2>&1 || { tail -n 20 "$log" >&2 && return 1; }; }
# Seconds since a step began: how long a newcomer's way takes.
begun=$SECONDS
ok() { printf 'ok  %s\n' "$1"; }
check() { # check WHAT COMMAND...
    local what=$1
    shift
    quietly "$@" || fail "$what"
    ok "$what"
}
says() { # says WHAT TEXT COMMAND...: fails, and says so in its words
    local what=$1 text=$2
    shift 2
    if "$@" >"$log" 2>&1; then fail "$what: it did not refuse"; fi
    grep -F -- "$text" "$log" >"$log.said" || { cat "$log" >&2 && fail "$what"; }
    ok "$what:"
    printf '      %s\n' "$(head -n 1 "$log.said")"
}
mesh() { inside mesh --home "$home" "$@"; }
# A module that says hello: fd_write of one text to standard output, in 136 bytes.
base64 -d >"$root/srv/hello.wasm" <<'WASM'
AGFzbQEAAAABDAJgBH9/f38Bf2AAAAIjARZ3YXNpX3NuYXBzaG90X3ByZXZpZXcxCGZkX3dyaXRlAAADAgEBBQMBAAEHEwIGbWVtb3J5
AgAGX3N0YXJ0AAEKDwENAEEBQQBBAUEUEAAaCwscAQBBAAsWEAAAAAYAAAAAAAAAAAAAAGhlbGxvCg==
WASM
printf 'Debian %s, %s packages\n' "$(cat "$root/etc/debian_version")" "$(inside dpkg-query -W | wc -l)"

# 2. The tarball, before anything else is installed.
check 'the tarball unpacks' inside sh -c 'tar -xzf /packages/*.tar.gz -C /opt'
check 'its program finds all of its libraries' inside sh -c '! ldd /opt/mesh-*/bin/mesh | grep "not found"'
check 'and runs' inside sh -c '/opt/mesh-*/bin/mesh version --json'
check 'a module runs by it, without a node' \
    inside sh -c '[ "$(/opt/mesh-*/bin/mesh run --local /srv/hello.wasm)" = hello ]'
rm -rf "$root"/opt/mesh-* "$root/srv/.mesh"

# 3. The .deb, as apt installs it.
deb=$(basename "$packages"/*.deb)
quietly inside apt-get update
begun=$SECONDS
check 'apt installs the .deb' inside apt-get install -y --no-install-recommends "/packages/$deb"
check 'the user mesh is there' inside getent passwd mesh
check 'its home is for it alone' inside sh -c \
    "[ \"\$(stat -c '%U %a' $home $home/identity.key | xargs)\" = 'mesh 700 mesh 600' ]"
check 'the configuration is in /etc' inside sh -c "[ \"\$(readlink $home/config.json)\" = /etc/mesh/config.json ]"
check 'manual, completions and list of contents are there' inside ls /usr/share/doc/planetary-mesh/mesh.spdx.json \
    /usr/share/bash-completion/completions/mesh /usr/share/zsh/vendor-completions/_mesh
inside cat $home/identity.key >"$root/srv/key"

up() { # starts the node as the unit does, and waits until it says that it is ready
    inside runuser -u mesh -- mesh up --home $home >"$root/srv/node" 2>&1 &
    for _ in $(seq 300); do
        if mesh status >/dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    cat "$root/srv/node" >&2
    return 1
}
down() { quietly mesh stop && wait; }

sign_in() { # sign_in URL [WHERE...]: signs in as a browser does, and gets the page and the state of the node
    local url=$1
    shift
    "$@" python3 - "$url" <<'PAGE'
import json, sys, urllib.parse, urllib.request
page, code = sys.argv[1].split("#")
origin = urllib.parse.urljoin(page, "/")[:-1]
opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
assert b"<title>" in opener.open(page).read()
question = urllib.request.Request(
    origin + "/v1/sign-in", json.dumps({"code": code}).encode(),
    {"content-type": "application/json", "origin": origin})
opener.open(question).read()
assert json.load(opener.open(origin + "/v1/status"))["version"]
PAGE
}
page() { mesh dashboard >"$root/srv/link" && sign_in "$(head -n 1 "$root/srv/link")"; }

check 'the dashboard is turned on' mesh config set api.listen 127.0.0.1:4080
check 'the node starts' up
check 'a browser signs in to the dashboard by the link of mesh dashboard' page
examples=/usr/share/doc/planetary-mesh/examples
check 'a module of the package runs as a job' sh -c \
    "[ \"\$(echo 1 2 39 | env -i PATH=$PATH chroot $root mesh --home $home run --quiet $examples/Sum.wasm --stdin -)\" = 42 ]"
check 'its receipt holds' mesh receipt verify last
printf '      %s s since apt began\n' $((SECONDS - begun))
check 'and says the same when it is run again' mesh receipt replay last
job=$(mesh jobs --json | sed -n 's/.*"job_id" *: *"\([^"]*\)".*/\1/p' | head -n 1)
[ -n "$job" ] || fail 'the job has no name'
check 'the node stops' down

# 4. An upgrade: the same package under a higher version and with another default, over a changed setting.
sed -i 's/"region" : null/"region" : "here"/' "$root/etc/mesh/config.json"
inside sh -c "dpkg-deb -R /packages/$deb /srv/next && sed -i 's/^\(Version: .*\)/\1.1/' /srv/next/DEBIAN/control &&
    sed -i 's/\"drain_seconds\" : 10/\"drain_seconds\" : 12/' /srv/next/usr/share/planetary-mesh/config.json &&
    grep -q ': 12' /srv/next/usr/share/planetary-mesh/config.json &&
    dpkg-deb --root-owner-group -Zgzip -z1 --build /srv/next /packages/next.deb" >/dev/null
check 'an upgrade installs' inside apt-get install -y /packages/next.deb
check 'it keeps the key' inside cmp /srv/key $home/identity.key
check 'and the settings, whatever the newer defaults are' inside sh -c \
    "grep -q '\"region\" : \"here\"' /etc/mesh/config.json && grep -q '\"drain_seconds\" : 10,' /etc/mesh/config.json"
check 'the node starts again' up
check 'and still has the job' sh -c "env -i PATH=$PATH chroot $root mesh --home $home describe $job"
down || fail 'the node stops'

# 5. A downgrade, where the newer version has changed the data: byte 63 of the database is the version of its tables.
byte() { printf "\\x$2" | dd of="$root$home/mesh.sqlite" bs=1 seek=63 conv=notrunc status=none; }
was=$(od -A n -j 63 -N 1 -t x1 "$root$home/mesh.sqlite" | tr -d ' ')
byte 63 63
says 'a downgrade over newer data is refused' 'install a newer one' inside dpkg -i "/packages/$deb"
says 'and so is a start' 'use a newer mesh' inside runuser -u mesh -- mesh up --home $home
byte 63 "$was"
check 'a downgrade over the same data is not' inside dpkg -i "/packages/$deb"
check 'the node starts after it' up
down || fail 'the node stops'

# 6. Away with it.
check 'the package is removed' inside apt-get remove -y planetary-mesh
check 'key, data and settings are still there' inside ls $home/identity.key $home/mesh.sqlite /etc/mesh/config.json
check 'the program is not' inside sh -c '! command -v mesh'
check 'it is installed again' inside dpkg -i "/packages/$deb"
check 'with the same key' inside cmp /srv/key $home/identity.key

nothing_left() {
    inside sh -c "! ls -d $home /etc/mesh /usr/lib/mesh 2>/dev/null && ! getent passwd mesh &&
        ! find / -xdev -name '*mesh*' -not -path '/proc/*' -not -path '/packages/*' -not -path '/srv/*' | grep ."
}
check 'the package is purged' inside apt-get purge -y planetary-mesh
check 'nothing of it is left' nothing_left

# 7. A newcomer with the pages, on a Debian that has booted, where a systemd starts in these namespaces.
booted() {
    quietly inside apt-get install -y --no-install-recommends systemd systemd-sysv dbus sudo || return 1
    inside useradd --create-home --shell /bin/bash newcomer
    echo 'newcomer ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/newcomer"
    # From here on by a systemd of its own, in a network of its own.
    unshare --mount --pid --fork --net --cgroup bash -c '
        set -e
        ip link set lo up
        cd "$1"
        umount proc run
        mount -t proc proc proc
        mount -t sysfs sysfs sys
        mount -t cgroup2 cgroup2 sys/fs/cgroup
        mount -t tmpfs tmpfs run
        mkdir -p old
        pivot_root . old
        umount -l old
        exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init' bash "$root" >"$root/srv/boot" 2>&1 &
    outer=$!
    for _ in $(seq 100); do
        init=$(ps -o pid= --ppid "$outer" | tr -d ' ')
        # A Debian without the hardware of one is degraded.
        if [ -n "$init" ] && by_init systemctl is-system-running 2>/dev/null | grep -Eq 'running|degraded'; then return 0; fi
        sleep 0.2
    done
    return 1
}
by_init() { nsenter -t "$init" -a env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"; }
commands() { # commands PAGE HEADING: what a page has its reader type below a heading
    awk -v heading="## $2" '$0 == heading { on = 1; next } /^## / { on = 0 } on && sub(/^    /, "")' "$root/srv/$1"
}
types() { # types PAGE HEADING [SED]: a person's shell, in the folder with the package, line by line; SED changes an example
    local line number=0
    {
        printf 'set -e; shopt -s expand_aliases; cd /packages\n'
        commands "$1" "$2" | sed -e "${3:-}" | while IFS= read -r line; do
            number=$((number + 1))
            printf 'exec >/srv/typed/%d 2>&1\n%s\n' "$number" "$line"
        done
    } >"$root/srv/types"
    rm -rf "$root/srv/typed"
    install -d -o "$(inside id -u newcomer)" "$root/srv/typed"
    by_init runuser -l newcomer -c 'bash /srv/types'
}
printed() { # printed PAGE HEADING WORDS: what the last line with these words has printed
    cat "$root/srv/typed/$(commands "$1" "$2" | grep -n -F -- "$3" | tail -n 1 | cut -d : -f 1)"
}
typed() { # typed PAGE HEADING [SED]: all lines of a page do what it says
    commands "$1" "$2" | grep -q . || fail "$1 has no commands below $2"
    begun=$SECONDS
    quietly types "$@" || { tail -n 5 "$root"/srv/typed/* >&2 && fail "$1, $2: a command fails"; }
    ok "$1, $2: each of its $(commands "$1" "$2" | wc -l) lines does what it says, in $((SECONDS - begun)) s"
    [ "$(printed "$1" "$2" 'mesh run')" = 42 ] || printed "$1" "$2" 'mesh run' | grep -qx 42 ||
        fail "$1: the job does not print 42"
    printed "$1" "$2" 'mesh receipt verify' | grep -q 'The receipt holds' || fail "$1: the receipt does not hold"
    ok 'the job prints 42, and its receipt holds'
}
link() { printed "$1" "$2" 'mesh dashboard' | grep -o 'http://.*#.*'; }
restarts() { # restarts COUNT: waits until the service was started again as often, and is up
    for _ in $(seq 300); do
        if [ "$(by_init systemctl show -P NRestarts mesh)" = "$1" ] && by_init systemctl is-active --quiet mesh; then
            return 0
        fi
        sleep 0.1
    done
    return 1
}
running() { by_init mesh --home $home config list --running | grep -Eq "^$1 +$2 "; } # running KEY VALUE
posted() { # posted KEY VALUE: what the API of the node says of a change of its settings
    nsenter -t "$init" -n python3 - "$root$home/api-token" "$@" <<'POST'
import json, sys, urllib.error, urllib.request
token, key, value = open(sys.argv[1]).read().strip(), sys.argv[2], sys.argv[3]
question = urllib.request.Request(
    "http://127.0.0.1:4080/v1/settings", json.dumps({"changes": [{"key": key, "value": [value]}]}).encode(),
    {"content-type": "application/json", "authorization": "Bearer " + token})
try:
    print(urllib.request.urlopen(question).read().decode())
except urllib.error.HTTPError as refusal:
    sys.exit(json.load(refusal)["detail"])
POST
}
purged() {
    check 'the package is purged while the service runs' by_init apt-get purge -y planetary-mesh
    check 'nothing of it is left, and no service' sh -c '! nsenter -t '"$init"' -a systemctl cat mesh'
    check 'and no file' nothing_left
}
if booted; then
    typed README.md Install
    check 'a browser signs in by the link' sign_in "$(link README.md Install)" nsenter -t "$init" -n
    check 'systemd has heard that the node is ready' by_init systemctl is-active mesh
    printf '      %s\n' "$(by_init systemd-analyze security --no-pager mesh.service | sed -n 's/^→ //p')"
    check 'the unit is exposed to at most 3.0' \
        by_init systemd-analyze security --no-pager --threshold=30 mesh.service
    check 'root changes a setting by command, and the service takes it at once' by_init sh -c \
        "mesh --home $home config set executor.price_base 250 2>&1 | grep -F 'has taken executor.price_base'"
    check 'the file in /etc has it, and stays the node'"'"'s' inside sh -c \
        "grep -q '\"price_base\" : 250' /etc/mesh/config.json && [ \$(stat -c %U /etc/mesh/config.json) = mesh ]"
    check 'the API changes one, as the dashboard does' posted executor.price_base 300
    check 'and the file has it' grep -q '"price_base" : 300' "$root/etc/mesh/config.json"
    inside chown root:root /etc/mesh /etc/mesh/config.json
    says 'where root keeps the file, the API refuses' 'the node may not write its file of settings' \
        posted executor.price_base 350
    check 'nothing is changed by that' running executor.price_base 300
    inside chown mesh:mesh /etc/mesh /etc/mesh/config.json
    sed -i 's/"drain_seconds" : 10/"drain_seconds" : 11/' "$root/etc/mesh/config.json"
    check 'systemctl reload has it take what somebody wrote into the file' by_init systemctl reload mesh
    check 'and it has' running drain_seconds 11
    sed -i 's/"drain_seconds" : 11/"drain_seconds" : "soon"/' "$root/etc/mesh/config.json"
    says 'a reload of a file that no node can use fails' 'drain_seconds is "soon"' sh -c \
        "! nsenter -t $init -a systemctl reload mesh || exit 0; nsenter -t $init -a journalctl -u mesh; exit 1"
    check 'and the service goes on with what it has' running drain_seconds 11
    sed -i 's/"drain_seconds" : "soon"/"drain_seconds" : 10/' "$root/etc/mesh/config.json"
    by_init sh -c 'mkdir -p /run/systemd/system/mesh.service.d &&
        printf "[Service]\nWatchdogSec=2\nRestartSec=0\n" >/run/systemd/system/mesh.service.d/test.conf &&
        systemctl daemon-reload && systemctl restart mesh'
    sleep 5
    check 'a watchdog of 2 s leaves a node alone whose loop turns, here for 5 s' restarts 0
    by_init systemctl kill --signal=STOP --kill-who=main mesh
    check 'and starts one again whose loop does not' restarts 1
    check 'the service stops' by_init systemctl stop mesh
    [ "$(by_init systemctl show -P Result mesh)" = success ] || fail 'the service did not end well'
    by_init sh -c 'rm -r /run/systemd/system/mesh.service.d && systemctl daemon-reload && systemctl start mesh'
    purged

    # The other page, with a node that the newcomer knows.
    by_init sh -c 'tar -xzf /packages/mesh-*.tar.gz -C /srv && mv /srv/mesh-*-linux-* /srv/friend &&
        /srv/friend/bin/mesh --home /srv/friend/home init --listen /ip4/127.0.0.1/tcp/4002 --json'  >"$log" 2>&1 ||
        fail 'a second node is made'
    by_init sh -c 'exec /srv/friend/bin/mesh --home /srv/friend/home up' >"$root/srv/friend/log" 2>&1 &
    for _ in $(seq 100); do
        if by_init /srv/friend/bin/mesh --home /srv/friend/home status >"$log" 2>&1; then break; fi
        sleep 0.1
    done
    typed installing.md 'Five minutes with the .deb' 's,/ip4/192.0.2.1/tcp/4001,/ip4/127.0.0.1/tcp/4002,'
    check 'a browser signs in by the link' \
        sign_in "$(link installing.md 'Five minutes with the .deb')" nsenter -t "$init" -n
    by_init /srv/friend/bin/mesh --home /srv/friend/home stop >"$log" 2>&1 || true
    rm -r "$root/srv/friend"
    purged
    kill -KILL "$init"
    wait "$outer" 2>/dev/null || true
else
    echo 'no   systemd starts here, so the pages and the service were not tried'
fi
printf 'all is well\n'
