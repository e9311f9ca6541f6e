import Determinism
import P2PTesting
import Testing

/// A node that dials, sends and closes as it is told, and keeps the news of its connections.
private struct CallerNode: SimulatedNode {
    enum Command: Sendable {
        case dial(Int)
        case say(UInt8, VirtualConnectionID)
        case close(VirtualConnectionID)
    }

    var news: [VirtualConnectionNews] = []
    var heard: [UInt8] = []
    var nextDeadline: MonotonicInstant? { nil }

    /// The connections that it believes it has.
    var open: [VirtualConnectionID] {
        var open: [VirtualConnectionID] = []
        for item in news {
            switch item {
            case .opened(let id, _, _): open.append(id)
            case .closed(let id): open.removeAll { $0 == id }
            case .dialFailed: break
            }
        }
        return open
    }

    mutating func started(_ context: inout SimulatedContext) {}
    mutating func received(
        _ message: SimulatedMessage, from sender: SimulatedNodeID, _ context: inout SimulatedContext
    ) { heard += message.bytes }
    mutating func sendFailed(
        _ message: SimulatedMessage, to node: SimulatedNodeID, _ context: inout SimulatedContext
    ) {}
    mutating func connectionChanged(_ news: VirtualConnectionNews, _ context: inout SimulatedContext) {
        self.news.append(news)
    }
    mutating func commanded(_ command: Command, _ context: inout SimulatedContext) {
        switch command {
        case .dial(let place): _ = context.dial(place)
        case .say(let byte, let id): context.send([byte], over: id, protocolID: "/test/1", channel: .stream(0))
        case .close(let id): context.close(id)
        }
    }
    mutating func deadlineReached(_ context: inout SimulatedContext) {}
    func checkInvariants() {}
}

@Suite struct VirtualConnectionTests {
    private let zero = SimulatedNodeID(0)
    private let one = SimulatedNodeID(1)

    /// Two nodes, the first of which has dialed the second.
    private func joined() throws -> (network: VirtualNetwork<CallerNode>, id: VirtualConnectionID) {
        var network = VirtualNetwork<CallerNode>(VirtualNetworkConfiguration(seed: 1))
        for _ in 0..<3 { network.add(CallerNode()) }
        network.command(.dial(1), to: zero)
        network.run(milliseconds: 1_000)
        let id = try #require(network[zero].open.first)
        return (network, id)
    }

    private func say(_ byte: UInt8, _ id: VirtualConnectionID, by node: SimulatedNodeID)
        -> (inout VirtualNetwork<CallerNode>) -> Void
    {
        { network in
            network.command(.say(byte, id), to: node)
            network.run(milliseconds: 1_000)
        }
    }

    @Test func bothEndsHearOfAConnectionAndItCarriesBothWays() throws {
        var (network, id) = try joined()
        #expect(network[zero].news == [.opened(id, to: one, isOutbound: true)])
        #expect(network[one].news == [.opened(id, to: zero, isOutbound: false)])
        #expect(network.connections(of: zero).map(\.isSound) == [true])
        say(7, id, by: zero)(&network)
        say(8, id, by: one)(&network)
        #expect(network[one].heard == [7] && network[zero].heard == [8])
        network.command(.close(id), to: one)
        network.run(milliseconds: 1_000)
        #expect(network[zero].open.isEmpty, "the other end is told")
        #expect(network.connections(of: one).isEmpty)
        say(9, id, by: zero)(&network)
        #expect(network[one].heard == [7])
    }

    @Test func aCutIsToldToOneEndAloneAndTheOtherBelievesOn() throws {
        var (network, id) = try joined()
        network.cut(id, telling: one)
        network.run(milliseconds: 1_000)
        #expect(network[one].open.isEmpty)
        #expect(network[zero].open == [id])
        #expect(network.connections(of: zero).map(\.isSound) == [false])
        say(7, id, by: zero)(&network)
        network.run(milliseconds: 60_000)
        #expect(network[one].heard.isEmpty)
        #expect(network[zero].open == [id], "nobody tells it")
        #expect(network.statistics.lostInConnections == 1)
    }

    @Test func aKilledNodeClosesItsConnectionsAndAnUnpluggedOneDoesNot() throws {
        var (killed, _) = try joined()
        killed.crash(one)
        killed.run(milliseconds: 1_000)
        #expect(killed[zero].open.isEmpty)
        var (unplugged, id) = try joined()
        unplugged.crash(one, isUnplugged: true)
        say(7, id, by: zero)(&unplugged)
        #expect(unplugged[zero].open == [id])
        // Losses on the way leave the connection dead, even when the machine is back in its place.
        unplugged.restart(one) { _ in CallerNode() }
        unplugged.run(milliseconds: 1_000)
        say(8, id, by: zero)(&unplugged)
        #expect(unplugged[zero].open == [id] && unplugged[one].heard.isEmpty)
    }

    @Test func aMachineThatIsBackDoesNotKnowTheConnectionsOfItsLifeBefore() throws {
        var (same, id) = try joined()
        same.crash(one, isUnplugged: true)
        same.restart(one) { _ in CallerNode() }
        say(7, id, by: zero)(&same)
        #expect(same[zero].open.isEmpty, "it says so to whoever talks to it there")
        var (moved, other) = try joined()
        moved.crash(one, isUnplugged: true)
        moved.restart(one, at: 9) { _ in CallerNode() }
        #expect(moved.place(of: one) == 9)
        say(7, other, by: zero)(&moved)
        #expect(moved[zero].open == [other], "nobody is where it was")
        moved.command(.dial(1), to: zero)
        moved.command(.dial(9), to: zero)
        moved.run(milliseconds: 10_000)
        #expect(moved[zero].news.contains { if case .dialFailed = $0 { true } else { false } })
        #expect(moved[one].open.count == 1, "it is dialed where it is now")
    }

    @Test func aNodeThatCannotBeDialedDialsAndKeepsItsConnections() throws {
        var (network, id) = try joined()
        network.setDialable(zero, false)
        network.command(.dial(0), to: one)
        network.command(.dial(2), to: zero)
        network.run(milliseconds: 10_000)
        #expect(network[one].news.contains { if case .dialFailed = $0 { true } else { false } })
        #expect(network[zero].open.count == 2, "it dials as before")
        say(7, id, by: one)(&network)
        #expect(network[zero].heard == [7])
        network.setDialable(zero, true)
        network.command(.dial(0), to: one)
        network.run(milliseconds: 1_000)
        #expect(network[zero].open.count == 3)
    }

    @Test func aPartitionBreaksTheConnectionsThatAreUsedInItAndLetsNoDialThrough() throws {
        var (network, id) = try joined()
        network.command(.dial(2), to: zero)
        network.run(milliseconds: 1_000)
        let unused = try #require(network[zero].open.last)
        network.partition([[zero]])
        say(7, id, by: zero)(&network)
        network.command(.dial(1), to: zero)
        network.run(milliseconds: 10_000)
        #expect(network.statistics.dialsFailed == 1)
        network.heal()
        say(8, id, by: zero)(&network)
        say(9, unused, by: zero)(&network)
        #expect(network[one].heard.isEmpty, "what did not arrive leaves a gap")
        #expect(network[SimulatedNodeID(2)].heard == [9])
        #expect(network.connections(of: zero).map(\.isSound) == [false, true])
    }
}
