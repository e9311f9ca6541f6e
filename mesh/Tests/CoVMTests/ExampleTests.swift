import MeshTypes
import Testing

@testable import CoVM

/// The jobs of `Examples/`, if they were built (`Examples/build.sh`).
enum BuiltExamples {
    private static let root = #filePath.split(separator: "/").dropLast(4).map { "/" + $0 }.joined()

    static func module(_ name: String) -> [UInt8]? {
        PublicFile.read("\(root)/Examples/build/\(name).wasm")
    }
}

@Suite("The examples", .enabled(if: BuiltExamples.module("TextPortrait") != nil, "Examples/build.sh was not run"))
struct ExampleTests {
    private static func run(
        _ machine: Machine, _ name: String, input: [UInt8]
    ) async throws -> ExecutionResult {
        let module = try #require(BuiltExamples.module(name))
        _ = try machine.covm.inspect(module)
        return await machine.run(module) { job in
            job.limits = .standard
            job.standardInput = input
        }
    }

    @Test("Sum adds up")
    func sum() async throws {
        let machine = try Machine()
        let result = try await Self.run(machine, "Sum", input: Array("1 22\n333 and 4".utf8))
        #expect(result.outcome == .exited(code: 0))
        #expect(machine.host.text(result.standardOutputCID) == "360\n")
    }

    @Test("The Adventure can be won, and left; it takes whole lines, however they come")
    func adventure() async throws {
        let moves = "take key\nN\ntake matches\neast\ntake oil\nwest\nup\nup\nunlock\nup\nfill\nlight\n"
        let machine = try Machine()
        let won = try await Self.run(machine, "Adventure", input: Array(moves.utf8))
        #expect(won.outcome == .exited(code: 0))
        let told = try #require(machine.host.text(won.standardOutputCID))
        #expect(told.hasSuffix("> The lamp burns after 12 turns. Ships will find their way.\n"), "\(told)")
        #expect(told.contains("The trapdoor is locked.\n> The lock gives way.\n"))
        let left = try await Self.run(machine, "Adventure", input: Array("take oil\nxyzzy\nquit".utf8))
        #expect(left.outcome == .exited(code: 1))
        let words = try #require(machine.host.text(left.standardOutputCID))
        #expect(words.contains("> There is no such thing here.\n> Nobody here understands that.\n"), "\(words)")
    }

    @Test("TextPortrait draws a text and leaves a summary")
    func portrait() async throws {
        let machine = try Machine()
        let text = "The mesh is a mesh of meshes. Größe, größe! Don't count 42.\nThe café’s mesh…\n"
        let result = try await Self.run(machine, "TextPortrait", input: Array(text.utf8))
        #expect(result.outcome == .exited(code: 0))
        let page = try #require(machine.host.text(result.standardOutputCID))
        #expect(page.contains("14 words, 10 of them different; 2 lines, 77 characters"))
        #expect(result.outputs.map(\.name) == ["summary.json"])
        let summary = try #require(machine.host.text(result.outputs.first?.cid))
        #expect(summary.hasPrefix(#"{"bytes":86,"characters":77,"different_words":10,"lines":2,"#))
        #expect(summary.contains(#"{"count":3,"word":"mesh"},{"count":2,"word":"größe"}"#))
        #expect(machine.host.progressSteps == [100, 600, 900, 1_000])
        #expect(machine.host.logLines == ["info: read 86 bytes", "info: 14 words, 10 different ones"])
        let again = try await Self.run(try Machine(), "TextPortrait", input: Array(text.utf8))
        #expect(again.standardOutputCID == result.standardOutputCID)
        #expect(again.usage.fuel == result.usage.fuel)
    }

    @Test("TextPortrait survives what is not text, and says when there is nothing to draw")
    func notText() async throws {
        let machine = try Machine()
        let bytes = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
        #expect(try await Self.run(machine, "TextPortrait", input: bytes).outcome == .exited(code: 0))
        let empty = try await Self.run(machine, "TextPortrait", input: [])
        #expect(empty.outcome == .exited(code: 1))
        #expect(machine.host.text(empty.standardErrorCID)?.hasPrefix("There are no words") == true)
    }
}
