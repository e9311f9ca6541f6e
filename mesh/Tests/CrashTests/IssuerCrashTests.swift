import Foundation
import Testing

/// A cooperative by its real programs, whose issuer is killed.
@Suite("An issuer that is killed", .serialized)
struct IssuerCrashTests: IssuerCommanding {
    /// Pays again and again, with kills on both sides of a booking; what was paid.
    private func pay(
        _ payee: String, by payer: NodeProcess, at issuer: NodeProcess, _ at: [String]
    ) throws -> Int64 {
        var paid: Int64 = 0
        for (number, side) in ["before", "after", "before", "after"].enumerated() {
            issuer.kill()
            try issuer.start(
                crashAfter: side == "after" ? "issuer:transferred:2" : nil,
                crashBefore: side == "before" ? "issuer:transferred:2" : nil)
            try issuer.waitUntilUp()
            for pass in 0..<2 {
                let pay = ["pay", payee, "1.25", "--idempotency-key", "\(number)-\(pass)"] + at
                if pass == 1 {
                    let running = try RunningCommand(pay + ["--home", payer.home.path])
                    #expect(issuer.waitForCrash())
                    #expect(try running.finish().status != 0)
                    try issuer.start()
                    try issuer.waitUntilUp()
                }
                // The same key, until the issuer is reached again.
                try eventually("the payment is booked") { try payer.run(pay).status == 0 }
                paid += 125
            }
            #expect(try balances(issuer) == [try did(payer): -paid, payee: paid])
        }
        return paid
    }

    @Test("Limits by two officers, payments, kills on both sides of a booking: nothing is lost, nothing twice")
    func cooperative() throws {
        let folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let issuer = try NodeProcess("issuer", in: folder, [])
        try issuer.start()
        try issuer.waitUntilUp()
        // From now on it has this address.
        let address = try issuer.address()
        let port = try #require(address.split(separator: "/").dropFirst(3).first)
        try issuer.configure("listen", ["/ip4/127.0.0.1/tcp/\(port)"])
        var others: [NodeProcess] = []
        for name in ["first", "second", "payer", "payee"] {
            let node = try NodeProcess(name, in: folder, ["--bootstrap", address])
            try node.start()
            others.append(node)
        }
        for node in others { try node.waitUntilUp() }
        let (first, second, payer, payee) = (others[0], others[1], others[2], others[3])
        let name = try did(issuer)
        let founded = try issuer.run([
            "issuer", "found", "--unit", "hours", "--officer", did(first), "--officer", did(second),
        ])
        #expect(founded.status == 0, "\(founded.errors)")
        let at = ["--issuer", name, "--json"]
        for member in [payer, payee] {
            let order = try object(
                first.run(["issuer", "order", "limit", did(member), "--owed", "10.00", "--owing", "20.00"] + at))
            #expect(order["entry"] == nil)
            let cid = try #require(order["order_cid"] as? String)
            #expect(try object(second.run(["issuer", "approve", cid] + at))["entry"] != nil)
        }
        let paid = try pay(did(payee), by: payer, at: issuer, at)
        let statement = try object(payer.run(["issuer", "statement"] + at))
        #expect(statement["is_complete"] as? Bool == true)
        let bookings = try #require(statement["bookings"] as? [[String: Any]])
        #expect(bookings.count == 9)
        // No more than the line allows.
        let refused = try payer.run(["pay", try did(payee), "0.01"] + at)
        #expect(refused.status == 245, "\(refused.errors)")
        let appointed = try object(second.run(["issuer", "order", "appoint", did(payee)] + at))
        let cid = try #require(appointed["order_cid"] as? String)
        #expect(try object(first.run(["issuer", "approve", cid] + at))["entry"] != nil)
        let audit = try object(payee.run(["issuer", "audit"] + at))
        #expect(audit["is_whole"] as? Bool == true && audit["finding"] == nil)
        let totals = try #require((audit["totals"] as? [[String: Any]])?.first)
        #expect((totals["owed"] as? NSNumber)?.int64Value == paid && (totals["owing"] as? NSNumber)?.int64Value == paid)
        let ledger = try payee.run(["issuer", "ledger", "--issuer", name]).output
        #expect(!ledger.contains("* Opening balances") && ledger.contains("; closing Liabilities"), "\(ledger)")
        #expect(ledger.split(separator: "\n").count { $0.contains(" transferred") } == 8, "\(ledger)")
        #expect(try payer.run(["issuer", "balance"] + at).status == 245, "it is no auditor")
        let trial = try payee.run(["issuer", "balance", "--issuer", name]).output
        #expect(trial.contains("all together") && trial.contains("-10.00"), "\(trial)")
        let wallet = try payer.run(["wallet"])
        #expect(wallet.output.contains("-10.00"), "\(wallet.output)")
        for node in others + [issuer] { node.kill() }
    }
}
