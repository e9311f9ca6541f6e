import GuestFiles
import MeshTypes
import Testing

@testable import CoVM

@Suite("WASI preview 1")
struct WASITests {
    /// A module with imports from WASI and one page of memory; the body is the entry and returns its exit code.
    private static func module(_ imports: String, _ body: String, data: String = "") -> String {
        """
        (module \(imports)
          (memory (export "memory") 1) \(data)
          (func (export "run") (result i32) (local $n i32) \(body)))
        """
    }

    private static func function(_ name: String, _ parameters: String) -> String {
        let types = parameters.map { $0 == "i" ? "i32" : "i64" }.joined(separator: " ")
        return "(import \"\(Guests.wasi)\" \"\(name)\" (func $\(name) (param \(types)) (result i32)))"
    }

    /// Copies standard input to standard output in pieces of 100 bytes.
    private static let copying = module(
        function("fd_read", "iiii") + function("fd_write", "iiii"),
        """
        (loop $l
          (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 100))
          (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then (return (i32.const 1))))
          (local.set $n (i32.load (i32.const 8)))
          (if (i32.eqz (local.get $n)) (then (return (i32.const 0))))
          (i32.store (i32.const 4) (local.get $n))
          (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
          (br $l))
        (i32.const 2)
        """)

    @Test("standard input arrives whole, and ends")
    func input() async throws {
        let machine = try Machine()
        let input = (0..<12_345).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let result = try await machine.run(Self.copying) { job in
            job.entry = "run"
            job.standardInput = input
        }
        #expect(result.outcome == .exited(code: 0))
        #expect(result.standardOutputCID.flatMap { machine.host.readInput($0) } == input)
        #expect(result.usage.bytesRead == 12_345)
        #expect(result.usage.hostCalls["wasi_snapshot_preview1.fd_read"] == 125)
        let empty = try await machine.run(Self.copying) { $0.entry = "run" }
        #expect(empty.outcome == .exited(code: 0))
    }

    @Test("arguments and environment arrive as given, behind the program's name")
    func arguments() async throws {
        let machine = try Machine()
        let text = Self.module(
            Self.function("args_sizes_get", "ii") + Self.function("args_get", "ii")
                + Self.function("environ_get", "ii") + Self.function("environ_sizes_get", "ii")
                + Self.function("fd_write", "iiii"),
            """
            (drop (call $args_sizes_get (i32.const 0) (i32.const 4)))
            (drop (call $args_get (i32.const 16) (i32.const 1024)))
            (drop (call $environ_sizes_get (i32.const 8) (i32.const 12)))
            (drop (call $environ_get (i32.const 128) (i32.add (i32.const 1024) (i32.load (i32.const 4)))))
            (local.set $n (i32.add (i32.load (i32.const 4)) (i32.load (i32.const 12))))
            (i32.store (i32.const 256) (i32.load (i32.const 16)))
            (i32.store (i32.const 260) (local.get $n))
            (drop (call $fd_write (i32.const 1) (i32.const 256) (i32.const 1) (i32.const 264)))
            (i32.add (i32.mul (i32.load (i32.const 0)) (i32.const 10)) (i32.load (i32.const 8)))
            """)
        let result = try await machine.run(text) { job in
            job.entry = "run"
            job.arguments = ["-n", "", "größe"]
            job.environment = [("B", "2"), ("A", "1")]
        }
        #expect(result.outcome == .exited(code: 42))
        #expect(machine.host.text(result.standardOutputCID) == "job\0-n\0\0größe\0B=2\0A=1\0")
    }

    struct Call: Sendable, CustomTestStringConvertible {
        var name: String
        var parameters: String
        var arguments: [Int64]
        var errno: WASIErrno
        var testDescription: String { "\(name)\(arguments)" }
    }

