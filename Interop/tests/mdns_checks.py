"""Peers that are told nothing of each other find each other by mDNS, by real packets on port 5353 over loopback: ours,
py-libp2p's, and python-zeroconf alone. The go-libp2p daemon is built without mDNS; kubo's is in link_checks.py.
"""
import asyncio
import socket

import zeroconf

import checks

SERVICE = "_p2p._udp.local."
FIND_SECONDS = 60


async def find_each_other(ours, theirs):
    """Each has the other's address from the answers alone; who dials first proves the key to the other."""
    await theirs.until("mdns-peers", lambda reply: ours.identifier in reply["peers"])
    await checks.sees(ours, theirs)
    await checks.sees(theirs, ours)


def announcement(peer):
    """What zeroconf tells about a peer that knows nothing of mDNS itself; the first of its addresses has no peer."""
    port = int(peer.address.split("/tcp/")[1].split("/")[0])
    return zeroconf.ServiceInfo(
        SERVICE,
        f"told-by-zeroconf.{SERVICE}",
        port=port,
        properties={b"dnsaddr": peer.address.encode()},
        server="told-by-zeroconf.local.",
        addresses=[socket.inet_aton("127.0.0.1")],
    )


async def found_by_zeroconf(ours, theirs):
    """Ours dials whom zeroconf announces, and zeroconf resolves ours to a name with its port and its addresses."""
    with zeroconf.Zeroconf(interfaces=["127.0.0.1"]) as resolver:
        await asyncio.to_thread(resolver.register_service, announcement(theirs))
        await checks.sees(ours, theirs)
        loop, told, seen = asyncio.get_running_loop(), asyncio.Queue(), set()

        class Listener(zeroconf.ServiceListener):  # called by a thread of zeroconf's
            def add_service(self, zc, kind, name):
                loop.call_soon_threadsafe(told.put_nowait, name)

            update_service = add_service

        zeroconf.ServiceBrowser(resolver, SERVICE, listener=Listener())
        try:
            async with asyncio.timeout(FIND_SECONDS):
                while True:
                    name = await told.get()
                    seen.add(name)
                    info = await asyncio.to_thread(resolver.get_service_info, SERVICE, name, 3000)
                    address = info and info.properties.get(b"dnsaddr", b"").decode()
                    if address and address.endswith(ours.identifier):
                        break
                    # Records come one by one, and of those that were missing nobody tells again.
                    loop.call_later(0.5, told.put_nowait, name)
        except TimeoutError:
            raise AssertionError(f"zeroconf has not found {ours.identifier}, only {seen}") from None
        checks.expect(address.split("/p2p/")[0] == ours.address.split("/p2p/")[0], f"it tells {address}")
        checks.expect(f"/tcp/{info.port}/" in address, f"port {info.port}, but {address}")
        checks.expect("127.0.0.1" in info.parsed_addresses(), str(info))


async def run_all(runner):
    for name, order, body, options in (
        ("mdns: mesh, then py: they find each other", ("mesh", "py"), find_each_other, ("--mdns",)),
        ("mdns: py, then mesh: they find each other", ("py", "mesh"), find_each_other, ("--mdns",)),
        ("mdns: mesh finds whom zeroconf announces, and is found", ("mesh", "py"), found_by_zeroconf, ()),
    ):
        if not runner.wants(name):
            continue
        peers = {}
        try:
            for kind in order:
                seed, own = (1201, ("--mdns",)) if kind == "mesh" else (1202, options)
                peers[kind] = await runner.start(kind, seed, *own)
            await runner.check(name, lambda: body(peers["mesh"], peers["py"]))
        except Exception as error:  # a peer that does not start fails the check, not the run
            await runner.check(name, lambda error=error: runner.re_raise(error))
        finally:
            for peer in peers.values():
                await peer.stop()
