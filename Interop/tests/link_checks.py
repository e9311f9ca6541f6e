"""Peers on two machines of one link find each other by mDNS: ours and kubo's, each in a network namespace of its own,
with a pair of interfaces between them. Loopback is no link to kubo. Where there are no namespaces to be had, as for
whoever is not root, the checks are skipped, and fail in CI.
"""
import functools
import os
import subprocess

import checks

FIND_SECONDS = 40  # kubo asks at once, and then ever more seldom


class Link:
    """Two namespaces, `ours` and `theirs`, that reach each other at 10.77.0.1 and 10.77.0.2. Each has one more address
    on the link, 10.78.0.1 and 10.78.1.2, which it can announce and to which the other has no way."""

    def __init__(self):
        name = f"mesh-{os.getpid()}"
        self.ours, self.theirs = f"{name}-a", f"{name}-b"
        self.made = []

    def __enter__(self):
        try:
            for namespace in (self.ours, self.theirs):
                ip("netns", "add", namespace)
                self.made.append(namespace)
                ip("-n", namespace, "link", "set", "lo", "up")
            other = ("peer", "name", "link0", "netns", self.theirs)
            ip("link", "add", "link0", "netns", self.ours, "type", "veth", *other)
            for namespace, addresses in (
                (self.ours, ("10.77.0.1/24", "10.78.0.1/24")), (self.theirs, ("10.77.0.2/24", "10.78.1.2/24")),
            ):
                for address in addresses:
                    ip("-n", namespace, "address", "add", address, "dev", "link0")
                ip("-n", namespace, "link", "set", "link0", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for namespace in self.made:
            ip("netns", "delete", namespace)

    def dialed(self, namespace, address):
        """Whether a namespace has a connection to an address that it dialed."""
        host, port = address.split("/ip4/")[1].split("/tcp/")
        told = subprocess.run(
            ["ip", "netns", "exec", namespace, "ss", "-Hnt", "state", "established", "dst", f"{host}:{port}"],
            capture_output=True, text=True, check=True)
        return told.stdout.strip() != ""


def ip(*arguments):
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@functools.cache
def obstacle():
    """Why no link can be made here, in words; nothing if one can."""
    try:
        with Link():
            return ""
    except (OSError, RuntimeError) as error:
        return f"there are no network namespaces: {error}"


async def find_each_other(ours, theirs):
    """By what is announced alone, since neither is told of the other; and it is kubo that ours found."""
    for peer, other in ((ours, theirs), (theirs, ours)):
        await peer.until("peers", lambda reply, it=other: it.identifier in reply["peers"], timeout=FIND_SECONDS)
    told = await ours.until("identify", lambda reply: reply.get("agent"), peer=theirs.identifier)
    checks.expect(told["agent"].startswith("kubo/"), f"the agent is {told['agent']}")


async def run_all(runner):
    reached = ("/ip4/10.77.0.1/tcp/4001", "/ip4/10.77.0.2/tcp/4001")
    hidden = ("/ip4/10.78.0.1/tcp/4001", "/ip4/10.78.1.2/tcp/4001")
    for name, order, listen, dialer in (
        ("link: kubo, then mesh: they find each other", ("kubo", "mesh"), reached, None),
        ("link: mesh, then kubo: they find each other", ("mesh", "kubo"), reached, None),
        ("link: mesh dials kubo, which cannot dial it", ("kubo", "mesh"), (hidden[0], reached[1]), "mesh"),
        ("link: kubo dials mesh, which cannot dial it", ("mesh", "kubo"), (reached[0], hidden[1]), "kubo"),
    ):
        if not runner.wants(name):
            continue
        # A machine of CI has them; whoever works without root hears what was left out.
        if obstacle() and not os.environ.get("CI"):
            print(f"SKIP {name}: {obstacle()}", flush=True)
            continue
        await runner.check(name, functools.partial(on_a_link, runner, order, listen, dialer))


async def on_a_link(runner, order, listen, dialer):
    peers = {}
    with Link() as link:
        try:
            for kind in order:
                seed, place, address = (
                    (1301, link.ours, listen[0]) if kind == "mesh" else (1302, link.theirs, listen[1]))
                peers[kind] = await runner.start(kind, seed, "--listen", address, "--mdns", within=place)
            await find_each_other(peers["mesh"], peers["kubo"])
            for kind, place, address in (("mesh", link.ours, listen[1]), ("kubo", link.theirs, listen[0])):
                if dialer:
                    checks.expect(link.dialed(place, address) == (kind == dialer), f"whether {kind} dialed")
        finally:
            for peer in peers.values():
                await peer.stop()
