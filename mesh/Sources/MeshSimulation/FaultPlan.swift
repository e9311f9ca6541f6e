import Determinism
import P2PTesting

/// What goes wrong in a round, and how often; the seed decides which nodes and when. Everything ends within half a
/// minute after the last fault began, except connections that died unseen: the nodes have to find those.
package struct FaultPlan: Sendable {
    /// Nodes that are killed, and come back.
    package var crashes = 4
    /// Of those killed, how many of a thousand come back at another address.
    package var movedPermille: UInt64 = 500
    /// Of those killed, how many of a thousand also lose their network, so that nobody hears of it.
    package var unpluggedPermille: UInt64 = 500
    /// Nodes that stop for a while.
    package var pauses = 4
    /// Connections that stop carrying; one end hears of it, or none.
    package var cuts = 6
    /// Times at which the network falls into two parts.
    package var partitions = 1
    /// Calendars that are set, by up to two minutes: what is dated five minutes off is refused.
    package var calendarSteps = 3
    /// Over which the faults begin, in milliseconds.
    var milliseconds: UInt64 = 20_000

    private enum Change: Sendable {
        case crash(SimulatedNodeID, isUnplugged: Bool)
        case restart(SimulatedNodeID, place: Int?)
        case pause(SimulatedNodeID)
        case resume(SimulatedNodeID)
        case cut
        case part([SimulatedNodeID])
        case heal
        case setCalendar(SimulatedNodeID, Int64)
    }

    /// The default faults.
    package init() {}

    /// A plan without any fault.
    package static var none: FaultPlan {
        var plan = FaultPlan()
        (plan.crashes, plan.pauses, plan.cuts, plan.partitions, plan.calendarSteps) = (0, 0, 0, 0, 0)
        return plan
    }

    /// Makes everything in the plan go wrong, and mends it.
    func disturb(_ network: inout VirtualNetwork<MarketNode>, _ dice: inout SeededGenerator) {
        let start = network.now
        var victims: [SimulatedNodeID: SimulatedNodeID] = [:]
        for (at, change) in changes(nodes: network.count, &dice) {
            network.run(until: start.advanced(milliseconds: at))
            switch change {
            case .crash(let node, let isUnplugged):
                let victim = victim(insteadOf: node, &network)
                guard network.isRunning(victim) else { continue }
                victims[node] = victim
                network.crash(victim, isUnplugged: isUnplugged)
            case .restart(let node, let place):
                guard let victim = victims[node] else { continue }
                network.restart(victim, at: place) { $0.rebooted() }
            case .pause(let node): network.pause(node)
            case .resume(let node): network.resume(node)
            case .cut: cut(&network, &dice)
            case .part(let members): network.partition([members])
            case .heal: network.heal()
            case .setCalendar(let node, let milliseconds): network.command(.setCalendar(milliseconds), to: node)
            }
        }
    }

    private func changes(nodes: Int, _ dice: inout SeededGenerator) -> [(at: Int64, change: Change)] {
        var changes: [(at: Int64, change: Change)] = []
        var down: Set<Int> = []
        for number in 0..<(crashes + pauses) {
            let at = Int64(dice.next() % max(1, milliseconds))
            let until = at + 500 + Int64(dice.next() % 15_000)
            let isUnplugged = dice.next() % 1_000 < unpluggedPermille
            let isMoved = dice.next() % 1_000 < movedPermille
            let index = Int(dice.next() % UInt64(nodes))
            guard down.insert(index).inserted else { continue }
            let node = SimulatedNodeID(index)
            if number < crashes {
                changes.append((at, .crash(node, isUnplugged: isUnplugged)))
                changes.append((until, .restart(node, place: isMoved ? nodes + index : nil)))
            } else {
                changes.append((at, .pause(node)))
                changes.append((until, .resume(node)))
            }
        }
        for _ in 0..<cuts { changes.append((Int64(dice.next() % max(1, milliseconds)), .cut)) }
        for _ in 0..<calendarSteps {
            let node = SimulatedNodeID(Int(dice.next() % UInt64(nodes)))
            let step = Int64(dice.next() % 240_000) - 120_000
            changes.append((Int64(dice.next() % max(1, milliseconds)), .setCalendar(node, step)))
        }
        for number in 0..<partitions {
            // One after the other.
            let length = Int64(max(1, milliseconds)) / Int64(partitions)
            let at = Int64(number) * length + Int64(dice.next() % UInt64(max(1, length / 2)))
            let members = (0..<nodes).filter { _ in dice.next() % 3 == 0 }.map { SimulatedNodeID($0) }
            changes.append((at, .part(members)))
            changes.append((at + 1_000 + Int64(dice.next() % UInt64(max(1, length / 2))), .heal))
        }
        // Equal times stay in the order of the plan.
        return changes.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(\.element)
    }

    /// Who is killed: the next node whose disk has not yet written what others are to rely on, else the planned one.
    private func victim(
        insteadOf node: SimulatedNodeID, _ network: inout VirtualNetwork<MarketNode>
    ) -> SimulatedNodeID {
        var victim: SimulatedNodeID?
        _ = network.run(until: network.now.advanced(milliseconds: 2_000)) { network in
            victim = network.nodeIDs.first { network.isRunning($0) && network[$0].disk.hasPromisesWaiting }
            return victim != nil
        }
        return victim ?? node
    }

    /// A connection of somebody dies; both ends believe in it, or one does.
    private func cut(_ network: inout VirtualNetwork<MarketNode>, _ dice: inout SeededGenerator) {
        let running = network.nodeIDs.filter { network.isRunning($0) }
        guard !running.isEmpty else { return }
        let node = running[Int(dice.next() % UInt64(running.count))]
        let (choice, side) = (dice.next(), dice.next() % 3)
        let connections = network.connections(of: node).filter(\.isSound)
        guard !connections.isEmpty else { return }
        let victim = connections[Int(choice % UInt64(connections.count))]
        network.cut(victim.id, telling: side == 0 ? nil : side == 1 ? node : victim.to)
    }
}
