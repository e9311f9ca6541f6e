import MeshTypes

@testable import CoVM

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A program in the place of the worker that runs modules.
struct StandIn {
    let scratch: Scratch
    let command: WorkerCommand

    /// The process has not said its number.
    private struct Missing: Error {}

    /// What a false worker sends for a run.
    enum Answer: CustomStringConvertible {
        /// Bytes in hexadecimal, and the end.
        case bytes(String)
        /// An end like that of a run which did nothing, with more fuel than there is.
        case report(fuel: UInt64)
        /// So much that it wants to store, at once.
        case output(bytes: Int)
        /// One request.
        case request(RunRequest)
        /// Nothing, for ever.
        case nothing

        var description: String {
            switch self {
            case .bytes(let text): text
            case .report(let fuel): "\(fuel) fuel"
            case .output(let bytes): "\(bytes) bytes"
            case .request(let request): "\(request)".prefix(40) + "…"
            case .nothing: "nothing"
            }
        }

        /// Bytes of nothing at the end, which no command line holds.
        var zeros: Int { if case .output(let bytes) = self { bytes } else { 0 } }

        /// What comes before them.
        var hexadecimal: String {
            get throws {
                switch self {
                case .bytes(let text): return text
                case .nothing: return ""
                case .request(let request): return try Self.frame(request)
                case .report(let fuel):
                    let engine = EngineDescription(name: "", version: "", configurationDigest: "")
                    var result = ExecutionResult(outcome: .exited(code: 0), engine: engine)
                    result.usage.fuel = fuel
                    return try Self.frame(.ended(RunReport(result)))
                case .output(let bytes):
                    let whole = try Self.frame(.store([UInt8](repeating: 0, count: bytes)))
                    return String(whole.dropLast(2 * bytes))
                }
            }
        }

        private static func frame(_ request: RunRequest) throws -> String {
            let body = try RunLink.body(request)
            let frame = withUnsafeBytes(of: UInt32(body.count).littleEndian) { Array($0) } + body
            return frame.map { byte in
                let text = String(byte, radix: 16)
                return text.count == 1 ? "0" + text : text
            }.joined()
        }
    }

    /// The true worker, behind a shell that writes down the process of each module.
    static func counted(_ worker: WorkerCommand) throws -> StandIn {
        let scratch = try Scratch()
        let arguments = ([worker.executable] + worker.arguments).map { "\"\($0)\"" }.joined(separator: " ")
        let line = "echo $$ > \(scratch.path)/process; exec \(arguments)"
        return StandIn(
            scratch: scratch, command: WorkerCommand(executable: "/bin/sh", arguments: ["-c", line]))
    }

    /// The process of the module that was loaded last.
    func process() throws -> pid_t {
        guard let file = fopen("\(scratch.path)/process", "r") else { throw Missing() }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 32)
        let digits =
            fgets(&line, 32, file) == nil ? [] : line.prefix { $0 >= 48 && $0 <= 57 }.map { UInt8(bitPattern: $0) }
        guard let process = pid_t(String(decoding: digits, as: UTF8.self)) else {
            throw Missing()
        }
        return process
    }

    /// A worker that says of every module that it is loaded, and then nothing.
    static func deaf() throws -> StandIn {
        let program = "import os, time; os.write(0, bytes(4)); time.sleep(600)"
        return StandIn(
            scratch: try Scratch(),
            command: WorkerCommand(executable: "/usr/bin/python3", arguments: ["-c", program]))
    }

    /// A worker that says of every module that it is loaded, and answers every run alike.
    static func lying(_ answer: Answer) throws -> StandIn {
        let program = """
            import array, os, socket, sys
            control = socket.socket(fileno=0)
            control.sendall((7).to_bytes(4, "little"))
            kept = []
            while True:
                order, extra, _, _ = control.recvmsg(5, socket.CMSG_SPACE(4))
                if not order:
                    break
                if order[0] == 1:
                    run = socket.socket(fileno=array.array("i", extra[0][2])[0])
                    kept.append(run)
                    control.sendall((1 << 22).to_bytes(4, "little"))
                    if "\(answer)" == "nothing":
                        continue
                    try:
                        run.sendall(bytes.fromhex("\(try answer.hexadecimal)") + bytes(\(answer.zeros)))
                        run.shutdown(socket.SHUT_WR)
                    except OSError:
                        pass  # The node has heard enough.
                elif order[0] == 3:
                    control.sendall((0).to_bytes(4, "little"))
            """
        return StandIn(
            scratch: try Scratch(),
            command: WorkerCommand(executable: "/usr/bin/python3", arguments: ["-c", program]))
    }
}