    // Pointers at and past the end of the one page, lengths that overflow, descriptors that are not there.
    static let calls: [Call] = [
        Call(name: "fd_write", parameters: "iiii", arguments: [1, 65_532, 1, 0], errno: .fault),
        Call(name: "fd_write", parameters: "iiii", arguments: [1, -8, 1, 0], errno: .fault),
        Call(name: "fd_write", parameters: "iiii", arguments: [1, 0, -1, 0], errno: .fault),
        Call(name: "fd_write", parameters: "iiii", arguments: [1, 0, 0, 65_533], errno: .fault),
        Call(name: "fd_write", parameters: "iiii", arguments: [0, 0, 0, 0], errno: .badDescriptor),
        Call(name: "fd_write", parameters: "iiii", arguments: [3, 0, 0, 0], errno: .badDescriptor),
        Call(name: "fd_write", parameters: "iiii", arguments: [1, 0, 0, 0], errno: .success),
        Call(name: "fd_read", parameters: "iiii", arguments: [1, 0, 0, 0], errno: .badDescriptor),
        Call(name: "fd_read", parameters: "iiii", arguments: [0, 65_530, 1, 0], errno: .fault),
        Call(name: "fd_close", parameters: "i", arguments: [2], errno: .success),
        Call(name: "fd_close", parameters: "i", arguments: [-1], errno: .badDescriptor),
        Call(name: "fd_seek", parameters: "iIii", arguments: [1, 0, 0, 0], errno: .illegalSeek),
        Call(name: "fd_tell", parameters: "ii", arguments: [9, 0], errno: .badDescriptor),
        Call(name: "fd_prestat_get", parameters: "ii", arguments: [3, 0], errno: .badDescriptor),
        Call(name: "fd_fdstat_get", parameters: "ii", arguments: [1, 0], errno: .success),
        Call(name: "fd_fdstat_get", parameters: "ii", arguments: [1, 65_520], errno: .fault),
        Call(name: "fd_filestat_get", parameters: "ii", arguments: [0, 0], errno: .success),
        Call(name: "fd_readdir", parameters: "iiiIi", arguments: [3, 0, 0, 0, 0], errno: .badDescriptor),
        Call(
            name: "path_open", parameters: "iiiiiIIii", arguments: [3, 0, 0, 1, 0, 0, 0, 0, 0], errno: .badDescriptor),
        Call(name: "sock_send", parameters: "iiiii", arguments: [1, 0, 0, 0, 0], errno: .notSocket),
        Call(name: "clock_time_get", parameters: "iIi", arguments: [0, 0, 65_529], errno: .fault),
        Call(name: "clock_time_get", parameters: "iIi", arguments: [7, 0, 0], errno: .invalid),
        Call(name: "clock_res_get", parameters: "ii", arguments: [1, 0], errno: .success),
        Call(name: "random_get", parameters: "ii", arguments: [65_535, 2], errno: .fault),
        Call(name: "random_get", parameters: "ii", arguments: [-1, -1], errno: .invalid),
        Call(name: "random_get", parameters: "ii", arguments: [0, 65_536], errno: .success),
        Call(name: "poll_oneoff", parameters: "iiii", arguments: [0, 0, 0, 0], errno: .invalid),
        Call(name: "poll_oneoff", parameters: "iiii", arguments: [0, 0, -1, 0], errno: .invalid),
        Call(name: "poll_oneoff", parameters: "iiii", arguments: [65_500, 0, 1, 0], errno: .fault),
        Call(name: "args_sizes_get", parameters: "ii", arguments: [-1, 0], errno: .fault),
        Call(name: "args_get", parameters: "ii", arguments: [0, 65_535], errno: .fault),
        Call(name: "proc_raise", parameters: "i", arguments: [9], errno: .noSystemCall),
        Call(name: "sched_yield", parameters: "", arguments: [], errno: .success),
    ]

    @Test("answers hostile and ordinary arguments with the right error number", arguments: calls)
    func errors(_ call: Call) async throws {
        let arguments = zip(call.parameters, call.arguments).map { "(\($0 == "i" ? "i32" : "i64").const \($1))" }
        let text = Self.module(
            Self.function(call.name, call.parameters), "(call $\(call.name) \(arguments.joined(separator: " ")))")
        let result = try await Machine().run(text) { $0.entry = "run" }
        #expect(result.outcome == .exited(code: Int32(call.errno.rawValue)))
    }

    @Test("provides every function of preview 1")
    func complete() {
        let functions = HostFunctionTable.standard.functions
        #expect(functions.count { $0.module == Guests.wasi } == 46)
        #expect(Set(functions.map { "\($0.module).\($0.name)" }).count == functions.count)
    }

    @Test("a closed descriptor is closed")
    func closed() async throws {
        let text = Self.module(
            Self.function("fd_close", "i") + Self.function("fd_write", "iiii"),
            """
            (drop (call $fd_close (i32.const 1)))
            (call $fd_write (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0))
            """)
        let result = try await Machine().run(text) { $0.entry = "run" }
        #expect(result.outcome == .exited(code: Int32(WASIErrno.badDescriptor.rawValue)))
    }

    @Test("a loop that waits for the clock ends, because the clock moves with the fuel")
    func spinning() async throws {
        let text = Self.module(
            Self.function("clock_time_get", "iIi"),
            """
            (loop $l
              (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 0)))
              (br_if $l (i64.lt_u (i64.load (i32.const 0)) (i64.const 1000000))))
            (i32.const 0)
            """)
        let result = try await Machine().run(text) { $0.entry = "run" }
        #expect(result.outcome == .exited(code: 0))
        #expect((1_000_000..<1_010_000).contains(result.usage.fuel))
    }

    @Test("a module without memory gets faults, not a crash")
    func noMemory() async throws {
        let text = """
            (module (import "\(Guests.wasi)" "random_get" (func $random (param i32 i32) (result i32)))
              (func (export "run") (result i32) (call $random (i32.const 0) (i32.const 1))))
            """
        let result = try await Machine().run(text) { $0.entry = "run" }
        #expect(result.outcome == .exited(code: Int32(WASIErrno.fault.rawValue)))
    }
}
