import Foundation
import Testing

/// Who keeps nodes running: what `init` says, what a log tells, terminals that go, homes of others and copied homes.
@Suite("An operator's day", .serialized)
struct OperatorTests {
    private func scratch() throws -> URL {
        let folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }

    private func object(_ finished: NodeProcess.Finished) throws -> [String: Any] {
        try #require(try finished.json() as? [String: Any], "\(finished.output)\(finished.errors)")
    }

    /// The fields of each line of a log with an event, by the event.
    private func events(_ log: String) -> [String: [String]] {
        var events: [String: [String]] = [:]
        for line in log.split(separator: "\n") {
            guard let range = line.range(of: " event=") else { continue }
            let rest = line[range.upperBound...]
            events[String(rest.prefix { $0 != " " }), default: []].append(String(rest))
        }
        return events
    }

    @Test("At info both sides log a job from its submission to its payment, and peers and refusals")
    func log() throws {
        let folder = try scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        let info = ["--log-level", "info"]
        let cheap = try NodeProcess("cheap", in: folder, ["--executor", "--price-base", "10"] + info)
        defer { cheap.kill() }
        try cheap.start()
        try cheap.waitUntilUp()
        let entrance = ["--bootstrap", try cheap.address()]
        // Nobody listens on port 1.
        let gone = ["--bootstrap", "/ip4/127.0.0.1/tcp/1"]
        let dear = try NodeProcess(
            "dear", in: folder, ["--executor", "--price-base", "1000000"] + entrance + gone + info)
        defer { dear.kill() }
        let asker = try NodeProcess("asker", in: folder, ["--no-executor"] + entrance + info)
        defer { asker.kill() }
        for node in [dear, asker] {
            try node.start()
            try node.waitUntilUp()
        }
        try eventually("the asker has two peers") {
            (try object(asker.run(["status", "--json"]))["connected_peers"] as? NSNumber)?.intValue ?? 0 >= 2
        }
        let module = folder.appendingPathComponent("nothing.wasm")
        try Data(GuestModules.command("nop")).write(to: module)
        let ran = try asker.run(["run", module.path, "--json"])
        try #require(ran.status == 0, "\(ran.errors)")
        let report = try object(ran)
        let job = try #require(report["job_id"] as? String)
        let receipt = try #require((report["result"] as? [String: Any])?["receipt_cid"] as? String)
        try Data("no module".utf8).write(to: module)
        #expect(try asker.run(["run", module.path]).status == 213)
        // Each look asks a process, so that nothing spins.
        try eventually("the executor has its payment, and the other one knows") {
            _ = try asker.run(["status"])
            return events(cheap.log)["payment_received"] != nil && events(dear.log)["bid_lost"] != nil
        }
        let (asked, done) = (events(asker.log), events(cheap.log))
        for event in ["job_submitted", "bid_received", "job_assigned", "job_confirmed", "job_ended", "settlement_made"]
        {
            #expect(asked[event]?.contains { $0.contains(" job=\(job)") } == true, "\(event): \(asker.log)")
        }
        #expect(asked["receipt_accepted"]?.first?.contains("receipt=\(receipt)") == true)
        #expect(asked["job_ended"]?.first?.contains("reason=\"the module ended with exit code 0\"") == true)
        #expect(asked["submission_refused"]?.first?.contains("code=module_refused") == true)
        #expect(asked["peer_connected"]?.count ?? 0 >= 2)
        for event in ["bid_made", "bid_won", "run_started", "run_ended", "payment_received"] {
            #expect(done[event]?.contains { $0.contains(" job=\(job)") } == true, "\(event): \(cheap.log)")
        }
        #expect(done["run_ended"]?.first?.contains("receipt=\(receipt)") == true)
        let lost = try #require(events(dear.log)["bid_lost"]?.first)
        #expect(lost.contains("code=other_bid_taken") && lost.contains(" job=\(job) "), "\(lost)")
        let dead = try #require(events(dear.log)["bootstrap_failed"])
        #expect(dead.first?.contains("address=/ip4/127.0.0.1/tcp/1 reason=\"connection refused\" times=1") == true)
        #expect(dead.count <= 8, "less and less often: \(dead)")
        _ = asker.stop()
        try eventually("the executor sees the asker go") {
            _ = try cheap.run(["status"])
            return events(cheap.log)["peer_lost"] != nil
        }
    }

