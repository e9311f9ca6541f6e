import Determinism
import P2PTesting
import Testing

/// A node that keeps what it hears, answers pings, and can be woken.
private struct RecorderNode: SimulatedNode {
    enum Command: Sendable {
        case send(UInt8, to: SimulatedNodeID, SimulatedChannel)
        case wakeAfter(milliseconds: Int64)
        case drawNumber
    }

    var heard: [UInt8] = []
    var failures: [UInt8] = []
    var starts = 0
    var wokenAt: [MonotonicInstant] = []
    var wallClocks: [UInt64] = []
    var nextDeadline: MonotonicInstant?

    mutating func started(_ context: inout SimulatedContext) {
        starts += 1
        wallClocks.append(context.wallClockMilliseconds)
    }

    mutating func received(
        _ message: SimulatedMessage, from sender: SimulatedNodeID, _ context: inout SimulatedContext
    ) {
        heard.append(contentsOf: message.bytes)
    }

    mutating func sendFailed(
        _ message: SimulatedMessage, to node: SimulatedNodeID, _ context: inout SimulatedContext
    ) {
        failures.append(contentsOf: message.bytes)
    }

    mutating func commanded(_ command: Command, _ context: inout SimulatedContext) {
        switch command {
        case .send(let byte, let to, let channel):
            context.send([byte], to: to, protocolID: "/test/1", channel: channel)
        case .wakeAfter(let milliseconds): nextDeadline = context.now.advanced(milliseconds: milliseconds)
        case .drawNumber: context.note("drew \(context.generator.next())")
        }
    }

    mutating func deadlineReached(_ context: inout SimulatedContext) {
        wokenAt.append(context.now)
        nextDeadline = nil
    }

    func checkInvariants() {
        precondition(starts <= 3, "started \(starts) times")
    }
}

@Suite struct VirtualNetworkTests {
    private let zero = SimulatedNodeID(0)
    private let one = SimulatedNodeID(1)
    private let two = SimulatedNodeID(2)

    private func network(
        _ link: LinkProfile = .init(), seed: UInt64 = 1, nodes: Int = 3
    ) -> VirtualNetwork<RecorderNode> {
        var network = VirtualNetwork<RecorderNode>(VirtualNetworkConfiguration(seed: seed, link: link))
        for _ in 0..<nodes { network.add(RecorderNode()) }
        return network
    }

    private func sendAll(_ network: inout VirtualNetwork<RecorderNode>, channel: (UInt8) -> SimulatedChannel) {
        for byte in UInt8(0)..<200 {
            let at = MonotonicInstant.zero.advanced(milliseconds: Int64(byte))
            network.command(.send(byte, to: one, channel(byte)), to: zero, at: at)
        }
        network.run(milliseconds: 10_000)
    }

    @Test func messagesTakeTheLatencyOfTheLink() {
        var network = network(LinkProfile(latencyMicroseconds: 7_000...7_000))
        network.command(.send(1, to: one, .datagram), to: zero)
        network.run(until: MonotonicInstant(nanoseconds: 6_999_999))
        #expect(network[one].heard.isEmpty)
        network.run(until: MonotonicInstant(nanoseconds: 7_000_000))
        #expect(network[one].heard == [1])
        #expect(network.now == MonotonicInstant(nanoseconds: 7_000_000))
    }

    @Test func aStreamKeepsItsOrderAndStreamsOvertakeEachOther() {
        let link = LinkProfile(latencyMicroseconds: 1_000...90_000, reorderPermille: 300)
        var ordered = network(link)
        sendAll(&ordered) { _ in .stream(0) }
        #expect(ordered[one].heard == Array(0..<200))
        #expect(ordered.statistics.heldBack > 0)
        var many = network(link)
        sendAll(&many) { .stream(UInt64($0)) }
        #expect(many[one].heard != Array(0..<200))
        #expect(many[one].heard.sorted() == Array(0..<200))
    }

    @Test func datagramsAreLostAndDoubledSilently() {
        var network = network(LinkProfile(lossPermille: 200, duplicationPermille: 200))
        sendAll(&network) { _ in .datagram }
        let (heard, statistics) = (network[one].heard, network.statistics)
        #expect(statistics.lost > 10 && statistics.duplicated > 10)
        #expect(heard.count == 200 - Int(statistics.lost) + Int(statistics.duplicated))
        #expect(network[zero].failures.isEmpty)
    }

    @Test func aLossOnAStreamIsToldToTheSenderUnlessTheLinkFailsSilently() {
        var told = network(LinkProfile(lossPermille: 200, duplicationPermille: 500))
        sendAll(&told) { _ in .stream(0) }
        #expect(!told[zero].failures.isEmpty)
        #expect((told[one].heard + told[zero].failures).sorted() == Array(0..<200), "each arrives or fails, once")
        var silent = network(LinkProfile(lossPermille: 200, silentFailurePermille: 1_000))
        sendAll(&silent) { _ in .stream(0) }
        #expect(silent[zero].failures.isEmpty)
        #expect(silent.statistics.lost > 0)
    }

