import Foundation
import Testing

/// Backups of running nodes, and what the nodes do that are made of them.
@Suite("Backups", .serialized)
struct BackupTests {
    private static let options = ["--max-fuel", "1T", "--timeout", "600", "--sufficient-bids", "1"]

    private func receipt(of finished: NodeProcess.Finished) throws -> String {
        try #require(finished.status == 0, "\(finished.errors)")
        let report = try #require(try finished.json() as? [String: Any])
        let result = try #require(report["result"] as? [String: Any])
        return try #require(result["receipt_cid"] as? String)
    }

    private func previous(_ receipt: String, _ node: NodeProcess) throws -> String? {
        let shown = try #require(try node.run(["receipt", "show", receipt, "--json"]).json() as? [String: Any])
        return shown["previous_receipt_cid"] as? String
    }

    private func connect(_ node: NodeProcess, to other: NodeProcess) throws {
        let address = try other.address()
        try eventually("\(node.home.lastPathComponent) has its peer") {
            guard try node.run(["connect", address]).status == 0 else { return false }
            let status = try #require(try node.run(["status", "--json"]).json() as? [String: Any])
            return (status["connected_peers"] as? NSNumber)?.intValue ?? 0 >= 1
        }
    }

    private func backUp(_ node: NodeProcess, to file: URL) throws {
        let made = try node.run(["backup", file.path])
        try #require(made.status == 0, "\(made.errors)")
        let mode = try FileManager.default.attributesOfItem(atPath: file.path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
    }

    private func restore(_ file: URL, _ name: String, in folder: URL) throws -> NodeProcess {
        let home = folder.appendingPathComponent(name)
        let restored = try NodeProcess.command(["restore", file.path, "--home", home.path])
        try #require(restored.status == 0, "\(restored.errors)")
        return NodeProcess(home: home)
    }

    /// An originator and one executor, connected.
    private func pair() throws -> (mesh: CrashMesh, executor: NodeProcess) {
        let mesh = try CrashMesh()
        mesh.executors[1].kill()
        try mesh.originator.start()
        try mesh.originator.waitUntilUp()
        try connect(mesh.originator, to: mesh.executors[0])
        return (mesh, mesh.executors[0])
    }

    /// Runs a command of the system in a folder.
    private func shell(_ script: String, in folder: URL) throws -> NodeProcess.Finished {
        try RunningCommand(
            ["-c", "cd '\(folder.path)' && \(script)"], program: URL(fileURLWithPath: "/bin/sh")
        ).finish()
    }

    @Test("An executor that is restored from a backup under load begins its chain again, and all receipts hold")
    func executor() throws {
        let (mesh, original) = try pair()
        let short = try mesh.module("short.wasm", CountdownModule.bytes(rounds: 1_000))
        let first = try receipt(of: try mesh.originator.run(["run", short, "--json"] + Self.options))
        // Jobs come and end while the backup is made.
        var jobs: [String] = []
        for number in 0..<12 {
            let module = try mesh.module("m\(number).wasm", CountdownModule.bytes(rounds: 100_000 + Int64(number)))
            let detached = try mesh.originator.run(["run", module, "--detach"] + Self.options)
            try #require(detached.status == 0, "\(detached.errors)")
            jobs.append(detached.output.trimmingCharacters(in: .whitespacesAndNewlines))
        }
        let file = mesh.folder.appendingPathComponent("executor.backup")
        try backUp(original, to: file)
        let again = try original.run(["backup", file.path])
        #expect(again.status != 0 && again.errors.contains("There is something at"))
        // Whoever has no mesh can look into it.
        let listed = try shell(
            "mkdir out && cd out && tar xf ../executor.backup && sha256sum -c SHA256SUMS", in: mesh.folder)
        #expect(listed.status == 0, "\(listed.errors)")
        for job in jobs {
            try eventually("\(job) has ended") {
                (try mesh.originator.job(job)?["result"] as? [String: Any])?["receipt_cid"] is String
            }
        }
        let last = try receipt(of: try mesh.originator.run(["run", short, "--json"] + Self.options))
        original.kill()

        let restored = try restore(file, "restored", in: mesh.folder)
        let twice = try NodeProcess.command(["restore", file.path, "--home", restored.home.path])
        #expect(twice.status != 0 && twice.errors.contains("There is something in"))
        try restored.start()
        try restored.waitUntilUp()
        #expect(restored.log.contains("the chain of receipts begins again"))
        try connect(mesh.originator, to: restored)
        let next = try receipt(of: try mesh.originator.run(["run", short, "--json"] + Self.options))
        let opening = try #require(try previous(next, mesh.originator))
        #expect(opening != last && opening != first)
        // A second start begins nothing again.
        restored.kill()
        try restored.start()
        try restored.waitUntilUp()
        try connect(mesh.originator, to: restored)
        let after = try receipt(of: try mesh.originator.run(["run", short, "--json"] + Self.options))
        #expect(try previous(after, mesh.originator) == next)
        var receipts = [first, last, next, after]
        for job in jobs {
            let result = try #require(try mesh.originator.job(job)?["result"] as? [String: Any])
            receipts.append(try #require(result["receipt_cid"] as? String))
        }
        for cid in receipts {
            let report = try mesh.originator.run(["receipt", "verify", cid])
            #expect(report.status == 0, "\(report.output)\(report.errors)")
            if cid == next { #expect(report.output.contains("it was restored from a backup"), "\(report.output)") }
        }
    }

    @Test("An originator that is restored pays no job twice, and nothing is held for a job of before")
    func originator() throws {
        let (mesh, executor) = try pair()
        let long = try mesh.module("long.wasm", CountdownModule.bytes(rounds: 4_000_000_000))
        let short = try mesh.module("short.wasm", CountdownModule.bytes(rounds: 1_000))
        let detached = try mesh.originator.run(["run", long, "--detach"] + Self.options)
        try #require(detached.status == 0, "\(detached.errors)")
        let job = detached.output.trimmingCharacters(in: .whitespacesAndNewlines)
        try eventually("the job runs") { try mesh.originator.job(job)?["phase"] as? String == "Running" }
        let before = try wallet(mesh.originator)
        #expect(before.held > 0)
        let file = mesh.folder.appendingPathComponent("originator.backup")
        try backUp(mesh.originator, to: file)
        try eventually("the original has paid", seconds: 300) {
            try mesh.originator.movements("settle", jobID: job).count == 1
        }
        try eventually("the executor was paid") { try executor.movements("income", jobID: job).count == 1 }
        mesh.originator.kill()

        let restored = try restore(file, "again", in: mesh.folder)
        try restored.start()
        try restored.waitUntilUp()
        let now = try #require(try restored.job(job))
        #expect(now["phase"] as? String == "Failed")
        #expect((now["reason"] as? String)?.contains("restored from a backup") == true, "\(now)")
        // Every command says the same of it.
        let described = try restored.run(["describe", job])
        #expect(
            described.output.contains("restored from a backup") && !described.output.contains("running"), "\(described)"
        )
        let waited = try restored.run(["wait", job])
        #expect(waited.status == 221 && waited.errors.contains("restored from a backup"), "\(waited)")
        let cancelled = try restored.run(["cancel", job])
        #expect(cancelled.errors.contains("was over already (failed"), "\(cancelled)")
        let status = try #require(try restored.run(["status", "--json"]).json() as? [String: Any])
        #expect((status["restored_at_ms"] as? NSNumber)?.uint64Value ?? 0 > 1_700_000_000_000)
        #expect(try restored.run(["status"]).output.contains("restored          from a backup; its receipts began"))
        let executorStatus = try executor.run(["status"]).output
        #expect(!executorStatus.contains("from a backup"), "\(executorStatus)")
        #expect(try wallet(restored).held == 0)
        #expect(try wallet(restored).free == before.free + before.held)
        try connect(restored, to: executor)
        let receipt = try receipt(of: try restored.run(["run", short, "--json"] + Self.options))
        #expect(try restored.run(["receipt", "verify", receipt]).status == 0)
        #expect(try restored.movements("settle", jobID: job).isEmpty)
        #expect(try executor.movements("income", jobID: job).count == 1)
    }

    @Test("A workflow that was under way ends without a receipt, which the original may have signed")
    func workflow() throws {
        let (mesh, _) = try pair()
        _ = try mesh.module("long.wasm", CountdownModule.bytes(rounds: 1_500_000_000))
        let plan = mesh.folder.appendingPathComponent("plan.yaml")
        let definition = """
            version: 1
            name: one
            budget: 20000000
            stages:
              - {id: only, module: long.wasm, job_budget: 1000000, for_each: {list: [a, b, c]}}

            """
        try Data(definition.utf8).write(to: plan)
        let begun = try mesh.originator.run(["workflow", "run", plan.path, "--detach", "--key", "k"])
        try #require(begun.status == 0, "\(begun.errors)")
        let id = begun.output.trimmingCharacters(in: .whitespacesAndNewlines)
        try eventually("a job of it runs") {
            let jobs = try #require(try mesh.originator.run(["jobs", "--json"]).json() as? [[String: Any]])
            return jobs.contains { $0["phase"] as? String == "Running" }
        }
        let file = mesh.folder.appendingPathComponent("originator.backup")
        try backUp(mesh.originator, to: file)
        mesh.originator.kill()
        let restored = try restore(file, "again", in: mesh.folder)
        try restored.start()
        try restored.waitUntilUp()
        try eventually("the workflow is over") { try shown(id, restored)["over"] as? Bool == true }
        for _ in 0..<2 {
            let workflow = try shown(id, restored)
            #expect(workflow["status"] as? String == "cancelled" && workflow["receipt_cid"] == nil, "\(workflow)")
            let resumed = try restored.run(["workflow", "resume", id])
            #expect(resumed.status != 0 && resumed.errors.contains("before this home was restored"), "\(resumed)")
            restored.kill()
            try restored.start()
            try restored.waitUntilUp()
        }
        #expect(try wallet(restored).held == 0)
    }

    private func shown(_ id: String, _ node: NodeProcess) throws -> [String: Any] {
        let shown = try #require(try node.run(["workflow", "show", id, "--json"]).json() as? [String: Any])
        return try #require(shown["workflow"] as? [String: Any])
    }

    private func wallet(_ node: NodeProcess) throws -> (free: UInt64, held: UInt64) {
        let wallet = try #require(try node.run(["wallet", "--json"]).json() as? [String: Any])
        let free = try #require((wallet["available"] as? NSNumber)?.uint64Value, "\(wallet)")
        let held = try #require((wallet["held"] as? NSNumber)?.uint64Value, "\(wallet)")
        return (free, held)
    }

    @Test("A restoration that is killed leaves no home that starts, and the next one makes it whole")
    func killed() throws {
        let folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let node = try NodeProcess("node", in: folder, ["--no-executor"])
        try node.start()
        try node.waitUntilUp()
        var bytes = Data(capacity: 48 << 20)
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<(6 << 20) { withUnsafeBytes(of: generator.next()) { bytes.append(contentsOf: $0) } }
        let content = folder.appendingPathComponent("content")
        try bytes.write(to: content)
        let added = try node.run(["add", content.path])
        try #require(added.status == 0, "\(added.errors)")
        let cid = try #require(added.output.split(whereSeparator: \.isWhitespace).first { $0.hasPrefix("baf") })
        let file = folder.appendingPathComponent("file.backup")
        try backUp(node, to: file)
        #expect(node.stop() == 0)

        let home = folder.appendingPathComponent("restored")
        let places = [
            ".restoring", ".restoring/identity.key", ".restoring/mesh.sqlite", ".restoring/mesh.sqlite-blocks/1",
            ".restoring/SHA256SUMS", "mesh.sqlite-blocks", "mesh.sqlite", "config.json",
        ]
        var cutOff = 0
        for place in places {
            let command = try RunningCommand(["restore", file.path, "--home", home.path])
            let path = home.appendingPathComponent(place).path
            try eventually("\(place) is there, or all is") {
                FileManager.default.fileExists(atPath: path) || isWhole(home)
            }
            command.signal(SIGKILL)
            _ = try command.finish()
            if isWhole(home) {
                try FileManager.default.removeItem(at: home)
                continue
            }
            cutOff += 1
            let start = try NodeProcess.command(["up", "--home", home.path])
            #expect(start.status != 0, "half a home started after \(place)")
            if FileManager.default.fileExists(atPath: home.appendingPathComponent(".restoring").path) {
                #expect(start.errors.contains("or that was cut off"), "\(start.errors)")
                #expect(try NodeProcess.command(["init", "--home", home.path]).status != 0)
            }
        }
        #expect(cutOff > 0)
        let restored = try restore(file, "restored", in: folder)
        #expect(!FileManager.default.fileExists(atPath: home.appendingPathComponent(".restoring").path))
        try restored.start()
        try restored.waitUntilUp()
        let got = folder.appendingPathComponent("got")
        #expect(try restored.run(["get", String(cid), "-o", got.path]).status == 0)
        #expect(FileManager.default.contentsEqual(atPath: content.path, andPath: got.path))
        restored.kill()
    }

    private func isWhole(_ home: URL) -> Bool {
        FileManager.default.fileExists(atPath: home.appendingPathComponent("identity.key").path)
    }

    @Test("What is no backup, damaged, or of a newer mesh is refused, and no home is made")
    func refused() throws {
        let folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let node = try NodeProcess("node", in: folder, ["--no-executor"])
        let unused = try node.run(["backup", folder.appendingPathComponent("none").path])
        #expect(unused.status != 0 && unused.errors.contains("has never run"))
        try node.start()
        try node.waitUntilUp()
        #expect(node.stop() == 0)
        // A node that does not run has a backup, too.
        let file = folder.appendingPathComponent("file.backup")
        try backUp(node, to: file)
        let whole = try Data(contentsOf: file)
        let newer = try shell(
            """
            mkdir newer && cd newer && tar xf ../file.backup && \
            sed -i 's/"database_version":[0-9]*/"database_version":9999/' backup.json && \
            files="backup.json identity.key config.json mesh.sqlite" && sha256sum $files > SHA256SUMS && \
            tar --format=ustar -b1 -cf ../newer.backup $files SHA256SUMS
            """, in: folder)
        try #require(newer.status == 0, "\(newer.errors)")
        try whole.prefix(whole.count / 2).write(to: folder.appendingPathComponent("half.backup"))
        var changed = whole
        changed[changed.count - 8_192] ^= 1
        try changed.write(to: folder.appendingPathComponent("changed.backup"))
        try Data("text".utf8).write(to: folder.appendingPathComponent("text.backup"))
        let home = folder.appendingPathComponent("home")
        let reasons = [
            "newer": "was made by a newer mesh", "half": "is not whole", "changed": "does not have its sum",
            "text": "is no backup of a node", "missing": "cannot be read",
        ]
        for (name, reason) in reasons {
            let path = folder.appendingPathComponent("\(name).backup").path
            let refused = try NodeProcess.command(["restore", path, "--home", home.path])
            #expect(refused.status != 0 && refused.errors.contains(reason), "\(name): \(refused.errors)")
            #expect(!FileManager.default.fileExists(atPath: home.path), "\(name) made a home")
        }
    }
}
