import ArgumentParser
import Foundation
import NodeAPI
import NodeAPITesting
import NodeSetup
import P2PTesting
import Testing

@testable import MeshCLI

@Suite struct CLIParsingTests {
    @Test("Public bids and status are asked for by name, and left to the node otherwise")
    func publicJobs() throws {
        let asked = try parse(Run.self, ["run", "job.wasm", "--public-bids", "--public-status"]).job.policy
        #expect(asked.policy().publicBids == true && asked.policy().publicStatus == true)
        #expect(asked.given == ["--public-bids", "--public-status"])
        let other = try parse(Run.self, ["run", "job.wasm"]).job.policy
        #expect(other.policy().publicBids == nil && other.policy().publicStatus == nil && other.given.isEmpty)
        let json = try JSONEncoder().encode(asked.policy())
        #expect(String(decoding: json, as: UTF8.self).contains("\"public_bids\":true"))
    }

    @Test("A setting is given a value, its default or no element, and never nothing by mistake")
    func settings() {
        for words in [[], ["--default", "--empty"], ["x", "--empty"], ["x", "--default"]] {
            #expect(throws: (any Error).self) { try Mesh.parseAsRoot(["config", "set", "listen"] + words) }
        }
        for words in [["x", "y"], ["--default"], ["--empty"]] {
            #expect(throws: Never.self) { try Mesh.parseAsRoot(["config", "set", "listen"] + words) }
        }
    }

    @Test("A second copy of a slow run is asked for by name, for one job and for many")
    func hedges() throws {
        let asked = try parse(Run.self, ["run", "job.wasm", "--hedge"]).job.policy
        #expect(asked.policy().hedge == true && asked.given == ["--hedge"])
        #expect(try parse(Run.self, ["run", "job.wasm"]).job.policy.policy().hedge == nil)
        #expect(try parse(Map.self, ["map", "job.wasm", "--each", "*.csv", "--hedge"]).policy.hedge)
        #expect(throws: (any Error).self) { try parse(Run.self, ["run", "job.wasm", "--local", "--hedge"]) }
    }

    @Test func aRunIsReadWithAllItsParts() throws {
        let run = try parse(
            Run.self,
            [
                "run", "job.wasm", "--stdin", "in.txt", "--input", "map=map.png", "--arg", "-v", "--env", "A=b=c",
                "--max-fuel", "2.5M", "--max-memory", "64Mi", "--budget", "40", "--min-reputation", "3", "--region",
                "eu", "--region", "us", "--timeout", "9", "--output", "report=out.txt", "--label", "count", "--", "x",
                "--y",
            ])
        #expect(run.module == "job.wasm")
        #expect(run.arguments == ["x", "--y"])
        #expect(run.job.args == ["-v"])
        #expect(run.job.stdin == "in.txt")
        #expect(run.job.inputs == [NamedPath(argument: "map=map.png")])
        #expect(run.job.env.first?.name == "A")
        #expect(run.job.env.first?.path == "b=c")
        #expect(run.job.maxFuel?.value == 2_500_000)
        #expect(run.job.maxMemory?.value == 64 << 20)
        #expect(run.job.budget == 40)
        #expect(run.job.policy.minReputation == 3)
        #expect(run.job.policy.region == ["eu", "us"])
        #expect(run.job.timeout == 9)
        #expect(run.outputs.map(\.name) == ["report"])
        #expect(run.quiet == false)
    }

