import ArgumentParser
import MeshHTTP
import Multiformats
import NodeAPI

/// `mesh bench session`: how long a key takes to the module of an interactive job and back.
struct BenchSession: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "session",
        abstract: "Type at an interactive job that says everything back, and measure from key to echo.",
        discussion: "The exit code is that of mesh run for the job.")

    @OptionGroup var global: GlobalOptions

    @Option(help: "How many keys, one after the other; by default 500.", transform: Quantity.number("above 0"))
    var count = 500

    @Option(
        help: "How many keys to type first without counting them; by default 20.",
        transform: Quantity.number("from 0 on"))
    var warmUp = 20

    @Option(
        help: "The module to talk with, which says each byte back; by default one that does nothing else.",
        completion: .file())
    var module: String?

    @Argument(help: "Arguments for the module, after --.")
    var arguments: [String] = []

    func validate() throws {
        guard arguments.isEmpty || module != nil else {
            throw ValidationError("Only a --module takes arguments.")
        }
        guard count > 0, warmUp >= 0 else {
            throw ValidationError("--count must be above 0, and --warm-up at least 0.")
        }
    }

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        let bytesMax = try await node.limits().moduleBytesMax
        let bytes = try module.map { try LocalFile.read($0, bytesMax: bytesMax) }
        var submission = JobSubmission(
            moduleCID: try await node.add(bytes ?? Self.echoModule).cid, args: arguments, label: "bench")
        submission.session = JobSubmission.Session()
        let job = try JobReference.cid(try await node.submit(submission).jobID)
        var typist = try await Typist(node: node, job: job)
        for _ in 0..<warmUp { _ = try await typist.key() }
        var times: [Duration] = []
        for _ in 0..<count { times.append(try await typist.key()) }
        try await typist.end()
        for await event in try await node.progress(of: job, .result) {
            guard let result = event.result else { continue }
            let report = SessionBenchReport(times, isVerified: result.isReceiptVerified)
            if global.json { try console.json(report) } else { console.out(report.text) }
            let code = ExitStatus.code(for: result)
            return ExitCode(code == 0 && !report.isVerified ? ExitStatus.receiptInvalid.rawValue : code)
        }
        return ExitCode(ExitStatus.executorsFailed.rawValue)
    }

    /// A program that writes what it reads, until the end.
    static let echoModule: [UInt8] =
        [0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00]
        // Types: four numbers to one; nothing to nothing.
        + [0x01, 0x0C, 0x02, 0x60, 0x04, 0x7F, 0x7F, 0x7F, 0x7F, 0x01, 0x7F, 0x60, 0x00, 0x00]
        // Imports: functions 0 and 1, to read and to write.
        + [0x02, 0x44, 0x02] + imported("fd_read") + imported("fd_write")
        // Function 2; two pages of memory; exports.
        + [0x03, 0x02, 0x01, 0x01, 0x05, 0x03, 0x01, 0x00, 0x02, 0x07, 0x13, 0x02]
        + name("memory") + [0x02, 0x00] + name("_start") + [0x00, 0x02]
        // Its body: a vector at 0 to 1024, and a loop.
        + [0x0A, 0x42, 0x01, 0x40, 0x00, 0x41, 0x00, 0x41, 0x80, 0x08, 0x36, 0x02, 0x00, 0x03, 0x40]
        // Its length at 4 is 65536; read to it, with the count at 8.
        + [0x41, 0x04, 0x41, 0x80, 0x80, 0x04, 0x36, 0x02, 0x00]
        + [0x41, 0x00, 0x41, 0x00, 0x41, 0x01, 0x41, 0x08, 0x10, 0x00, 0x1A]
        // If there was something, write as much, and again.
        + [0x41, 0x08, 0x28, 0x02, 0x00, 0x04, 0x40, 0x41, 0x04, 0x41, 0x08, 0x28, 0x02, 0x00, 0x36, 0x02, 0x00]
        + [0x41, 0x01, 0x41, 0x00, 0x41, 0x01, 0x41, 0x0C, 0x10, 0x01, 0x1A, 0x0C, 0x01, 0x0B, 0x0B, 0x0B]

    private static func name(_ text: String) -> [UInt8] { [UInt8(text.utf8.count)] + Array(text.utf8) }

    private static func imported(_ function: String) -> [UInt8] {
        name("wasi_snapshot_preview1") + name(function) + [0x00, 0x00]
    }
}

/// Somebody who types a key and waits until it comes back.
private struct Typist {
    let node: NodeClient
    let job: CID
    private var heard: SessionPlace
    private var said: SessionPlace

    init(node: NodeClient, job: CID) async throws {
        (self.node, self.job) = (node, job)
        var place = SessionPlace()
        while true {
            let news = try await node.hear(job, from: place)
            place.client = news.place.client
            guard let input = news.inputPosition else {
                guard !news.isOver else { throw Self.ended }
                continue
            }
            heard = SessionPlace(client: place.client, attempt: news.place.attempt, position: news.end)
            said = SessionPlace(client: place.client, attempt: news.place.attempt, position: input)
            return
        }
    }

    private static let ended = NodeServiceError(.conflict, "The job has ended before all was typed.")

    /// Types a key, with somebody listening, and says how long it took to hear it.
    mutating func key() async throws -> Duration {
        let (node, job, ear, mouth) = (node, job, heard, said)
        let began = ContinuousClock.now
        async let answer = node.hear(job, from: ear)
        said = try await node.say([0x6B], isLast: false, to: job, at: mouth)
        var news = try await answer
        while news.pieces.isEmpty {
            guard !news.isOver, news.place.attempt == ear.attempt else { throw Self.ended }
            news = try await node.hear(job, from: ear)
        }
        let took = ContinuousClock.now - began
        heard.position = news.end
        return took
    }

    func end() async throws { _ = try await node.say([], isLast: true, to: job, at: said) }
}

/// What `mesh bench session` measured.
struct SessionBenchReport: Encodable {
    let keys: Int
    let p50Milliseconds: Double
    let p99Milliseconds: Double
    let maxMilliseconds: Double
    let isVerified: Bool

    init(_ times: [Duration], isVerified: Bool) {
        let sorted = times.map { BenchReport.milliseconds($0) }.sorted()
        keys = sorted.count
        p50Milliseconds = BenchReport.percentile(50, of: sorted)
        p99Milliseconds = BenchReport.percentile(99, of: sorted)
        maxMilliseconds = sorted.last ?? 0
        self.isVerified = isVerified
    }

    private enum CodingKeys: String, CodingKey {
        case keys
        case p50Milliseconds = "p50_ms"
        case p99Milliseconds = "p99_ms"
        case maxMilliseconds = "max_ms"
        case isVerified = "receipt_verified"
    }

    /// The figures for people.
    var text: String {
        Table.facts([
            ("keys", String(keys)), ("p50", "\(BenchReport.tenths(p50Milliseconds)) ms"),
            ("p99", "\(BenchReport.tenths(p99Milliseconds)) ms"),
            ("max", "\(BenchReport.tenths(maxMilliseconds)) ms"),
            ("receipt", isVerified ? "verified" : "not verified"),
        ])
    }
}