    @Test("SIGHUP has a node read its settings, which it refuses if they are bad; a closed terminal ends it")
    func hangUp() throws {
        NodeProcess.hearHangUps()
        let folder = try scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        let node = try NodeProcess("node", in: folder, [])
        defer { node.kill() }
        try node.start(shell: "trap '' HUP")
        try node.waitUntilUp()
        node.signal(SIGHUP)
        #expect(try node.run(["status"]).status == 0)
        node.signal(SIGHUP)
        #expect(try node.run(["status"]).status == 0, "two of them would end it at once")
        #expect(node.stop() == 0, "a request to terminate is heard all the same")
        try node.start()
        try node.waitUntilUp()
        try node.configure("executor", "price_base", 333)
        try node.configure("log_level", "info")
        node.signal(SIGHUP)
        try eventually("it has read its settings") { node.log.contains("The settings were read again.") }
        #expect(node.log.contains("applied=\"executor.price_base log_level\""), "\(node.log)")
        try node.configure("log_level", "loud")
        node.signal(SIGHUP)
        try eventually("it refuses them") { node.log.contains("The settings are as they were") }
        #expect(node.log.contains("log_level is \\\"loud\\\"") || node.log.contains("log_level is \"loud\""))
        let running = try node.run(["config", "list", "--running"])
        #expect(running.output.contains("333") && running.output.contains("at once"), "\(running.output)")
        #expect(node.stop() == 0)
        try node.configure("log_level", "notice")
        let shown = try TerminalProcess(["up", "--home", node.home.path], columns: 120)
        try shown.wait(for: "listens on")
        shown.signal(SIGHUP)
        try shown.wait(for: "The settings were read again.")
        try eventually("the node ends with its terminal") { shown.hangUp() }
    }