    @Test(arguments: [
        (["run", "a.wasm", "--stdin", "a", "--input", "stdin=b"], "Every input needs a name of its own."),
        (["run", "a.wasm", "--stdin", "-", "--input", "x=-"], "Only one of module and inputs can come from"),
        (["run", "-", "--stdin", "-"], "Only one of module and inputs can come from standard input."),
        (["run", "a.wasm", "--local", "--detach"], "--local asks no other node, so --detach means nothing with it."),
        (["run", "a.wasm", "--local", "--budget", "3"], "so --budget means nothing with it."),
        (["run", "a.wasm", "--local", "--region", "eu"], "so --region means nothing with it."),
        (
            ["run", "--local", "bafkreige2ujso7ict6r7yfkthg3owlkrggnruxrais5s2kkx4xuyfod6uq"],
            "is a CID; mesh get bafkreige2ujso7ict6r7yfkthg3owlkrggnruxrais5s2kkx4xuyfod6uq -o FILE makes one of it."
        ),
        (["run", "a.wasm", "--stdin", "a", "--stdin", "b"], "--stdin was given 2 times"),
        (["run", "a.wasm", "--output", "x=-", "--json"], "--json and an --output to - cannot share"),
        (["run", "a.wasm", "--entry", ""], "--entry must name a function of the module."),
        (["run", "a.wasm", "--invoke", ""], "--invoke must name a function of the module."),
        (["run", "a.wasm", "--invoke", "f", "--entry", "g"], "a job does one of them."),
        (["check", "a.wasm", "--invoke", "f", "--entry", "g"], "a job does one of them."),
        (["run", "a.wasm", "--timeout", "0"], "--timeout must be at least 1 second."),
        (["run", "a.wasm", "--detach", "--output", "a=b"], "--detach cannot wait for an --output."),
        (["run", "a.wasm", "--input", "nameless"], "write it as NAME=FILE, NAME=CID or NAME=-"),
        (["run", "a.wasm", "--env", "=x"], "write it as NAME=VALUE"),
        (["outputs", "--output", "x"], "write it as NAME=FILE or NAME=-"),
        (["run", "a.wasm", "--max-fuel", "many"], "many"),
        (["run"], "Missing expected argument '<module>'"),
        (["jobs", "--limit", "0"], "--limit must be from 1 to 10000."),
        (["jobs", "--limit", "x"], "it is a whole number from 1 to 10000."),
        (["jobs", "--role", "both"], "originator"),
        (["run", "a.wasm", "--budget", "1,00"], "it is a number of tokens: a whole number, without a unit"),
        (["run", "a.wasm", "--budget", "-5"], "it is a number of tokens: a whole number, without a unit"),
        (["run", "a.wasm", "--min-reputation", "much"], "it is a reputation from 0 to 1000"),
        (["run", "a.wasm", "--sufficient-bids", "-1"], "sufficient-bids"),
        (
            ["run", "a.wasm", "--weight", "speed=3"],
            "--weight knows price, reputation, region, latency, load, not speed."
        ),
        (["run", "a.wasm", "--weight", "price"], "write it as NAME=NUMBER, such as price=50."),
        (
            ["run", "a.wasm", "--resource", "memory_mib=1", "--resource", "memory_mib=2"],
            "--resource names each thing once."
        ),
        (["run", "a.wasm", "--resource", "memory_mib=much"], "write it as NAME=AMOUNT, such as memory_mib=512."),
        (["run", "a.wasm", "--dry-run", "--detach"], "--dry-run submits nothing"),
        (["run", "a.wasm", "--local", "--attempts", "2"], "so --attempts means nothing with it."),
        (["init", "--price-base", "1.5"], "it is a number of tokens"),
        (["up", "--log-level", "loud"], "it is one of trace, debug, info, notice, warning, error or critical."),
        (["devnet", "--log-level", "loud"], "it is one of trace"),
        (["devnet", "--nodes", "many"], "it is a whole number from 1 to 64."),
        (["devnet", "--nodes", "2", "--executors", "3"], "--executors must be from 0 to --nodes, which is 2."),
        (["wallet", "--entries", "all"], "it is a whole number from 0 to 10000."),
        (["bench", "jobs", "--count", "0"], "--count and --in-flight must be above 0."),
        (["bench", "run", "--count", "0"], "--count must be above 0"),
        (["bench", "session", "--count", "0"], "--count must be above 0"),
        (["bench", "credit", "--budget", "0"], "--count and --budget must be above 0"),
        (["run", "a.wasm", "-i", "--transcript", "public"], "it is private, shared or none."),
        (["run", "a.wasm", "--transcript", "none"], "add -i."),
        (["nonsense"], "nonsense"),
    ])
    func whatMakesNoSenseIsRefusedAsUsage(_ arguments: [String], _ reason: String) {
        do {
            _ = try Mesh.parseAsRoot(arguments)
            Issue.record("\(arguments) was read")
        } catch {
            // `Mesh.start` makes the code for usage of it.
            #expect(Mesh.exitCode(for: error) == .validationFailure)
            #expect(Mesh.fullMessage(for: error).contains(reason), "\(Mesh.fullMessage(for: error))")
        }
    }

