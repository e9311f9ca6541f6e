import Foundation
import GRDB
import Multiformats
import Testing

/// A cooperative of real programs, with clocks that can be put forward: its issuer, two officers, an executor, an
/// arbiter, and an originator for each way that a hold can go. All have ports of their own, so that they find each
/// other whoever died.
final class HoldMesh: IssuerCommanding {
    /// What becomes of the hold of an originator's job.
    enum Fate: String, CaseIterable {
        /// It is settled as it should be.
        case settled
        /// It is claimed, and paid in the end, as its originator does not come back.
        case vanished
        /// It is claimed, and then settled by its originator, which comes back.
        case returned
        /// It is claimed, and disputed by its originator: nothing is due.
        case disputed
        /// It is never used, and expires.
        case expired
    }

    let folder: URL
    let clock: LaterClock
    let issuer: NodeProcess
    let officers: [NodeProcess]
    let executor: NodeProcess
    private(set) var arbiter: NodeProcess
    let originators: [Fate: NodeProcess]
    let issuerDID: String
    /// The DIDs of the originators, which may be dead.
    private(set) var dids: [Fate: String] = [:]
    private var module: String { folder.appendingPathComponent("count.wasm").path }
    private var others: [NodeProcess] { [executor, arbiter] + Fate.allCases.compactMap { originators[$0] } }

    init() throws {
        let folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let clock = try LaterClock(in: folder)
        let issuer = try NodeProcess("issuer", in: folder, ["--no-executor"])
        try issuer.start(environment: clock.environment)
        try issuer.waitUntilUp()
        let entrance = try Self.fixPort(issuer)
        func made(_ name: String, _ options: [String] = ["--no-executor"]) throws -> NodeProcess {
            try NodeProcess(name, in: folder, options + ["--bootstrap", entrance])
        }
        (self.folder, self.clock, self.issuer) = (folder, clock, issuer)
        officers = [try made("first"), try made("second")]
        executor = try made("executor", ["--executor"])
        arbiter = try made("arbiter")
        originators = Dictionary(uniqueKeysWithValues: try Fate.allCases.map { ($0, try made($0.rawValue)) })
        let status = try #require(try issuer.run(["status", "--json"]).json() as? [String: Any])
        issuerDID = try #require(status["did"] as? String)
        try executor.configure("executor", "issuers", ["\(issuerDID) hours/2 0.10 0.00"])
        try arbiter.configure("arbiter", "issuers", [issuerDID])
        try Data(CountdownModule.bytes(rounds: 1_000_000)).write(to: URL(fileURLWithPath: module))
        for node in officers + others {
            try node.start(environment: clock.environment)
            // A job may wait for bids while its nodes are dead.
            try node.configure("originator", "bidding_deadline_ms", 600_000)
        }
        for node in officers + others {
            try node.waitUntilUp()
            _ = try Self.fixPort(node)
        }
        try found()
    }

    deinit {
        for node in officers + others + [issuer] { node.kill() }
        try? FileManager.default.removeItem(at: folder)
    }

    /// Has a node listen where it does now, from its next start on.
    private static func fixPort(_ node: NodeProcess) throws -> String {
        let address = try node.address()
        let port = try #require(address.split(separator: "/").dropFirst(3).first)
        try node.configure("listen", ["/ip4/127.0.0.1/tcp/\(port)"])
        return address
    }

    /// Founds the book, opens a line for everybody, and leaves issuer, executor and arbiter running.
    private func found() throws {
        let founded = try issuer.run([
            "issuer", "found", "--unit", "hours", "--officer", did(officers[0]), "--officer", did(officers[1]),
            "--arbiter", did(arbiter),
        ])
        try #require(founded.status == 0, "\(founded.errors)")
        let members = Fate.allCases.compactMap { originators[$0] }
        for member in [executor] + members {
            try order(["limit", try did(member), "--owed", "99.00", "--owing", "99.00"])
        }
        // An officer is appointed by others than itself.
        try order(["appoint", try did(originator(.settled))])
        for fate in Fate.allCases { dids[fate] = try did(originator(fate)) }
        for node in members {
            // So it knows its line when the issuer is dead.
            _ = try object(node.run(["issuer", "show", "--issuer", issuerDID, "--json"]))
        }
        for node in officers + members { node.kill() }
    }

    private func order(_ words: [String]) throws {
        let at = ["--issuer", issuerDID, "--json"]
        let made = try object(officers[0].run(["issuer", "order"] + words + at))
        let cid = try #require(made["order_cid"] as? String)
        #expect(try object(officers[1].run(["issuer", "approve", cid] + at))["entry"] != nil)
    }

    // MARK: Jobs

