import Foundation
import Testing

/// A cooperative by its real programs, whose issuer goes on from a backup, with all that its witnesses keep.
@Suite("An issuer that is restored", .serialized)
struct IssuerRestoreTests: IssuerCommanding {
    private let folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")

    private func order(_ words: [String], by officers: [NodeProcess], _ at: [String]) throws {
        let made = try object(officers[0].run(["issuer", "order"] + words + at))
        let cid = try #require(made["order_cid"] as? String)
        #expect(try object(officers[1].run(["issuer", "approve", cid] + at))["entry"] != nil)
    }

    /// A node that takes part, which knows the issuer from its configuration.
    private func member(_ name: String, at address: String, witnessing issuer: String? = nil) throws -> NodeProcess {
        let node = try NodeProcess(name, in: folder, ["--no-executor", "--bootstrap", address])
        if let issuer { try node.configure("witness", "issuers", [issuer]) }
        try node.start()
        return node
    }

    private func pay(_ key: String, _ payee: NodeProcess, by payer: NodeProcess, _ at: [String]) throws {
        let pay = ["pay", try did(payee), "1.25", "--idempotency-key", key] + at
        try eventually("the payment \(key) is booked") { try payer.run(pay).status == 0 }
    }

    /// Has a witness die at what it keeps, on both sides of the write; what is paid meanwhile others keep.
    private func killWitness(_ witness: NodeProcess, _ pay: (String) throws -> Void) throws {
        for side in ["before", "after"] {
            witness.kill()
            try witness.start(
                crashAfter: side == "after" ? "replica:accepted" : nil,
                crashBefore: side == "before" ? "replica:accepted" : nil)
            try pay("witness-\(side)")
            #expect(witness.waitForCrash(), "no death \(side)")
        }
        try witness.start()
        try witness.waitUntilUp()
    }

    @Test("What was booked after the backup is there again, whoever was killed, and the book goes on")
    func restored() throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let issuer = try NodeProcess("issuer", in: folder, ["--no-executor"])
        try issuer.start()
        try issuer.waitUntilUp()
        // From now on it has this address.
        let address = try issuer.address()
        let port = try #require(address.split(separator: "/").dropFirst(3).first)
        try issuer.configure("listen", ["/ip4/127.0.0.1/tcp/\(port)"])
        let name = try did(issuer)
        let witnesses = try ["w1", "w2", "w3"].map { try member($0, at: address, witnessing: name) }
        let members = try ["first", "second", "payer", "payee"].map { try member($0, at: address) }
        for node in witnesses + members { try node.waitUntilUp() }
        defer { for node in witnesses + members + [issuer] { node.kill() } }
        let (officers, payer, payee) = (Array(members.prefix(2)), members[2], members[3])
        let founded = try issuer.run(
            ["issuer", "found", "--unit", "hours"] + officers.flatMap { ["--officer", try did($0)] }
                + witnesses.flatMap { ["--witness", try did($0)] })
        #expect(founded.status == 0, "\(founded.errors)")
        let at = ["--issuer", name, "--json"]
        // Its witnesses keep the first entry before it takes others.
        try eventually("the book is open") { try object(issuer.run(["issuer", "show", "--json"]))["obstacle"] == nil }
        for member in [payer, payee] {
            try order(["limit", did(member), "--owed", "50.00", "--owing", "50.00"], by: officers, at)
        }
        try order(["appoint", did(payee)], by: officers, at)
        try pay("1", payee, by: payer, at)
        let backup = folder.appendingPathComponent("issuer.backup")
        let made = try issuer.run(["backup", backup.path])
        try #require(made.status == 0, "\(made.errors)")
        for key in ["2", "3"] { try pay(key, payee, by: payer, at) }
        try killWitness(witnesses[0]) { try pay($0, payee, by: payer, at) }
        // It dies with an entry on its disk that nobody was shown, or that its witnesses keep.
        issuer.kill()
        try issuer.start(crashAfter: "issuer:transferred")
        let last = ["pay", try did(payee), "1.25", "--idempotency-key", "last"] + at
        // Until a quorum of the witnesses answers, it takes nothing.
        try eventually("the issuer dies as it takes it") {
            if issuer.isRunning { _ = try payer.run(last) }
            return !issuer.isRunning
        }
        #expect(issuer.waitForCrash())
        let home = folder.appendingPathComponent("restored")
        let restored = try NodeProcess.command(["restore", backup.path, "--home", home.path])
        try #require(restored.status == 0, "\(restored.errors)")
        let again = NodeProcess(home: home)
        try again.start()
        try again.waitUntilUp()
        defer { again.kill() }
        try pay("last", payee, by: payer, at)
        #expect(try balances(again) == [try did(payer): -750, try did(payee): 750])
        let statement = try object(payer.run(["issuer", "statement"] + at))
        #expect(statement["is_complete"] as? Bool == true)
        #expect((statement["bookings"] as? [[String: Any]])?.count { $0["kind"] as? String == "transferred" } == 6)
        let audit = try object(payee.run(["issuer", "audit"] + at))
        #expect(audit["is_whole"] as? Bool == true && audit["finding"] == nil, "\(audit)")
        let shown = try object(again.run(["issuer", "show", "--json"]))
        #expect(shown["obstacle"] == nil, "\(shown)")
    }
}
