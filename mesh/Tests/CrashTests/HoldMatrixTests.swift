import Foundation
import Testing

extension CrashMatrixTests {
    /// Jobs by credit, whose four sides die at the writes of hold, run, settlement, claim and dispute
    /// (`make crash-matrix`).
    @Suite("Nodes killed at the writes of holds", .serialized)
    struct HoldMatrixTests: IssuerCommanding {
        /// What a job comes to.
        private static let price: Int64 = 10
        /// The names of entries by which a hold ends.
        private static let ends = ["hold_settled", "hold_released", "hold_expired", "claim_decided", "claim_paid"]

        @Test("Whoever dies at a write of a hold: all is conserved, each hold ends once, and nothing stays reserved")
        func everyWriteOfHolds() throws {
            let mesh = try HoldMesh()
            try settle(mesh)
            try hold(mesh)
            var jobs: [HoldMesh.Fate: String] = [:]
            for fate in HoldMesh.Fate.allCases { jobs[fate] = try mesh.job(fate) }
            let claimed = try [HoldMesh.Fate.vanished, .returned, .disputed].map { try #require(jobs[$0]) }
            try lodge(mesh, claimed)
            let backups = (arbiter: try mesh.backUp(mesh.arbiter), executor: try mesh.backUp(mesh.executor))
            let spoilt = try #require(try mesh.credit(claimed[2], at: mesh.executor)?["hold"] as? String)
            try claim(mesh, claimed) { try mesh.restoreArbiter(backups.arbiter, spoiling: spoilt) }
            try comeBack(mesh, claimed[1])
            try dispute(mesh, claimed[2])
            try pay(mesh, claimed)
            try expire(mesh)
            try expectProofs(claimed, at: mesh.executor, in: mesh)
            mesh.executor.kill()
            let restored = try mesh.restored(backups.executor)
            defer { restored.kill() }
            try mesh.startUp(restored)
            try expectProofs(claimed, at: restored, in: mesh)
            try expectBooks(mesh, jobs, executor: restored)
        }

        // MARK: Hold and settlement

        /// A job that goes well, but for the deaths at its settlement.
        private func settle(_ mesh: HoldMesh) throws {
            let node = try mesh.originator(.settled)
            try mesh.die(node, at: "originator:settled") { try mesh.submit(.settled) }
            try mesh.die(mesh.issuer, at: "issuer:hold_settled") { try mesh.startUp(node) }
            try mesh.startUp(mesh.issuer)
            let job = try mesh.job(.settled)
            for side in [node, mesh.executor] { try mesh.wait(job, is: "paid", at: side) }
            node.kill()
        }

        /// Jobs whose originators die at each write until they have a hold, and in the end do not come back.
        private func hold(_ mesh: HoldMesh) throws {
            let away = (side: "before", point: "originator:receipt_accepted")
            let returned = try mesh.originator(.returned)
            for point in ["originator:hold_awaited", "booking:hold_ordered", "originator:hold_given"] {
                try mesh.die(returned, at: point) { try mesh.submit(.returned) }
            }
            try mesh.start(returned, away.side, away.point)
            try mesh.expectDeath(returned, away.side, away.point)
            let vanished = try mesh.originator(.vanished)
            try mesh.start(mesh.executor, "before", "executor:hold_taken")
            try mesh.executor.waitUntilUp()
            try mesh.start(vanished, away.side, away.point)
            try mesh.submit(.vanished)
            try mesh.expectDeath(mesh.executor, "before", "executor:hold_taken")
            try mesh.start(mesh.executor, "after", "executor:hold_taken")
            try mesh.expectDeath(mesh.executor, "after", "executor:hold_taken")
            try mesh.startUp(mesh.executor)
            try mesh.expectDeath(vanished, away.side, away.point)
            let disputed = try mesh.originator(.disputed)
            mesh.issuer.kill()
            try mesh.die(disputed, at: "originator:hold_delayed") { try mesh.submit(.disputed) }
            try mesh.start(disputed, away.side, away.point)
            try mesh.die(mesh.issuer, at: "issuer:hold_granted")
            try mesh.startUp(mesh.issuer)
            try mesh.expectDeath(disputed, away.side, away.point)
            let expired = try mesh.originator(.expired)
            try mesh.start(expired, "after", "originator:hold_given")
            try mesh.submit(.expired)
            try mesh.expectDeath(expired, "after", "originator:hold_given")
        }

        // MARK: Claims

        /// The executor leaves what its originators do not fetch with the arbiter.
        private func lodge(_ mesh: HoldMesh, _ jobs: [String]) throws {
            try mesh.later(seconds: 640)
            try mesh.startUp(mesh.issuer)
            try mesh.start(mesh.executor, "before", "executor:delivery_proved")
            try mesh.die(mesh.arbiter, at: "arbiter:result_kept")
            try mesh.startUp(mesh.arbiter)
            try mesh.expectDeath(mesh.executor, "before", "executor:delivery_proved")
            try mesh.start(mesh.executor, "after", "executor:delivery_proved")
            try mesh.expectDeath(mesh.executor, "after", "executor:delivery_proved")
            try mesh.startUp(mesh.executor)
            for job in jobs { try mesh.wait(job, is: "due", at: mesh.executor) }
        }

        /// The executor claims, by what the arbiter said.
        private func claim(_ mesh: HoldMesh, _ jobs: [String], _ meanwhile: () throws -> Void) throws {
            try mesh.later(seconds: 650)
            try meanwhile()
            try mesh.start(mesh.executor, "before", "booking:claimed")
            try mesh.die(mesh.issuer, at: "issuer:claim_lodged")
            try mesh.startUp(mesh.issuer)
            try mesh.expectDeath(mesh.executor, "before", "booking:claimed")
            try mesh.start(mesh.executor, "after", "booking:claimed")
            try mesh.expectDeath(mesh.executor, "after", "booking:claimed")
            try mesh.startUp(mesh.executor)
            for job in jobs { try mesh.wait(job, is: "claimed", at: mesh.executor) }
            // From now on the arbiter alone has the results.
            mesh.executor.kill()
        }

        /// An originator finds the claim, has its result from the arbiter, and settles.
        private func comeBack(_ mesh: HoldMesh, _ job: String) throws {
            try mesh.startUp(mesh.arbiter)
            let node = try mesh.originator(.returned)
            for point in ["booking:claim_paid_due", "originator:receipt_accepted"] {
                try mesh.die(node, at: point)
            }
            try mesh.die(mesh.issuer, at: "issuer:hold_settled") { try mesh.startUp(node) }
            try mesh.startUp(mesh.issuer)
            try mesh.wait(job, is: "paid", at: node)
            #expect(try node.run(["wait", job]).status == 0)
            node.kill()
        }

        /// An originator finds the claim, and something else than its result with the arbiter, which says so.
        private func dispute(_ mesh: HoldMesh, _ job: String) throws {
            let node = try mesh.originator(.disputed)
            try mesh.die(node, at: "booking:claim_paid_due")
            try mesh.die(node, at: "booking:claim_disputed_due")
            // Else it might decide before it is to die at that.
            mesh.arbiter.kill()
            try mesh.die(mesh.issuer, at: "issuer:claim_disputed") { try mesh.startUp(node) }
            try mesh.startUp(mesh.issuer)
            try mesh.wait(job, is: "disputed", at: node)
            // It asks soon after each start.
            try mesh.die(mesh.arbiter, at: "arbiter:decided") { try mesh.startUp(node) }
            node.kill()
            try mesh.startUp(mesh.arbiter)
            try mesh.die(node, at: "booking:claim_decided_due")
            try mesh.die(mesh.issuer, at: "issuer:claim_decided") { try mesh.startUp(node) }
            try mesh.startUp(mesh.issuer)
            try mesh.wait(job, is: "released", at: node)
            node.kill()
        }

        // MARK: Ends

        /// What nobody disputed in time is paid.
        private func pay(_ mesh: HoldMesh, _ jobs: [String]) throws {
            try mesh.later(seconds: 1_150)
            try mesh.die(mesh.issuer, at: "issuer:claim_paid")
            try mesh.startUp(mesh.issuer)
            try mesh.die(mesh.executor, at: "booking:ended")
            try mesh.startUp(mesh.executor)
            try expectProofs(jobs, at: mesh.executor, in: mesh)
        }

        /// What nobody claimed expires; its originator goes on without.
        private func expire(_ mesh: HoldMesh) throws {
            try mesh.later(seconds: 3_600)
            try mesh.die(mesh.issuer, at: "issuer:hold_expired")
            try mesh.startUp(mesh.issuer)
            try mesh.startUp(mesh.executor)
            let node = try mesh.originator(.expired)
            try mesh.startUp(node)
            let job = try mesh.job(.expired)
            try eventually("the job is over", seconds: 120) {
                try mesh.clock.passSecond()
                return try RareWrite.isOver(job, node)
            }
            try eventually("nothing is reserved", seconds: 120) {
                try mesh.clock.passSecond()
                let lines = try lines(mesh)
                return lines.allSatisfy { line in
                    ["leaving", "coming"].allSatisfy { (line[$0] as? NSNumber)?.intValue == 0 }
                }
            }
            node.kill()
        }

        private func lines(_ mesh: HoldMesh) throws -> [[String: Any]] {
            try #require(try mesh.issuer.run(["issuer", "members", "--json"]).json() as? [[String: Any]])
        }

        /// An executor knows by the issuer's log how each claim ended.
        private func expectProofs(_ claimed: [String], at executor: NodeProcess, in mesh: HoldMesh) throws {
            for (job, state) in zip(claimed, ["paid", "paid", "released"]) {
                try mesh.wait(job, is: state, at: executor)
            }
        }

        /// All sums are what the jobs come to, every hold ended once, and an auditor finds nothing.
        private func expectBooks(
            _ mesh: HoldMesh, _ jobs: [HoldMesh.Fate: String], executor: NodeProcess
        ) throws {
            let balances = try balances(mesh.issuer)
            #expect(balances.values.reduce(0, +) == 0, "\(balances)")
            for (fate, least) in [HoldMesh.Fate.settled: 1, .vanished: 1, .returned: 1, .disputed: 0] {
                let name = try #require(mesh.dids[fate])
                #expect(balances[name] == -Self.price * Int64(least), "\(fate): \(balances)")
            }
            // It lost a dispute, so its own entries do not come to its balance; those of all do, below.
            let told = try executor.run(["issuer", "statement", "--issuer", mesh.issuerDID, "--json"])
            let statement = try #require(try told.json() as? [String: Any])
            let bookings = try #require(statement["bookings"] as? [[String: Any]])
            for (fate, job) in jobs {
                let kinds = bookings.filter { $0["job_id"] as? String == job }.compactMap { $0["kind"] as? String }
                let ended = kinds.count { Self.ends.contains($0) }
                #expect(ended == kinds.count { $0 == "hold_granted" } && ended > 0, "\(fate): \(kinds)")
                let paid = kinds.count { $0 == "hold_settled" || $0 == "claim_paid" }
                #expect(paid <= 1 && (paid == 1 || fate == .disputed || fate == .expired), "\(fate): \(kinds)")
            }
            let auditor = try mesh.originator(.settled)
            try mesh.startUp(auditor)
            let audit = try object(auditor.run(["issuer", "audit", "--issuer", mesh.issuerDID, "--json"]))
            #expect(audit["is_whole"] as? Bool == true && audit["finding"] == nil, "\(audit)")
        }
    }
}
