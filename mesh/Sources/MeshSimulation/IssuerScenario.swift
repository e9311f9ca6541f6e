import Credit
import Determinism
import MeshTypes
import Multiformats
import P2PTesting
import SignedObjects

/// Two cooperatives whose members have jobs run for each other, for holds at their issuers, on links that lose, double
/// and reorder. One issuer, or both, vanish for minutes, while dates pass; one witness may lie; members are silent,
/// deny everything, claim without delivery, deliver wrong results, hold without end and spend twice; one issuer may
/// tell two histories.
package struct IssuerScenario: Sendable {
    /// The seed of everything random.
    package let seed: UInt64
    /// Jobs of the round.
    package var jobs = 30
    /// Messages lost, of a thousand.
    package var lossPermille = 50

    /// Jobs from this number on are held for and never run.
    static let idleJobs: UInt64 = 1_000_000
    /// Two jobs that one member submits at once, of which its line has room for one.
    static let dearJobs: ClosedRange<UInt64> = 1_000...1_001

    package init(seed: UInt64) { self.seed = seed }

    /// Whether, and how, an issuer vanishes: both in every third round.
    private var vanishing: [Int] { seed % 3 == 0 ? [0, 1] : [Int(seed % 2)] }
    /// Whether the second issuer tells two histories.
    var hasTwoHistories: Bool { seed % 4 == 0 }

    /// Runs the round until everything is over.
    package func run() throws -> IssuerReport {
        let town = try IssuerTown(seed: seed)
        var dice = SeededGenerator(seed: seed &* 0xC0FFEE &+ 7)
        var network = VirtualNetwork<IssuerNode>(
            VirtualNetworkConfiguration(
                seed: seed,
                link: LinkProfile(
                    latencyMicroseconds: 2_000...60_000, lossPermille: lossPermille, duplicationPermille: 50,
                    reorderPermille: 100)))
        try populate(&network, town, &dice)
        plan(&network, &dice)
        var returns: [(at: Int64, node: Int)] = []
        for issuer in vanishing {
            let at = 8_000 + Int64(dice.next() % 40_000)
            network.run(until: .zero.advanced(milliseconds: max(at, network.now.nanoseconds / 1_000_000)))
            network.crash(SimulatedNodeID(issuer), isUnplugged: true)
            returns.append((at + 90_000 + Int64(dice.next() % 120_000), issuer))
        }
        for back in returns.sorted(by: { $0.at < $1.at }) {
            network.run(until: .zero.advanced(milliseconds: back.at))
            network.restart(SimulatedNodeID(back.node)) { $0.restarted() }
        }
        // The longest window and extension below, and a minute.
        network.run(milliseconds: 60_000 + 70_000 + 60_000)
        return IssuerReport(network, of: self, town: town)
    }

    private func populate(
        _ network: inout VirtualNetwork<IssuerNode>, _ town: IssuerTown, _ dice: inout SeededGenerator
    ) throws {
        let lie = IssuerWitness.Lie.allCases[Int(dice.next() % 4)]
        for node in 0..<IssuerTown.count {
            if IssuerTown.issuers.contains(node) {
                network.add(
                    IssuerNode(
                        town,
                        issuing: try IssuingPart(node, town: town, tellsTwoHistories: hasTwoHistories && node == 1)))
            } else if IssuerTown.witnesses.contains(node) {
                let witness = IssuerWitness(
                    node, town: town, lie: node == IssuerTown.witnesses.lowerBound ? lie : .none)
                network.add(IssuerNode(town, witness: witness))
            } else if node == IssuerTown.arbiter {
                network.add(IssuerNode(town))
            } else {
                // Of the six of each issuer two are honest, and the others each something else.
                let place = (node - IssuerTown.members.lowerBound) % 6
                let kind = place < 5 ? IssuerMember.Kind.allCases[place] : .honest
                network.add(IssuerNode(town, member: IssuerMember(node, town: town, kind: kind)))
            }
        }
    }

    private func plan(_ network: inout VirtualNetwork<IssuerNode>, _ dice: inout SeededGenerator) {
        func someone() -> Int { IssuerTown.members.lowerBound + Int(dice.next() % UInt64(IssuerTown.members.count)) }
        func submit(_ number: UInt64, from one: Int, to other: Int, _ price: UInt64, at milliseconds: Int64) {
            network.command(
                .submit(number, executor: other, price: price), to: SimulatedNodeID(one),
                at: .zero.advanced(milliseconds: milliseconds))
        }
        for number in 0..<UInt64(jobs) {
            let one = someone()
            var other = someone()
            while other == one { other = someone() }
            submit(number, from: one, to: other, IssuerTown.price.units, at: 3_000 + Int64(dice.next() % 50_000))
        }
        // A griefer holds for one executor as often as it may, and a member spends its line twice at once.
        let (griefer, victim) = (IssuerTown.members.lowerBound + 5, IssuerTown.members.lowerBound)
        for number in 0..<UInt64(24) { submit(Self.idleJobs + number, from: griefer, to: victim, 50, at: 2_000) }
        let spender = IssuerTown.members.lowerBound
        submit(Self.dearJobs.lowerBound, from: spender, to: spender + 1, 5_000, at: 2_000)
        // 1,500 in the other unit cost 5,000 in this one.
        submit(Self.dearJobs.upperBound, from: spender, to: spender + 6, 1_500, at: 2_000)
    }
}
