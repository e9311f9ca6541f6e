"""Our libp2p beside go-libp2p's, both measured in one run on this machine.

    Interop/run.sh bench [--bytes N] [--runs N] [--only WORD]

Prints one line per figure: ours, go's, and the ratio. Build the peer first: `swift build -c release --product mesh-peer`.
"""
import argparse
import asyncio
import os
import statistics
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "peers"))
sys.path.insert(0, HERE)

import go_figures  # noqa: E402  (the folders above have to be known first)
import mesh_figures  # noqa: E402


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def row(name, ours, theirs, unit, digits=0):
    ratio = ours / theirs if theirs else float("nan")
    print(f"{name:<44} {ours:>10.{digits}f} {theirs:>10.{digits}f} {unit:<6} {ratio:5.2f}", flush=True)


async def bulk(arguments, logs):
    ours = await mesh_figures.bulk(logs, arguments.bytes, arguments.runs)
    theirs = await go_figures.bulk(arguments.bytes, arguments.runs)
    name = f"one stream of {arguments.bytes >> 20} MiB, median of {arguments.runs}"
    row(name, statistics.median(ours), statistics.median(theirs), "MB/s")


async def connects(arguments, logs):
    ours, our_rate = await mesh_figures.connects(logs, arguments.connects)
    theirs, their_rate = await go_figures.connects(arguments.connects)
    row("connect, identify, disconnect", our_rate, their_rate, "/s")
    row("connect and identify, p50", statistics.median(ours), statistics.median(theirs), "ms", 2)
    row("connect and identify, p99", percentile(ours, 0.99), percentile(theirs, 0.99), "ms", 2)


async def round_trips(arguments, logs):
    for streams, count in ((1, arguments.trips), (64, arguments.trips // 16)):
        ours = await mesh_figures.round_trips(logs, count, streams, 64)
        theirs = await go_figures.round_trips(count, streams, 64)
        row(f"64-byte round trips, streams: {streams}", ours, theirs, "/s")


async def gossip(arguments, logs):
    ours = await mesh_figures.gossip(logs, arguments.messages, arguments.rate, 1024)
    theirs = await go_figures.gossip(arguments.messages, arguments.rate, 1024)
    for part, name in ((0.5, "p50"), (0.99, "p99")):
        name = f"gossip of 1 KiB, {arguments.rate} a second, {name}"
        row(name, percentile(ours, part), percentile(theirs, part), "ms", 2)


async def run(arguments):
    print(f"{'':<44} {'ours':>10} {'go':>10} {'':<6} ratio", flush=True)
    with tempfile.TemporaryDirectory(prefix="mesh-bench-") as logs:
        for figure in (bulk, connects, round_trips, gossip):
            if arguments.only is None or arguments.only in figure.__name__:
                await figure(arguments, logs)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bytes", type=int, default=1 << 30)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--connects", type=int, default=400)
    parser.add_argument("--trips", type=int, default=8000)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--only")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