    @Test("init says where the node listens and that it runs jobs, takes the next port, and HOME decides where it is")
    func initialisation() throws {
        let folder = try scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        // Whether or not somebody has the usual port here, this node has it from now on.
        let user = ["HOME": folder.path, "MESH_HOME": ""]
        let first = try NodeProcess("first", in: folder, [], listen: "/ip4/0.0.0.0/tcp/4001")
        defer { first.kill() }
        try first.start()
        try? first.waitUntilUp()
        let made = try NodeProcess.command(["init"], environment: user)
        try #require(made.status == 0, "\(made.errors)")
        #expect(FileManager.default.fileExists(atPath: folder.path + "/.mesh/identity.key"))
        #expect(made.errors.contains("Port 4001 is taken by another program or node on this machine"), "\(made.errors)")
        #expect(made.errors.contains("The node runs other people's jobs"), "\(made.errors)")
        #expect(
            made.errors.hasSuffix("Start the node with mesh up.\n"), "the default home needs no --home: \(made.errors)")
        #expect(
            made.output.contains("runs jobs   anybody's, for 100 tokens and 10 per million units of fuel"),
            "\(made.output)")
        let config = folder.path + "/.mesh/config.json"
        let listen = try #require(
            (try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: config))) as? [String: Any])?[
                "listen"]
                as? [String])
        for address in listen {
            #expect(made.output.contains("listens on  \(address)"), "\(made.output)")
            #expect(!address.hasSuffix("/tcp/4001"))
        }
        let taken = try NodeProcess.command(["up", "--listen", "/ip4/0.0.0.0/tcp/4001"], environment: user)
        #expect(taken.status == 231)
        #expect(
            taken.errors
                == "mesh: The node cannot listen on /ip4/0.0.0.0/tcp/4001: another program on this machine does. "
                + "Set another port under \"listen\" in \(config), or stop that program.\n", "\(taken.errors)")
        // A home without a configuration is mended, with the same key.
        let key = try Data(contentsOf: URL(filePath: folder.path + "/.mesh/identity.key"))
        try FileManager.default.removeItem(atPath: config)
        let without = try NodeProcess.command(["up"], environment: user)
        #expect(without.status == 234)
        #expect(
            without.errors.contains("config.json is missing. Run mesh init again for a fresh one"), "\(without.errors)")
        let mended = try NodeProcess.command(["init", "--no-executor", "--json"], environment: user)
        #expect(mended.status == 0, "\(mended.errors)")
        let report = try object(mended)
        #expect(report["executor"] as? Bool == false)
        #expect((report["taken_port"] as? NSNumber)?.intValue == 4001)
        #expect(report["listen"] as? [String] == listen)
        #expect(try Data(contentsOf: URL(filePath: folder.path + "/.mesh/identity.key")) == key)
        #expect(FileManager.default.fileExists(atPath: config))
    }

    @Test(
        "Two live copies of one home are noticed, and both say so, also where they share no more than a peer",
        arguments: [true, false])
    func copies(areNeighbours: Bool) throws {
        let folder = try scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        let between = try NodeProcess("between", in: folder, ["--no-executor"])
        defer { between.kill() }
        try between.start()
        try between.waitUntilUp()
        let entrance = try between.address()
        let original = try NodeProcess("original", in: folder, ["--bootstrap", entrance])
        defer { original.kill() }
        let copied = folder.appendingPathComponent("copied")
        try FileManager.default.copyItem(at: original.home, to: copied)
        try original.start()
        try original.waitUntilUp()
        let address = try original.address()
        _ = try original.run(["connect", address])
        #expect(try object(original.run(["status", "--json"]))["key_warning"] == nil, "it met but itself")
        let copy = NodeProcess(home: copied)
        defer { copy.kill() }
        try copy.start(options: ["--bootstrap", areNeighbours ? address : entrance])
        try copy.waitUntilUp()
        let sentence = "Another node runs with this node's key: it was met at /ip4/127.0.0.1/tcp/"
        for node in [original, copy] {
            try eventually("\(node.home.lastPathComponent) notices") {
                (try object(node.run(["status", "--json"]))["key_warning"] as? String)?.hasPrefix(sentence) == true
            }
            #expect(try node.run(["status"]).output.contains(sentence))
            for columns in [60, 120] {
                let shown = words(try node.run(["status"], columns: columns))
                #expect(shown.contains("Another node runs with this node's key"), "\(shown)")
            }
            try eventually("its log says so") { node.log.contains(" warning " + sentence) }
            #expect(node.log.components(separatedBy: sentence).count == 2, "once")
        }
    }

    /// The words on a screen of a command that worked, and that broke no line by itself.
    private func words(_ shown: TerminalProcess.Finished) -> String {
        #expect(shown.status == 0 && shown.screen.overflows.isEmpty, "\(shown.screen.overflows)\n\(shown.screen.text)")
        return shown.screen.text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    @Test("What init says fits terminals of 60 and of 120 columns", arguments: [60, 120])
    func narrow(columns: Int) throws {
        let folder = try scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        let home = ["--home", folder.path + "/node", "--listen", "/ip4/127.0.0.1/tcp/0"]
        let made = words(try TerminalProcess.run(["init"] + home, columns: columns))
        #expect(made.contains("listens on /ip4/127.0.0.1/tcp/0"), "\(made)")
        #expect(made.contains("The node runs other people's jobs, which cannot touch this machine."), "\(made)")
    }

    @Test("A wallet says whose book it is; a node at the usual level logs nothing of a job that went well")
    func wallet() throws {
        let folder = try scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        let node = try NodeProcess("node", in: folder, [])
        defer { node.kill() }
        try node.start()
        try node.waitUntilUp()
        let module = folder.appendingPathComponent("nothing.wasm")
        try Data(GuestModules.command("nop")).write(to: module)
        let ran = try node.run(["run", module.path])
        #expect(ran.status == 0, "\(ran.errors)")
        #expect(events(node.log).isEmpty, "\(node.log)")
        for columns in [60, 120] {
            let shown = words(try node.run(["wallet"], columns: columns))
            #expect(shown.contains("it granted itself its first tokens"), "\(shown)")
        }
        let text = try node.run(["wallet"]).output
        #expect(text.contains("this node's own: it granted itself its first tokens"), "\(text)")
        #expect(try object(node.run(["wallet", "--json"]))["book"] as? String == "own")
        #expect(try NodeProcess.command(["wallet", "--help"]).output.contains("this node's own book"))
    }

    /// Runs a command without the power of root to read everything: as its user alone.
    private func powerless(_ arguments: [String]) throws -> NodeProcess.Finished {
        try RunningCommand(
            ["--inh-caps=-all", "--bounding-set=-all", NodeProcess.mesh.path] + arguments,
            program: URL(filePath: "/usr/bin/setpriv")
        ).finish()
    }

    /// Whether this machine can take a process's power away; needed where the tests run as root.
    static let canBePowerless: Bool = {
        let command = try? RunningCommand(
            ["--inh-caps=-all", "--bounding-set=-all", "/bin/true"], program: URL(filePath: "/usr/bin/setpriv"))
        return (try? command?.finish().status) == 0
    }()

    @Test(
        "A missing permission is called that, with the path and what to do",
        .enabled(if: Self.canBePowerless, "setpriv cannot drop capabilities here"))
    func permissions() throws {
        let folder = try scratch()
        defer {
            chmod(folder.path + "/node", 0o700)
            try? FileManager.default.removeItem(at: folder)
        }
        let node = try NodeProcess("node", in: folder, [])
        let home = node.home.path
        let cases: [(path: String, mode: mode_t, command: [String], told: String)] = [
            (home + "/identity.key", 0o000, ["up"], "read \(home)/identity.key"),
            (home + "/config.json", 0o000, ["up"], "read \(home)/config.json"),
            (home, 0o000, ["up"], "look into \(home)"), (home, 0o000, ["status"], "look into \(home)"),
            (home, 0o000, ["init"], "look into \(home)"),
        ]
        for (path, mode, command, told) in cases {
            var before = stat()
            #expect(lstat(path, &before) == 0)
            chmod(path, mode)
            defer { chmod(path, before.st_mode & 0o7777) }
            let refused = try powerless(command + ["--home", home])
            #expect(refused.status == 239, "\(command): \(refused.errors)")
            #expect(
                refused.errors.hasPrefix("mesh: There is no permission to \(told)"), "\(command): \(refused.errors)")
            #expect(
                refused.errors.contains("chmod u+rw") || refused.errors.contains("Run mesh as "), "\(refused.errors)")
            let json = try powerless(command + ["--json", "--home", home])
            #expect(json.errors.contains("\"permission_denied\""), "\(command): \(json.errors)")
        }
        let lowest = try String(contentsOfFile: "/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding: .utf8)
        if (Int(lowest.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0) > 1 {
            let refused = try powerless(["up", "--home", home, "--listen", "/ip4/127.0.0.1/tcp/1"])
            #expect(refused.status == 239)
            let told = "mesh: There is no permission to listen on /ip4/127.0.0.1/tcp/1. Ports below 1024 need root"
            #expect(refused.errors.contains(told), "\(refused.errors)")
        }
        let closed = folder.appendingPathComponent("closed")
        try FileManager.default.createDirectory(at: closed, withIntermediateDirectories: true)
        chmod(closed.path, 0o500)
        let unmade = try powerless(["init", "--home", closed.path + "/a/b"])
        #expect(unmade.status == 239)
        #expect(unmade.errors.hasPrefix("mesh: There is no permission to write to \(closed.path)"), "\(unmade.errors)")
    }
}
