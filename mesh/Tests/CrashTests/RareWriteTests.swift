import Foundation
import Testing

extension CrashMatrixTests {
    /// Writes that a job or a workflow that goes well never makes: a node dies on both sides of each
    /// (`make crash-matrix`).
    @Suite("Nodes killed at rare writes", .serialized)
    struct RareWriteTests {
        private func workflow(_ id: String, _ node: NodeProcess) throws -> [String: Any]? {
            (try node.run(["workflow", "show", id, "--json"]).json() as? [String: Any])?["workflow"] as? [String: Any]
        }

        private func begun(_ node: NodeProcess, _ key: String, _ plan: String) throws -> String? {
            let run = try node.run(["workflow", "run", "--detach", "--key", key, plan])
            return run.status == 0 ? run.output.trimmingCharacters(in: .whitespacesAndNewlines) : nil
        }

        /// A job that its owner cancels while it runs.
        private func cancelledJob(_ module: String) -> RareWrite {
            let arguments = [module, "--max-fuel", "900G", "--sufficient-bids", "1"]
            return RareWrite(events: ["originator:cancellation_requested", "originator:result_reached"]) {
                node, key in
                guard let id = try RareWrite.job(node, key, arguments) else { return }
                try eventually("the job runs, or the node is dead") {
                    try !node.isRunning || node.job(id)?["phase"] as? String == "Running"
                }
                _ = try node.run(["cancel", id])
            } end: { node, key in
                let id = try #require(try RareWrite.job(node, key, arguments))
                _ = try node.run(["cancel", id])
                #expect(try node.run(["wait", id]).status == 214)
                try eventually("the job is over") { try RareWrite.isOver(id, node) }
                #expect(try node.movements("settle", jobID: id).count <= 1)
            }
        }

        /// A job whose executor has to say that it still prepares the run.
        private func slowlyPreparedJob(_ mesh: CrashMesh) -> RareWrite {
            func arguments(_ key: String) throws -> [String] {
                let name = key.replacingOccurrences(of: ":", with: "-")
                return [
                    try mesh.module("\(name).wasm", CountdownModule.slowToCompile(key)), "--sufficient-bids", "1",
                ]
            }
            return RareWrite(events: ["originator:status_reported"]) { node, key in
                _ = try RareWrite.job(node, key, arguments(key))
            } end: { node, key in
                let id = try #require(try RareWrite.job(node, key, arguments(key)))
                #expect(try node.run(["wait", id]).status == 0)
                try eventually("the job is over") { try RareWrite.isOver(id, node) }
                #expect(try node.movements("settle", jobID: id).count == 1)
            }
        }

        /// A job that its owner cancels while bids are waited for.
        private func cancelledBidding(_ module: String) -> RareWrite {
            let arguments = [module, "--min-reputation", "1000"]
            return RareWrite(events: ["originator:cancelled"]) { node, key in
                guard let id = try RareWrite.job(node, key, arguments) else { return }
                _ = try node.run(["cancel", id])
            } end: { node, key in
                let id = try #require(try RareWrite.job(node, key, arguments))
                _ = try node.run(["cancel", id])
                #expect(try node.run(["wait", id]).status == 214)
                try eventually("the job is over") { try RareWrite.isOver(id, node) }
                #expect(try node.movements("settle", jobID: id).isEmpty)
            }
        }

        /// A job for which nobody is good enough.
        private func failedJob(_ module: String) -> RareWrite {
            let arguments = [module, "--min-reputation", "1000"]
            return RareWrite(events: ["originator:failed", "originator:executors_judged"]) { node, key in
                guard let id = try RareWrite.job(node, key, arguments) else { return }
                _ = try node.run(["wait", id])
            } end: { node, key in
                let id = try #require(try RareWrite.job(node, key, arguments))
                #expect(try node.run(["explain", id, "--json"]).status == 0)
                #expect(try node.run(["wait", id]).status != 0)
                try eventually("the job is over") { try RareWrite.isOver(id, node) }
                #expect(try node.movements("settle", jobID: id).isEmpty)
            }
        }

        /// A job whose bids are public, which goes well.
        private func publicJob(_ module: String) -> RareWrite {
            let arguments = [module, "--public-bids", "--bid-window", "300ms"]
            return RareWrite(events: ["originator:bid_committed", "originator:bids_sealed", "originator:bid_received"])
            {
                node, key in
                guard let id = try RareWrite.job(node, key, arguments) else { return }
                _ = try node.run(["wait", id])
            } end: { node, key in
                let id = try #require(try RareWrite.job(node, key, arguments))
                #expect(try node.run(["wait", id]).status == 0)
                try eventually("the job is over") { try RareWrite.isOver(id, node) }
                #expect(try node.movements("settle", jobID: id).count == 1)
            }
        }

        /// A workflow that its owner cancels while its jobs run.
        private func cancelledWorkflow(_ plan: String) -> RareWrite {
            RareWrite(events: ["plan:cancelled", "plan:receipt_signed"]) { node, key in
                guard let id = try begun(node, key, plan) else { return }
                _ = try node.run(["workflow", "cancel", id])
            } end: { node, key in
                let id = try #require(try begun(node, key, plan))
                _ = try node.run(["workflow", "cancel", id])
                try expectOver(id, "cancelled", node)
            }
        }

