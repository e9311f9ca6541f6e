import Determinism
import Multiformats
import P2PTesting

/// Whether a mesh is whole: what must hold some time after the last fault, however connections died.
enum MeshHealth {
    /// The time it has: a keep-alive and its answer (40 s), the longest pause between two dials (60 s), and the dials.
    static let milliseconds: Int64 = 120_000
    /// The time within which an older connection to a peer proves to be alive or is closed once a newer one came.
    static let replacementMilliseconds: Int64 = 5_000

    /// What is wrong with the mesh.
    static func findings(in network: borrowing VirtualNetwork<MarketNode>) -> [String] {
        var findings: [String] = []
        var parts = network.nodeIDs.map { $0.index }
        for id in network.nodeIDs {
            guard network.isRunning(id) else {
                findings.append("\(id) does not run")
                continue
            }
            let known = Set(network[id].host.all.map(\.id))
            let there = network.connections(of: id)
            if known != Set(there.map(\.id)) { findings.append("\(id) has other connections than the network") }
            let dead = there.filter { !$0.isSound }
            if !dead.isEmpty { findings.append("\(id) believes in \(dead.count) dead connections") }
            if there.isEmpty { findings.append("\(id) is alone") }
            for connection in there where connection.isSound { join(id.index, connection.to.index, &parts) }
        }
        if Set(parts).count > 1 { findings.append("the mesh has \(Set(parts).count) parts") }
        return findings
    }

    /// Old connections that should have proved to be alive, or be closed, since a newer one to the same peer came.
    static func unreplaced(in network: borrowing VirtualNetwork<MarketNode>) -> [String] {
        var findings: [String] = []
        for id in network.nodeIDs where network.isRunning(id) {
            let dead = network.connections(of: id).filter { !$0.isSound }
            if dead.isEmpty { continue }
            let links = network[id].host.all
            for dead in dead {
                guard let brokenAt = dead.brokenAt, let link = links.first(where: { $0.id == dead.id }) else {
                    continue
                }
                let isReplaced = links.contains {
                    $0.peer == link.peer && $0.openedAt > brokenAt
                        && network.now.milliseconds(since: $0.openedAt) > replacementMilliseconds
                }
                if isReplaced { findings.append("\(id) keeps the dead connection \(link.id) beside a newer one") }
            }
        }
        return findings
    }

    private static func join(_ one: Int, _ other: Int, _ parts: inout [Int]) {
        let (kept, gone) = (min(parts[one], parts[other]), max(parts[one], parts[other]))
        guard kept != gone else { return }
        for index in parts.indices where parts[index] == gone { parts[index] = kept }
    }
}
