import Foundation
import Testing

/// A log that nobody reads: standard error is a pipe that is full before the node starts.
@Suite("A log that nobody reads")
struct UnreadLogTests {
    /// Fills a pipe; through a description of its own, so that the pipe's end stays as the node will have it.
    private func fill(_ pipe: Pipe) throws {
        let path = "/proc/self/fd/\(pipe.fileHandleForWriting.fileDescriptor)"
        let descriptor = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let bytes = [UInt8](repeating: UInt8(ascii: "x"), count: 4_096)
        while write(descriptor, bytes, bytes.count) > 0 {}
        var byte: UInt8 = 0
        #expect(write(descriptor, &byte, 1) == -1 && errno == EAGAIN)
    }

    @Test("A node whose log nobody reads serves its owner, runs jobs, and ends when it is asked to")
    func unreadPipe() throws {
        let folder = URL(fileURLWithPath: "/tmp/ml-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let executor = try NodeProcess("executor", in: folder, ["--executor"])
        let pipe = Pipe()
        try fill(pipe)
        try executor.start(options: ["--log-level", "trace"], errors: pipe.fileHandleForWriting)
        try executor.waitUntilUp()
        let originator = try NodeProcess(
            "originator", in: folder, ["--no-executor", "--bootstrap", try executor.address()])
        let other = Pipe()
        try fill(other)
        try originator.start(options: ["--log-level", "trace"], errors: other.fileHandleForWriting)
        try originator.waitUntilUp()
        let module = folder.appendingPathComponent("short.wasm")
        try Data(CountdownModule.bytes(rounds: 1_000)).write(to: module)
        try eventually("a job ends well") {
            try originator.run(["run", module.path, "--sufficient-bids", "1"]).status == 0
        }
        for _ in 0..<20 { #expect(try executor.run(["status"]).status == 0) }
        for end in [pipe, other] {
            let flags = fcntl(end.fileHandleForWriting.fileDescriptor, F_GETFL)
            #expect(flags >= 0 && flags & O_NONBLOCK == 0, "the descriptor was inherited and is others' too")
        }
        #expect(originator.stop() == 0)
        #expect(executor.stop() == 0)
    }

    @Test("A node whose first lines nobody reads is up all the same", arguments: [[], ["--json"]])
    func unreadOutput(_ options: [String]) throws {
        let folder = URL(fileURLWithPath: "/tmp/ml-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let node = try NodeProcess("node", in: folder, ["--executor"])
        let pipe = Pipe()
        try fill(pipe)
        try node.start(options: options, output: pipe.fileHandleForWriting)
        try node.waitUntilUp()
        for _ in 0..<5 { #expect(try node.run(["status"]).status == 0) }
        // Work of many tasks at once goes on, and so does the end.
        let module = folder.appendingPathComponent("short.wasm")
        try Data(CountdownModule.bytes(rounds: 1_000)).write(to: module)
        #expect(try node.run(["run", module.path]).status == 0)
        let flags = fcntl(pipe.fileHandleForWriting.fileDescriptor, F_GETFL)
        #expect(flags >= 0 && flags & O_NONBLOCK == 0, "the descriptor was inherited and is others' too")
        #expect(try node.run(["stop"]).status == 0)
        #expect(node.waitForEnd() == 0)
    }

    @Test("The first lines reach a reader that comes late")
    func lateReader() throws {
        let folder = URL(fileURLWithPath: "/tmp/ml-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let node = try NodeProcess("node", in: folder, ["--no-executor"])
        let pipe = Pipe()
        try fill(pipe)
        try node.start(output: pipe.fileHandleForWriting)
        try node.waitUntilUp()
        var text = ""
        while !text.contains("listens on") || !text.hasSuffix("\n") {
            let some = pipe.fileHandleForReading.availableData
            try #require(!some.isEmpty, "it ended with \(text.suffix(200))")
            text += String(decoding: some, as: UTF8.self)
        }
        let lines = text.drop { $0 == "x" }
        #expect(lines.hasPrefix("name "), "\(lines)")
        #expect(lines.contains("\nDID "), "\(lines)")
        #expect(node.stop() == 0)
    }
}
