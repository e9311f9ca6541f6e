import CoVM
import Glibc
import GuestFiles
import IPLD
import MeshTypes
import Multiformats
import Synchronization

/// Steps as a guest does them: written for the guest of `mesh/Tests/Guests/filer.c`, run as a job, its answers read.
struct GuestScript {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Answers in the order of the steps, and the working folder as the run left it.
    struct Answers {
        let answers: [FileAnswer]
        let folder: CID?
    }

    /// A machine that runs scripts; it compiles its guest once.
    final class Machine: Sendable {
        private let covm: CoVM
        private let module: [UInt8]

        init() throws {
            var template = Array("/tmp/guest-scripts-XXXXXX".utf8CString)
            guard mkdtemp(&template) != nil else { throw Failure(description: "no temporary folder") }
            let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            var configuration = CoVMConfiguration(cacheDirectory: path)
            configuration.compileLimits.wallMilliseconds = 600_000
            covm = try CoVM(configuration: configuration)
            module = try Self.guest()
        }

        private static func guest() throws -> [UInt8] {
            let tests = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined()
            let file = Glibc.open("\(tests)/Guests/filer.wasm.hex", O_RDONLY)
            guard file >= 0 else { throw Failure(description: "mesh/Tests/Guests/filer.wasm.hex is missing") }
            defer { close(file) }
            var digits: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let count = Glibc.read(file, &chunk, chunk.count)
                guard count > 0 else { break }
                digits += chunk[..<count].filter { $0 > 32 }
            }
            let values = digits.map { $0 < 58 ? $0 - 48 : $0 - 87 }
            return stride(from: 0, to: values.count - 1, by: 2).map { values[$0] << 4 | values[$0 + 1] }
        }