    @Test func aHomeWithDataAndWithoutItsKeyIsRefused() throws {
        let folder = try TestFolder()
        let home = NodeHome(path: folder.path + "/home")
        try HomeFolder.make(home, option: "--home")
        #expect(throws: Never.self) { try home.requireKeyOfData() }
        try Data().write(to: URL(filePath: home.databasePath))
        let refusal = NodeServiceError(
            .keyUnusable, "The home \(home.path) has a node's data, but its key identity.key is missing.",
            hint: "Restore identity.key from a copy, or choose another --home.")
        #expect(throws: refusal) { try home.requireInitialised() }
        #expect(throws: refusal) { try home.requireKeyOfData() }
        var plan = try #require(DevnetPlan.plans(nodes: 1, executors: 1, base: folder.path).first)
        try HomeFolder.make(plan.home, option: "--base-dir")
        try Data().write(to: URL(filePath: plan.home.databasePath))
        #expect(throws: NodeServiceError.self) { _ = try plan.prepare() }
        #expect(!FileManager.default.fileExists(atPath: plan.home.keyPath), "no other key is made")
        try Data().write(to: URL(filePath: home.keyPath))
        #expect(throws: Never.self) { try home.requireInitialised() }
    }

    @Test func aFolderThatCannotBeCreatedSaysWhyAndWhichOptionNamesAnother() throws {
        let folder = try TestFolder()
        let file = folder.path + "/file"
        try Data("x".utf8).write(to: URL(filePath: file))
        for (path, option) in [(file, "--home"), (file + "/node-0", "--base-dir")] {
            do {
                try HomeFolder.make(NodeHome(path: path), option: option)
                Issue.record("\(path) was made")
            } catch let error as LocalFileError {
                #expect(error.path == path && error.hint == "Choose another with \(option).")
                #expect(error.reason == "the folder cannot be created, \(file) is a file and no folder")
            }
        }
    }

    @Test func aDevnetTellsWhyItsNodeEnded() throws {
        let folder = try TestFolder()
        let log = folder.path + "/mesh.log"
        let failure = #"{"error":{"code":"already_running","message":"Busy."},"exit_status":231}"#
        try Data("old line\n\(failure)\n".utf8).write(to: URL(filePath: log))
        let last = DevnetProcesses.lastLine(of: log, from: 0)
        #expect(last == failure)
        let begin = UInt64(try Data(contentsOf: URL(filePath: log)).count)
        #expect(DevnetProcesses.lastLine(of: log, from: begin) == nil, "an earlier start wrote all of it")
        #expect(DevnetProcesses.lastLine(of: folder.path + "/none", from: 0) == nil)
        let told = DevnetProcesses.ending("exit code 231", isStop: false, lastLine: last)
        #expect(told == NodeServiceError(.alreadyRunning, "Busy."))
        let stopped = DevnetProcesses.ending("exit code 0", isStop: true, lastLine: last)
        #expect(stopped.message == "it was stopped, and a devnet ends with any of its nodes.")
        #expect(stopped.hint?.contains("the same --base-dir") == true)
        let silent = DevnetProcesses.ending("signal 9", isStop: false, lastLine: nil)
        #expect(silent.message == "signal 9, its log is empty.")
    }

    @Test func theNodesOfADevnetLookForEachOtherAndForNoOtherDevnets() throws {
        let (one, other) = ("/tmp/one", "/tmp/other")
        let plans = DevnetPlan.plans(nodes: 3, executors: 2, base: one)
        #expect(plans.allSatisfy { $0.configuration.findsLocalNodes && $0.configuration.refusal == nil })
        #expect(Set(plans.map(\.configuration.localNetwork)) == [DevnetPlan.network(one)])
        #expect(DevnetPlan.network(one) != DevnetPlan.network(other) && DevnetPlan.network(one).count == 16)
        #expect(DevnetPlan.network("/tmp/x/../one/") == DevnetPlan.network(one))
    }

    @Test func aNodeOfADevnetIsKnownByItsParent() {
        #expect(DevnetParent.parent(stat: "12 (mesh) S 7 12 12 0 -1") == 7)
        #expect(DevnetParent.parent(stat: "12 (a) b) S 1 (c)) S 9 12") == 9, "a name may hold anything")
        #expect(DevnetParent.parent(stat: "") == nil && DevnetParent.parent(stat: "12 (mesh) S") == nil)
        for (words, isDevnet) in [
            (["mesh", "devnet", "--nodes", "2"], true), (["mesh", "up"], false), (["devnet"], false), ([], false),
        ] {
            let line = Array(words.map { $0 + "\0" }.joined().utf8)
            #expect(DevnetParent.isDevnet(commandLine: line) == isDevnet, "\(words)")
        }
    }