    @Test func aPartitionCutsStreamsAndHealingJoinsThem() {
        var network = network()
        network.partition([[zero], [one, two]])
        network.command(.send(1, to: one, .stream(0)), to: zero)
        network.command(.send(2, to: two, .stream(0)), to: one)
        network.run(milliseconds: 1_000)
        #expect(network[zero].failures == [1])
        #expect(network[two].heard == [2])
        network.heal()
        network.command(.send(3, to: one, .stream(0)), to: zero)
        network.run(milliseconds: 1_000)
        #expect(network[one].heard == [3])
    }

    @Test func aPausedNodeHearsLaterAndItsDeadlineComesLate() {
        var network = network()
        network.command(.wakeAfter(milliseconds: 100), to: one)
        network.run(milliseconds: 1)
        network.pause(one)
        network.command(.send(1, to: one, .stream(0)), to: zero)
        network.run(milliseconds: 1_000)
        #expect(network[one].heard.isEmpty && network[one].wokenAt.isEmpty)
        network.resume(one)
        network.run(milliseconds: 1)
        #expect(network[one].heard == [1])
        #expect(network[one].wokenAt == [MonotonicInstant.zero.advanced(milliseconds: 1_001)])
    }

    @Test func aCrashedNodeLosesWhatIsOnItsWayAndComesBackAsItWasRecovered() {
        var network = network(LinkProfile(latencyMicroseconds: 10_000...10_000))
        network.command(.wakeAfter(milliseconds: 50), to: one)
        network.command(.send(1, to: one, .stream(0)), to: zero)
        network.run(milliseconds: 5)
        network.crash(one)
        network.run(milliseconds: 1_000)
        #expect(network[zero].failures == [1])
        #expect(network[one].wokenAt.isEmpty)
        #expect(!network.isRunning(one))
        network.restart(one) { former in
            var recovered = RecorderNode()
            recovered.starts = former.starts
            return recovered
        }
        network.command(.send(2, to: one, .stream(0)), to: zero)
        network.run(milliseconds: 1_000)
        #expect(network[one].heard == [2])
        #expect(network[one].starts == 2)
        #expect(network[one].wokenAt.isEmpty, "a deadline of the life before is forgotten")
    }

    @Test func oneLinkCanBeWorseThanTheOthers() {
        var network = network()
        network.setLink(from: zero, to: one, LinkProfile(lossPermille: 1_000))
        network.command(.send(1, to: one, .datagram), to: zero)
        network.command(.send(2, to: zero, .datagram), to: one)
        network.run(milliseconds: 1_000)
        #expect(network[one].heard.isEmpty)
        #expect(network[zero].heard == [2])
    }

    @Test func theWallClockGoesWithTheVirtualTime() {
        var network = network()
        network.run(milliseconds: 2_500)
        network.add(RecorderNode())
        network.run(milliseconds: 1)
        let start = network.configuration.wallClockStartMilliseconds
        #expect(network[zero].wallClocks == [start])
        #expect(network[SimulatedNodeID(3)].wallClocks == [start + 2_500])
    }

    @Test func nodesDrawFromGeneratorsOfTheirOwn() {
        func numbers(seed: UInt64) -> [String] {
            var network = network(seed: seed)
            for _ in 0..<3 {
                network.command(.drawNumber, to: zero)
                network.command(.drawNumber, to: one)
            }
            network.run(milliseconds: 1)
            return network.notes.map(\.fact)
        }
        #expect(numbers(seed: 4) == numbers(seed: 4))
        #expect(numbers(seed: 4) != numbers(seed: 5))
        #expect(Set(numbers(seed: 4)).count == 6)
    }

    @Test func theSameSeedGivesTheSameTraceAndAnotherSeedAnother() {
        func trace(seed: UInt64) -> String {
            let link = LinkProfile(lossPermille: 100, duplicationPermille: 100, reorderPermille: 100)
            var network = network(link, seed: seed)
            sendAll(&network) { $0.isMultiple(of: 2) ? .datagram : .stream(0) }
            return network.trace.hexadecimal
        }
        #expect(trace(seed: 7) == trace(seed: 7))
        #expect(trace(seed: 7) != trace(seed: 8))
    }

    @Test func theLastEventsAreKeptInFull() {
        var network = network()
        sendAll(&network) { _ in .stream(0) }
        let recent = network.trace.recent
        #expect(recent.count == SimulationTrace.recentEntriesMax)
        #expect(zip(recent, recent.dropFirst()).allSatisfy { $0.at <= $1.at })
        #expect(recent.last?.kind == .delivered)
        #expect(recent.last?.other == zero)
    }
}