        /// Does the steps in an empty folder.
        func perform(_ steps: [FileStep]) async throws -> Answers {
            var job = ExecutionJob(moduleCID: CID.hashing(module, codec: .raw), module: module)
            job.limits = ExecutionLimits(
                timeoutSeconds: 600, maxFuel: 50_000_000_000, maxMemoryBytes: 64 << 20, maxOutputBytes: 64 << 20)
            let place = Array("/job".utf8)
            job.files = FileSystemPlan(
                mounts: [.init(path: place, content: .empty, isWritable: true)],
                preopens: [.init(name: Array(".".utf8), path: place)])
            job.standardInput = Array(steps.flatMap { GuestScript.texts(of: $0) }.joined(separator: "\n").utf8)
            job.collect = [(name: "left", selection: try FileSelection(place, workingFolder: nil))]
            let host = KeptBlocks()
            let result = await covm.execute(job, host: host)
            guard result.outcome == .exited(code: 0) else { throw Failure(description: "\(result.outcome)") }
            var reader = Reader(bytes: result.standardOutputCID.flatMap { host.readInput($0) } ?? [])
            return Answers(
                answers: try steps.map { try reader.answer(to: $0) },
                folder: result.outputs.first { $0.name == "left" }?.cid)
        }
    }

    // MARK: Writing

    /// Bytes of one line's text; what a step writes beyond that takes more lines.
    private static let textBytesMax = 4_000

    private static func word(_ bytes: some Collection<UInt8>) -> String {
        if bytes.isEmpty { return "%-" }
        let digits = Array("0123456789ABCDEF")
        return bytes.map { byte in
            let isPlain = (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x2F || byte == 0x2E
            return isPlain
                ? String(UnicodeScalar(byte)) : "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
        }.joined()
    }

    private static func word(_ text: String) -> String { word(Array(text.utf8)) }

    private static func pieces(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        guard !bytes.isEmpty else { return [[]] }
        return stride(from: 0, to: bytes.count, by: textBytesMax).map {
            bytes[$0..<min(bytes.count, $0 + textBytesMax)]
        }
    }

    /// The lines of a step.
    private static func texts(of step: FileStep) -> [String] {
        switch step {
        case .open(let path, let how, let base):
            let flags =
                (how.creates ? 1 : 0) + (how.isDirectory ? 2 : 0) + (how.isExclusive ? 4 : 0) + (how.truncates ? 8 : 0)
            let rights =
                switch how.access {
                case .read: 2
                case .write: 64
                case .both: 66
                }
            return ["open #\(base) \(how.follows ? 1 : 0) \(word(path)) \(flags) \(rights) \(how.appends ? 1 : 0)"]
        case .close(let number): return ["close #\(number)"]
        case .read(let number, let count): return ["read #\(number) \(count)"]
        case .readAt(let number, let count, let offset): return ["pread #\(number) \(count) \(offset)"]
        case .write(let number, let bytes): return pieces(bytes).map { "write #\(number) \(word($0))" }
        case .writeAt(let number, let bytes, let offset):
            return pieces(bytes).map { "pwrite #\(number) \(offset + UInt64($0.startIndex)) \(word($0))" }
        case .seek(let number, let offset, let whence): return ["seek #\(number) \(offset) \(whence)"]
        case .setSize(let number, let bytes): return ["size #\(number) \(bytes)"]
        case .statusOf(let number): return ["fstat #\(number)"]
        case .list(let number): return ["list #\(number) 300"]
        case .status(let path, let follows, let base): return ["stat #\(base) \(follows ? 1 : 0) \(word(path))"]
        case .createDirectory(let path, let base): return ["mkdir #\(base) \(word(path))"]
        case .removeDirectory(let path, let base): return ["rmdir #\(base) \(word(path))"]
        case .unlink(let path, let base): return ["unlink #\(base) \(word(path))"]
        case .rename(let old, let new, let base, let newBase):
            return ["rename #\(base) \(word(old)) #\(newBase) \(word(new))"]
        case .link(let old, let new, let follows, let base, let newBase):
            return ["link #\(base) \(follows ? 1 : 0) \(word(old)) #\(newBase) \(word(new))"]
        case .symlink(let target, let path, let base): return ["symlink \(word(target)) #\(base) \(word(path))"]
        case .readLink(let path, let base): return ["readlink #\(base) \(word(path))"]
        }
    }

    // MARK: Reading

    /// What the guest wrote, which holds bytes of files as they are.
    private struct Reader {
        let bytes: [UInt8]
        private var at = 0

        init(bytes: [UInt8]) { self.bytes = bytes }

        private mutating func number() throws -> UInt64 {
            if at < bytes.count, bytes[at] == UInt8(ascii: " ") { at += 1 }
            let start = at
            var value: UInt64 = 0
            while at < bytes.count, (0x30...0x39).contains(bytes[at]) {
                value = value * 10 + UInt64(bytes[at] - 0x30)
                at += 1
            }
            guard at > start else { throw Failure(description: "no number at byte \(at) of what the guest wrote") }
            return value
        }

        private mutating func rest() -> String {
            let start = at
            while at < bytes.count, bytes[at] != UInt8(ascii: "\n") { at += 1 }
            return String(decoding: bytes[start..<at], as: UTF8.self)
        }

        private mutating func endLine() throws {
            guard at < bytes.count, bytes[at] == UInt8(ascii: "\n") else {
                throw Failure(description: "a line of the guest does not end at byte \(at)")
            }
            at += 1
        }

        mutating func answer(to step: FileStep) throws -> FileAnswer {
            var moved: UInt64 = 0
            var failed: FileAnswer?
            for _ in GuestScript.texts(of: step) {
                let (answer, count) = try line(of: step)
                moved += count
                if answer.description.hasPrefix("ok") == false, failed == nil { failed = answer }
                switch step {
                case .write, .writeAt: continue
                default: return answer
                }
            }
            return failed ?? FileAnswer("ok \(moved)")
        }

        private mutating func line(of step: FileStep) throws -> (FileAnswer, UInt64) {
            let raw = try number()
            guard raw == 0 else {
                _ = rest()
                try endLine()
                guard let number = UInt16(exactly: raw).flatMap(WASIErrno.init) else {
                    throw Failure(description: "the guest does not know \(step)")
                }
                return (FileAnswer("\(number)"), 0)
            }
            let (text, moved) = try told(of: step)
            try endLine()
            return (FileAnswer(text), moved)
        }

        private mutating func told(of step: FileStep) throws -> (String, UInt64) {
            switch step {
            case .read, .readAt:
                let count = try number()
                at += 1
                let shown = bytes[at..<min(bytes.count, at + Int(min(count, 64)))]
                at += shown.count
                return ("ok \(count): \(Array(shown))", 0)
            case .write, .writeAt:
                return ("ok", try number())
            case .seek: return ("ok \(try number())", 0)
            case .status, .statusOf:
                let (type, size, links) = (try number(), try number(), try number())
                _ = rest()
                switch type {
                case 3: return ("directory", 0)
                case 4: return ("regularFile \(size) bytes \(links) links", 0)
                case 7: return ("symbolicLink \(size) bytes \(links) links", 0)
                default: return ("type \(type)", 0)
                }
            case .list: return ("ok" + rest().dropFirst(" . ..".count), 0)
            case .readLink: return ("ok" + rest(), 0)
            default:
                _ = rest()
                return ("ok", 0)
            }
        }
    }

    /// What a machine answers, as far as the guest tells it.
    static func told(_ answer: FileAnswer, of step: FileStep) -> FileAnswer {
        switch step {
        case .read, .readAt:
            guard answer.description.hasPrefix("ok [") else { return answer }
            let values = answer.description.dropFirst(4).dropLast().split(separator: ", ")
            return FileAnswer("ok \(values.count): [\(values.prefix(64).joined(separator: ", "))]")
        default: return answer
        }
    }
}

/// A host that keeps what a run makes.
private final class KeptBlocks: ExecutionHost {
    private let blocks = Mutex<[CID: [UInt8]]>([:])

    func readInput(_ cid: CID) -> [UInt8]? { blocks.withLock { $0[cid] } }

    func storeBlock(_ bytes: [UInt8]) -> CID? {
        let cid = CID.hashing(bytes, codec: .raw)
        blocks.withLock { $0[cid] = bytes }
        return cid
    }

    func storeBlock(_ cid: CID, _ bytes: [UInt8]) -> Bool {
        blocks.withLock { $0[cid] = bytes }
        return true
    }

    func log(_ level: ExecutionLogLevel, _ text: String) {}
    func progress(permille: Int) {}
    func burnt(fuel: UInt64) {}
}