    @Test func aDevnetNamesItsNodesAsAllCommandsDoAndSaysHowToChangeOne() throws {
        let plans = DevnetPlan.plans(nodes: 1, executors: 1, base: "/b")
        let kept = Devnet.text(plans, [Samples.status], base: "/b")
        #expect(kept.contains(Readable.short(Samples.status.did)))
        #expect(!kept.contains(Readable.short(Samples.status.peerID)))
        #expect(kept.contains("edit config.json in its home, then start the devnet again with --base-dir /b.\n"))
        #expect(Devnet.text(plans, [Samples.status], base: nil).contains("start the devnet with --base-dir, which "))
    }

    @Test("The version names the program's version and what it was built for, and says no more as JSON")
    func version() throws {
        #expect(try parse(Version.self, ["version", "--json"]).global.json)
        let report = try JSONEncoder().encode(VersionReport())
        let told = try #require(try JSONSerialization.jsonObject(with: report) as? [String: String])
        #expect(told.keys.sorted() == ["architecture", "system", "version"])
        #expect(told["version"] == Mesh.configuration.version)
    }

    @Test func completionsTakeJSONAndRefuseAnUnknownShell() throws {
        #expect(try parse(Completions.self, ["completions", "fish", "--json"]).global.json)
        #expect(throws: (any Error).self) { _ = try parse(Completions.self, ["completions", "ksh"]) }
        #expect(try Console.line(StopReport(home: "/h", processID: 7)) == #"{"home":"/h","pid":7}"#)
    }

    @Test func roomIsMadeByTwoCommands() throws {
        #expect(try parse(Remove.self, ["rm", "bafkrei"]).cid == "bafkrei")
        #expect(try parse(Warm.self, ["warm", "python.wasm"]).module == "python.wasm")
        #expect(try parse(CollectGarbage.self, ["gc", "--json"]).global.json)
        #expect(throws: (any Error).self) { _ = try parse(Remove.self, ["rm"]) }
    }

