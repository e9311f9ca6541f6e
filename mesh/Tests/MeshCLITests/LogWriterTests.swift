import Foundation
import Logging
import Testing

@testable import MeshCLI

@Suite("Writing the log")
struct LogWriterTests {
    private static let line = String(repeating: "l", count: 1_023)

    /// A pipe that takes no more bytes, filled through a description of its own.
    private func fullPipe() throws -> Pipe {
        let pipe = Pipe()
        let path = "/proc/self/fd/\(pipe.fileHandleForWriting.fileDescriptor)"
        let descriptor = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let bytes = [UInt8](repeating: UInt8(ascii: "x"), count: 4_096)
        while write(descriptor, bytes, bytes.count) > 0 {}
        return pipe
    }

    /// Everything that comes out of a pipe until it is enough.
    private func read(_ pipe: Pipe, until isEnough: (String) -> Bool) -> String {
        var all = ""
        while !isEnough(all) {
            let some = pipe.fileHandleForReading.availableData
            guard !some.isEmpty else { break }
            all += String(decoding: some, as: UTF8.self)
        }
        return all
    }

    @Test(
        "While nobody reads so many bytes wait, further lines are dropped, and their number is told once there is room")
    func dropped() throws {
        let pipe = try fullPipe()
        let writer = LogWriter(descriptor: pipe.fileHandleForWriting.fileDescriptor, waitingBytesMax: 8 * 1_024)
        for _ in 0..<100 { writer.write(Self.line) }
        #expect(!writer.flush(milliseconds: 10), "nobody has read anything")
        // It may be told in two parts, when the writer's thread began late.
        let notice = "warning Lines of this log were dropped, since nobody read it. dropped="
        let text = read(pipe) { text in
            let counts = text.components(separatedBy: notice).dropFirst().compactMap { part in
                part.contains("\n") ? part.split(separator: "\n").first.flatMap { Int($0) } : nil
            }
            return counts.reduce(0, +) >= 92
        }
        #expect(text.components(separatedBy: Self.line + "\n").count - 1 == 8)
        #expect(writer.flush(milliseconds: 60_000))
        writer.write("afterwards")
        #expect(read(pipe) { $0.contains("afterwards\n") }.hasSuffix("afterwards\n"))
        #expect(fcntl(pipe.fileHandleForWriting.fileDescriptor, F_GETFL) & O_NONBLOCK == 0)
    }

    @Test("Lines come out in their order, and a flush waits for the last of them")
    func inOrder() throws {
        let pipe = Pipe()
        let writer = LogWriter(descriptor: pipe.fileHandleForWriting.fileDescriptor)
        for number in 0..<500 { writer.write("line \(number)") }
        #expect(writer.flush(milliseconds: 60_000))
        #expect(read(pipe) { $0.contains("line 499\n") } == (0..<500).map { "line \($0)\n" }.joined())
    }

    @Test("A descriptor that is closed ends the log and nothing else")
    func closed() throws {
        let writer = LogWriter(descriptor: -1)
        writer.write("nobody")
        #expect(!writer.flush(milliseconds: 60_000))
        writer.write("nobody")
    }

    @Test("A line has its event first, and values that programs would misread in quotation marks")
    func fields() {
        let fields = SafeLogHandler.fields([
            "reason": "price 40 > max 30", "job": "bafy", "event": "bid_lost", "code": "a=b", "name": "say \"no\\\"",
            "none": "", "evil": "x\ny\u{1B}[2J",
        ])
        let expected = [
            "event=bid_lost", #"code="a=b""#, "evil=\"x\ny\u{1B}[2J\"", "job=bafy", #"name="say \"no\\\"""#,
            #"none="""#, #"reason="price 40 > max 30""#,
        ]
        #expect(fields == expected.map { " " + $0 }.joined())
        #expect(Terminal.safe(fields).contains(#"evil="x\ny\u{1B}[2J""#), "and the whole line is made safe")
    }

    @Test("A line of JSON is one object in one line, whatever stands in its texts, and says what the text says")
    func json() throws {
        let moment = Date(timeIntervalSince1970: 1_764_432_000.25)
        let metadata: Logger.Metadata = ["event": "bid_lost", "reason": "a\nb \u{1B}[2J \u{202E}gpj \"x\" \u{1F411}"]
        let line = LogFormat.json.line(level: .info, message: "It\nended.", metadata: metadata, at: moment)
        #expect(line.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x202E })
        struct Record: Decodable {
            let time: String
            let level: String
            let message: String
            let fields: [String: String]
        }
        let record = try JSONDecoder().decode(Record.self, from: Data(line.utf8))
        #expect(record.time == "2025-11-29T16:00:00.250Z" && record.level == "info" && record.message == "It\nended.")
        #expect(record.fields == metadata.mapValues { "\($0)" })
        let text = LogFormat.text.line(level: .info, message: "It\nended.", metadata: ["event": "x"], at: moment)
        #expect(text == "16:00:00.250 info It\\nended. event=x")
    }

    @Test("What the writer itself tells has the format of the log")
    func jsonOfDrops() throws {
        let pipe = Pipe()
        let writer = LogWriter(descriptor: pipe.fileHandleForWriting.fileDescriptor, waitingBytesMax: 4)
        writer.use(.json)
        writer.write("longer than four bytes")
        writer.write("{}")
        let told = read(pipe) { $0.contains("{}\n") && $0.contains("dropped") }
        #expect(told.contains(#""fields":{"dropped":"1"}"#) && told.contains(#""level":"warning""#), "\(told)")
    }

    @Test("A mark on a quotation mark or an equals sign hides it from nobody who takes a line apart")
    func marked() {
        let fields = SafeLogHandler.fields(["reason": "lost\"\u{301} event=x", "code": "a=\u{338}b"])
        let expected = [" code=\"a=\u{338}b\"", " reason=\"lost\\\"\u{301} event=x\""]
        #expect(Array(fields.unicodeScalars) == Array(expected.joined().unicodeScalars))
    }
}