        /// A workflow ends in this way, and leaves no job open and nothing held.
        private func expectOver(_ id: String, _ status: String, _ node: NodeProcess) throws {
            try eventually("the workflow is \(status)") {
                let shown = try workflow(id, node)
                return shown?["over"] as? Bool == true && shown?["status"] as? String == status
            }
            try eventually("no job of it is open") {
                (try node.run(["jobs", "--status", "open", "--json"]).json() as? [Any])?.isEmpty == true
            }
            #expect((try workflow(id, node)?["held"] as? NSNumber)?.uint64Value == 0)
        }

        /// A workflow that fails: a stage of it while a job of another runs, or one whose folder nobody has.
        private func failedWorkflow(_ plan: String, at event: String) -> RareWrite {
            RareWrite(events: [event]) { node, key in
                _ = try begun(node, key, plan)
            } end: { node, key in
                let id = try #require(try begun(node, key, plan))
                try expectOver(id, "failed", node)
            }
        }

        /// A job that another executor is to check, where there is no other.
        private func uncheckedJob(_ module: String, _ executor: String) -> RareWrite {
            let arguments = [module, "--verify", "replay@executor", "--allow", executor]
            return RareWrite(events: ["originator:checker_missing"]) { node, key in
                _ = try RareWrite.job(node, key, arguments)
            } end: { node, key in
                let id = try #require(try RareWrite.job(node, key, arguments))
                #expect(try node.run(["wait", id]).status == 0)
                try eventually("the job is over") { try RareWrite.isOver(id, node) }
                #expect(try node.movements("settle", jobID: id).count == 1)
            }
        }

        /// A workflow that failed, and is taken up again, and fails again.
        private func resumedWorkflow(_ plan: String) -> RareWrite {
            RareWrite(events: ["plan:resumed"]) { node, key in
                guard let id = try begun(node, key, plan) else { return }
                try eventually("it has failed") { try workflow(id, node)?["over"] as? Bool == true }
                _ = try node.run(["workflow", "resume", id])
            } end: { node, key in
                let id = try #require(try begun(node, key, plan))
                func jobs() throws -> Int {
                    try #require(try node.run(["jobs", "--json", "--limit", "1000"]).json() as? [Any]).count
                }
                // Where the order was written, it is carried out without being given again.
                let before = try jobs()
                if try workflow(id, node)?["over"] as? Bool == true {
                    let resumed = try node.run(["workflow", "resume", id])
                    #expect(resumed.status == 217, "\(resumed.errors)")
                    #expect(try jobs() > before)
                }
                try eventually("it has failed again") {
                    let shown = try workflow(id, node)
                    return shown?["over"] as? Bool == true && shown?["status"] as? String == "failed"
                }
                #expect((try workflow(id, node)?["held"] as? NSNumber)?.uint64Value == 0)
            }
        }

        @Test("A node dies on both sides of each write of what is cancelled, refused, public or taken up again")
        func rareWrites() throws {
            let mesh = try CrashMesh()
            let node = mesh.originator
            try node.configure("originator", "bidding_deadline_ms", 15_000)
            let short = try mesh.module("short.wasm", CountdownModule.bytes(rounds: 1_000))
            let long = try mesh.module("long.wasm", CountdownModule.bytes(rounds: 100_000_000_000))
            _ = try mesh.module("three.wasm", GuestModules.command("(call $exit (i32.const 3))"))
            let running = mesh.folder.appendingPathComponent("running.yaml")
            try Data(
                "version: 1\nstages:\n- {id: long, module: long.wasm, limits: {fuel: 900000000000}}\n".utf8
            ).write(to: running)
            let failing = mesh.folder.appendingPathComponent("failing.yaml")
            try Data("version: 1\nstages:\n- {id: three, module: three.wasm}\n".utf8).write(to: failing)
            let stopped = mesh.folder.appendingPathComponent("stopped.yaml")
            try Data(
                """
                version: 1
                stages:
                - {id: long, module: long.wasm, limits: {fuel: 900000000000}}
                - {id: three, module: three.wasm}

                """.utf8
            ).write(to: stopped)
            let absent = mesh.folder.appendingPathComponent("absent.yaml")
            try Data(
                """
                version: 1
                inputs: {parts: {folder: bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi}}
                stages:
                - {id: three, module: three.wasm, for_each: {folder: inputs.parts}}

                """.utf8
            ).write(to: absent)
            let status = try #require(try mesh.executors[0].run(["status", "--json"]).json() as? [String: Any])
            let cases = [
                slowlyPreparedJob(mesh), cancelledJob(long), cancelledBidding(short), failedJob(short),
                publicJob(short), cancelledWorkflow(running.path),
                resumedWorkflow(failing.path), failedWorkflow(stopped.path, at: "plan:ended"),
                failedWorkflow(absent.path, at: "plan:content_failed"),
                uncheckedJob(short, try #require(status["did"] as? String)),
            ]
            for rare in cases { try rare.play(mesh) }
            try node.start()
            try mesh.waitUntilConnected()
            let settled = try node.movements("settle")
            try eventually("the executors have what was paid") {
                try mesh.executors.flatMap { try $0.movements("income") }.reduce(0, +) == settled.reduce(0, +)
            }
        }
    }
}