    @Test func homeAndJSONMayStandBeforeTheCommand() {
        let sorted: [([String], [String])] = [
            (["--home", "/h", "status"], ["status", "--home", "/h"]),
            (["--json", "--home=/h", "receipt", "show", "b"], ["receipt", "show", "--json", "--home=/h", "b"]),
            (["receipt", "--json", "show", "b"], ["receipt", "show", "--json", "b"]),
            (["run", "m", "--", "--json"], ["run", "m", "--", "--json"]),
            (["run", "--home", "/h", "m"], ["run", "--home", "/h", "m"]),
            (["--version"], ["--version"]), (["--home"], ["--home"]), ([], []),
        ]
        for (given, expected) in sorted { #expect(CommandLineWords(given).arguments == expected) }
        #expect(CommandLineWords(["run", "--json", "m"]).wantsJSON)
        #expect(!CommandLineWords(["run", "m", "--", "--json"]).wantsJSON)
    }

    @Test func aCommandThatIsNotThereIsNamed() throws {
        #expect(
            CommandLineWords(["jbos"]).fault?.hasPrefix(
                "mesh has no command \"jbos\". Did you mean mesh jobs? There are init, up") == true)
        #expect(
            CommandLineWords(["--json", "receipt", "look"]).fault
                == "mesh receipt has no command \"look\". There are show, verify, replay, export.")
        #expect(
            CommandLineWords(["receipt", "--home", "/h"]).fault
                == "mesh receipt needs a command behind it: show, verify, replay, export.")
        for fine in [[], ["help"], ["--help"], ["status"], ["receipt"], ["receipt", "show"], ["run", "status"]] {
            #expect(CommandLineWords(fine).fault == nil, "\(fine)")
        }
    }

    @Test func aNewNodeTakesNoPortOfANodeBesideItThatIsOff() throws {
        let folder = try TestFolder()
        let (home, other) = (NodeHome(path: folder.path + "/b"), NodeHome(path: folder.path + "/a"))
        #expect(!ListenPorts.ports(ofNodesBeside: home).contains(4_777))
        try HomeFolder.make(other, option: "--home")
        try Data(#"{"listen": ["/ip4/127.0.0.1/tcp/4777"]}"#.utf8).write(to: URL(filePath: other.configurationPath))
        #expect(!ListenPorts.ports(ofNodesBeside: home).contains(4_777), "without its key it is no node")
        try Data().write(to: URL(filePath: other.keyPath))
        #expect(ListenPorts.ports(ofNodesBeside: home).contains(4_777))
        #expect(!ListenPorts.ports(ofNodesBeside: other).contains(4_777), "its own is its own")
    }

    @Test func theHomeIsTheOptionThenTheEnvironmentThenTheDefault() throws {
        let given = try parse(Status.self, ["status", "--home", "/tmp/h"])
        #expect(given.global.nodeHome.socketPath == "/tmp/h/api.sock")
        let fallback = try parse(Status.self, ["status"])
        let environment = ProcessInfo.processInfo.environment["MESH_HOME"]
        #expect(fallback.global.nodeHome == NodeHome(path: environment ?? "~/.mesh"))
    }

    @Test func quantitiesHaveMultipliersAndNoOverflow() {
        let texts = ["5000", "5k", "2.5M", "1G", "64Ki", "1.5Mi", "2Gi", "0.000001M", "3m", "4gI"]
        let read = texts.map { try? Quantity.count($0).value }
        #expect(
            read == [5_000, 5_000, 2_500_000, 1_000_000_000, 65_536, 1_572_864, 2 << 30, 1, 3_000_000, 4 << 30])
        for text in ["", "M", "-1", "1.5", "1.M", "1e3", "18446744073709551616", "99999999999G", "1.1234567M", "1 M"] {
            #expect(throws: (any Error).self, "\(text)") { try Quantity.count(text) }
        }
        #expect((try? Quantity.count("18446744073709551615"))?.value == .max)
        #expect((try? Quantity.count("18446744073709.551615M"))?.value == .max)
        #expect(throws: (any Error).self) { try Quantity.count("18446744073709.551616M") }
        #expect(throws: (any Error).self, "fuel has no bytes") { try Quantity.count("1MB") }
    }

    @Test func sizesAndTimesTakeTheirUnits() {
        let sizes = ["65536", "64Ki", "64KiB", "64kib", "1.5GiB", "1.5Gi", "2T", "64M", "64MB", "3k", "7B"]
        #expect(
            sizes.map { try? Quantity.bytes($0).value } == [
                65_536, 65_536, 65_536, 65_536, 3 << 29, 3 << 29, 2_000_000_000_000, 64_000_000, 64_000_000, 3_000, 7,
            ])
        for text in ["64s", "64Mib ", "Mi", "1.5", "1.5B", "٣", "20000000Ti", "1,5Mi", "0x10"] {
            #expect(throws: (any Error).self, "\(text)") { try Quantity.bytes(text) }
        }
        #expect(
            ["90", "90s", "10m", "2h", "1.5d", "1500ms", "2000ms", "0"].map { try? Quantity.seconds($0) } == [
                90, 90, 600, 7_200, 129_600, nil, 2, 0,
            ])
        #expect(
            ["500", "500ms", "2s", "1.5m", "1.5", "1h"].map { try? Quantity.milliseconds($0) } == [
                500, 500, 2_000, 90_000, nil, 3_600_000,
            ])
    }

    @Test(arguments: [
        ("--max-memory", "64Mx", "such as 65536, 64Mi or 1.5GiB"), ("--max-output", "lots", "such as 65536, 64Mi"),
        ("--max-fuel", "64MiB", "such as 5000000, 5M or 2.5G"), ("--timeout", "2 hours", "such as 90, 10s, 5m, 2h"),
        ("--timeout", "500ms", "comes to whole seconds"), ("--bid-window", "1y", "such as 500, 500ms, 2s"),
    ])
    func anInvalidAmountSaysWhatIsAllowed(_ option: String, _ text: String, _ allowed: String) {
        do {
            _ = try Mesh.parseAsRoot(["run", "a.wasm", option, text])
            Issue.record("\(text) was read")
        } catch {
            let message = Mesh.message(for: error)
            #expect(message.contains("'\(text)' is invalid for '\(option)"), "\(message)")
            #expect(message.contains(allowed), "\(message)")
            #expect(!message.contains("ValidationError"), "\(message)")
        }
    }

    @Test func everyCommandExplainsItselfAndCompletes() {
        for command in Mesh.configuration.subcommands {
            #expect(!command.configuration.abstract.isEmpty, "\(command)")
        }
        #expect(Mesh.helpMessage().contains("30  no node answers in the home folder"))
        for shell in CompletionShell.allCases {
            #expect(Mesh.completionScript(for: shell).contains("explain"))
        }
    }

    private func parse<Command: ParsableCommand>(_ type: Command.Type, _ arguments: [String]) throws -> Command {
        try #require(try Mesh.parseAsRoot(arguments) as? Command)
    }

    @Test func theHelpTellsTheUsualLimitsOfAJob() {
        let help = Run.helpMessage(columns: 200)
        for told in ["by default 10,000,000,000.", "by default 256 MiB.", "by default 16 MiB.", "by default 30 s."] {
            #expect(help.contains(told), "\(told)")
        }
    }
}
