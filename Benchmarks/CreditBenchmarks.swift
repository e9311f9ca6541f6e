import ArgumentParser
import Credit
import Foundation
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import PeerIdentity
import PlanetaryMesh
import SignedObjects

/// Holds that an issuer grants and settles, each on the disk before its answer (`fsync`); and the audit of its book.
///
/// Orders, receipts and settlements are signed before; what the issuer verifies and signs counts. At first its book and
/// its database alone, in this process. Then a whole node, asked by 64 members with a swarm each over loopback TCP,
/// Noise and Yamux: the two events alone, and with the head and the entry by which a member has each of them proved.
struct CreditBenchmarks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "credit", abstract: "Holds that an issuer grants and settles, with its disk; its book audited.")

    @Option(help: "Pairs of a hold and its settlement.") var pairs = 2_000
    @Option(help: "Pairs at the same time.") var inFlight = 32
    @Option(help: "Books, one after the other.") var runs = 5
    @Option(help: "Measures one alone: desk, wire, proved or audit.") var only: String?
    @Flag(help: "Print JSON.") var json = false

    func validate() throws {
        guard pairs > 0, inFlight > 0, runs > 0 else { throw ValidationError("All numbers must be positive.") }
    }

    func run() async throws {
        var figures: [Measurement] = []
        func measure(_ name: String, _ body: () async throws -> PairTimes) async throws {
            if let only, only != name { return }
            var all = PairTimes()
            for _ in 0..<runs { all.add(try await body()) }
            figures += all.measurements("\(name), \(inFlight) at once", pairs: pairs)
        }
        try await measure("desk") { try await atDesk() }
        try await measure("wire") { try await overWire(isProved: false) }
        try await measure("proved") { try await overWire(isProved: true) }
        if only.map({ $0 == "audit" }) ?? true {
            var times: [Double] = []
            for _ in 0..<runs { times.append(try await audited()) }
            figures.append(Measurement("book of \(2 * pairs + 66) entries: audit", microseconds: times))
        }
        try Measurement.report(figures, asJSON: json)
    }

    /// Gives all pairs, so many at once.
    private func give(
        _ pairs: [CreditBook.Pair], _ ask: @escaping @Sendable (BookEvent, Identity) async throws -> Void
    ) async throws -> PairTimes {
        let clock = ContinuousClock()
        let (begunAt, processor) = (clock.now, ProcessorTime.microseconds())
        var times = PairTimes()
        times.each = try await withThrowingTaskGroup(of: Double.self) { group in
            var (next, times) = (0, [Double]())
            func begin() {
                guard next < pairs.count else { return }
                let pair = pairs[next]
                next += 1
                group.addTask {
                    let begunAt = clock.now
                    try await ask(pair.hold, pair.originator)
                    try await ask(pair.settlement, pair.executor)
                    return Double((clock.now - begunAt) / .microseconds(1))
                }
            }
            for _ in 0..<inFlight { begin() }
            while let time = try await group.next() {
                times.append(time)
                begin()
            }
            return times
        }
        times.whole = [Double((clock.now - begunAt) / .microseconds(1)) / Double(pairs.count)]
        times.processor = [Double(ProcessorTime.microseconds() - processor) / Double(pairs.count)]
        return times
    }

    /// The book and its database alone.
    private func atDesk() async throws -> PairTimes {
        let folder = try Self.folder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let book = CreditBook(issuer: .generate())
        let store = try MeshStore(
            path: folder.appendingPathComponent("mesh.sqlite").path, owner: book.issuer.did.text)
        let desk = IssuerDesk(identity: book.issuer, store: store)
        _ = try await desk.found(book.founding)
        let signed = try await book.prepared(pairs: pairs) { await desk.answer($0, for: $1.did) }
        let times = try await give(signed) { event, member in
            let answer = await desk.answer(.submit(event: event), for: member.did)
            guard case .taken = answer else { throw CreditBook.Fault.refused(answer) }
        }
        try store.close()
        return times
    }

    // MARK: Over the wire

    private func overWire(isProved: Bool) async throws -> PairTimes {
        try await CreditWire.run { wire in
            let signed = try await wire.book.prepared(pairs: pairs) { try await wire.ask($0, by: $1) }
            return try await give(signed) { event, member in
                try await wire.give(event, by: member, isProved: isProved)
            }
        }
    }

    /// How long a member whom the officers appointed takes to audit a book that it did not know.
    private func audited() async throws -> Double {
        let auditor = Identity.generate()
        return try await CreditWire.run { wire in
            let signed = try await wire.book.prepared(pairs: pairs) { try await wire.ask($0, by: $1) }
            _ = try await give(signed) { event, member in
                try await wire.give(event, by: member, isProved: false)
            }
            try await wire.appoint(auditor)
            let address = try await wire.node.status().addresses.map { try Multiaddr(parsing: $0) }
            let home = try Self.folder()
            defer { try? FileManager.default.removeItem(at: home) }
            let node = try await BenchNode.open(home.path, auditor) { $0.bootstrap = address }
            return try await BenchNode.running(node) {
                _ = try await node.connect(address[0])
                let clock = ContinuousClock()
                let begunAt = clock.now
                let view = try await node.audit(wire.book.issuer.did.text)
                guard view.isWhole, view.finding == nil else { throw CreditBook.Fault.wrong("book") }
                return Double((clock.now - begunAt) / .microseconds(1))
            }
        }
    }

    static func folder() throws -> URL {
        let folder = URL(fileURLWithPath: "/tmp/mesh-bench-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }
}

/// How long pairs took, in microseconds.
struct PairTimes {
    /// One pair, from its order to the settled answer.
    var each: [Double] = []
    /// Of each book the time for a pair, with as many at once.
    var whole: [Double] = []
    /// Of each book the processor time of this process for a pair: without the disk it is what one core takes.
    var processor: [Double] = []

    mutating func add(_ other: PairTimes) {
        each += other.each
        whole += other.whole
        processor += other.processor
    }

    func measurements(_ name: String, pairs: Int) -> [Measurement] {
        [
            Measurement("\(name): a pair apart", operations: whole.count * pairs, microseconds: whole),
            Measurement("the same: from order to settled", microseconds: each),
            Measurement("the same: processor time", operations: processor.count * pairs, microseconds: processor),
        ]
    }
}
