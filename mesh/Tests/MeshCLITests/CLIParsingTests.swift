import ArgumentParser
import Foundation
import NodeAPI
import Testing

@testable import MeshCLI

@Suite struct CLIParsingTests {
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
        #expect(run.job.minReputation == 3)
        #expect(run.job.region == ["eu", "us"])
        #expect(run.job.timeout == 9)
        #expect(run.outputs.map(\.name) == ["report"])
        #expect(run.quiet == false)
    }

    @Test(arguments: [
        (["run", "a.wasm", "--stdin", "a", "--input", "stdin=b"], "Every input needs a name of its own."),
        (["run", "a.wasm", "--stdin", "-", "--input", "x=-"], "Only one input can come from standard input."),
        (["run", "a.wasm", "--timeout", "0"], "--timeout must be at least 1 second."),
        (["run", "a.wasm", "--detach", "--output", "a=b"], "--detach cannot wait for an --output."),
        (["run", "a.wasm", "--input", "nameless"], "nameless"),
        (["run", "a.wasm", "--max-fuel", "many"], "many"),
        (["run"], "Missing expected argument '<module>'"),
        (["jobs", "--limit", "0"], "--limit must be from 1 to 10000."),
        (["bench", "jobs", "--count", "0"], "--count and --in-flight must be above 0."),
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

    @Test func roomIsMadeByTwoCommands() throws {
        #expect(try parse(Remove.self, ["rm", "bafkrei"]).cid == "bafkrei")
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
        #expect(CommandLineWords(["jbos"]).fault?.hasPrefix("mesh has no command \"jbos\"; there are init, up") == true)
        #expect(
            CommandLineWords(["--json", "receipt", "look"]).fault
                == "mesh receipt has no command \"look\"; there are show, verify, replay.")
        #expect(
            CommandLineWords(["receipt", "--home", "/h"]).fault
                == "mesh receipt needs a command behind it: show, verify, replay.")
        for fine in [[], ["help"], ["--help"], ["status"], ["receipt"], ["receipt", "show"], ["run", "status"]] {
            #expect(CommandLineWords(fine).fault == nil, "\(fine)")
        }
    }

    @Test func theHomeIsTheOptionThenTheEnvironmentThenTheDefault() throws {
        let given = try parse(Status.self, ["status", "--home", "/tmp/h"])
        #expect(given.global.nodeHome.socketPath == "/tmp/h/api.sock")
        let fallback = try parse(Status.self, ["status"])
        let environment = ProcessInfo.processInfo.environment["MESH_HOME"]
        #expect(fallback.global.nodeHome == NodeHome(path: environment ?? "~/.mesh"))
    }

    @Test func quantitiesHaveMultipliersAndNoOverflow() {
        let texts = ["5000", "5k", "2.5M", "1G", "64Ki", "1.5Mi", "2Gi", "0.000001M"]
        let read = texts.map { Quantity(argument: $0)?.value }
        #expect(read == [5_000, 5_000, 2_500_000, 1_000_000_000, 65_536, 1_572_864, 2 << 30, 1])
        for text in ["", "M", "-1", "1.5", "1.M", "1e3", "18446744073709551616", "99999999999G", "1.1234567M", "1 M"] {
            #expect(Quantity(argument: text) == nil, "\(text)")
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
}