    /// The originator of a fate.
    func originator(_ fate: Fate) throws -> NodeProcess { try #require(originators[fate]) }

    /// Submits the job of a fate; a node that dies meanwhile has it, or is given it again in its next life.
    func submit(_ fate: Fate) throws {
        let node = try originator(fate)
        try eventually("\(fate) has its job") {
            let run = try node.run([
                "run", module, "--pay-by", issuerDID, "--budget", "500", "--max-fuel", "100M", "--timeout", "120",
                "--idempotency-key", fate.rawValue, "--detach",
            ])
            return run.status == 0 || !node.isRunning
        }
    }

    /// The job of a fate, as the disk of its originator has it, which may be dead.
    func job(_ fate: Fate) throws -> String {
        let queue = try DatabaseQueue(path: try originator(fate).home.appendingPathComponent("mesh.sqlite").path)
        let ids = try queue.read { try Data.fetchAll($0, sql: "SELECT job_id FROM jobs") }
        try queue.close()
        #expect(ids.count == 1)
        return try CID(bytes: Array(try #require(ids.first))).text
    }

    /// The newest hold of a job, as a node shows it; nil while it shows none.
    func credit(_ job: String, at node: NodeProcess) throws -> [String: Any]? {
        let shown = try node.run(["describe", job, "--json"])
        guard shown.status == 0, let page = try shown.json() as? [String: Any] else { return nil }
        return (page["credit"] as? [[String: Any]])?.last
    }

    /// Waits until a hold is so at a node; a second passes with each look.
    func wait(_ job: String, is state: String, at node: NodeProcess) throws {
        var last: String?
        do {
            try eventually("the hold is \(state) at \(node.home.lastPathComponent)", seconds: 120) {
                try clock.passSecond()
                last = try credit(job, at: node)?["state"] as? String
                return last == state
            }
        } catch {
            Issue.record("\(error): it is \(last ?? "none"); \(node.log.suffix(1_500))")
            throw error
        }
    }

    // MARK: Deaths

    /// Starts a node again; it dies on a side of a write.
    func start(_ node: NodeProcess, _ side: String? = nil, _ point: String? = nil) throws {
        node.kill()
        try node.start(
            crashAfter: side == "after" ? point : nil, crashBefore: side == "before" ? point : nil,
            environment: clock.environment)
    }

    /// Starts a node again, and waits until it answers.
    func startUp(_ node: NodeProcess) throws {
        try start(node)
        try node.waitUntilUp()
    }

    /// Waits until a node has died at its write; seconds pass meanwhile.
    func expectDeath(_ node: NodeProcess, _ side: String, _ point: String) throws {
        for _ in 0..<600 {
            if node.waitForCrash(seconds: 0.2) { return }
            guard node.isRunning else { break }
            try clock.passSecond()
        }
        Issue.record("no death \(side) \(point) of \(node.home.lastPathComponent): \(node.log.suffix(2_000))")
        throw NotInTime(what: "a death \(side) \(point)", seconds: 120)
    }

    /// Lets a node die before and after a write, and leaves it dead.
    ///
    /// - Parameter meanwhile: makes that it writes, in each of its lives.
    func die(_ node: NodeProcess, at point: String, _ meanwhile: () throws -> Void = {}) throws {
        for side in ["before", "after"] {
            try start(node, side, point)
            try meanwhile()
            try expectDeath(node, side, point)
        }
    }

    /// All nodes die; those that are started afterwards live so much later.
    func later(seconds: Int64) throws {
        for node in officers + others + [issuer] { node.kill() }
        try clock.putForward(seconds: seconds)
    }

    // MARK: Homes

    /// Backs a running node up.
    func backUp(_ node: NodeProcess) throws -> URL {
        let file = folder.appendingPathComponent("\(node.home.lastPathComponent).backup")
        let made = try node.run(["backup", file.path])
        try #require(made.status == 0, "\(made.errors)")
        return file
    }

    /// The node of a backup, in a home of its own.
    func restored(_ file: URL) throws -> NodeProcess {
        let home = folder.appendingPathComponent(file.deletingPathExtension().lastPathComponent + "-restored")
        let restored = try NodeProcess.command(["restore", file.path, "--home", home.path])
        try #require(restored.status == 0, "\(restored.errors)")
        return NodeProcess(home: home)
    }

    /// The arbiter goes on from a backup, in which what it keeps for a hold is something else.
    func restoreArbiter(_ file: URL, spoiling hold: String) throws {
        arbiter.kill()
        arbiter = try restored(file)
        let queue = try DatabaseQueue(path: arbiter.home.appendingPathComponent("mesh.sqlite").path)
        let spoilt = try queue.write { db in
            let holds = try Data.fetchAll(db, sql: "SELECT DISTINCT hold FROM lodged_parts")
            let own = try holds.filter { try CID(bytes: Array($0)).text == hold }
            for hold in own {
                try db.execute(
                    sql: "UPDATE lodged_parts SET bytes = zeroblob(length(bytes)) WHERE hold = ?", arguments: [hold])
            }
            return own.count
        }
        try queue.close()
        #expect(spoilt == 1, "\(hold)")
    }
}
