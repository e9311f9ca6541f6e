import MeshTypes
import Multiformats
import Testing

@testable import CoVM

@Suite("MeshHostABI version 1")
struct HostABITests {
    private static let imports = """
        (import "mesh_host_v1" "abi_version" (func $abi_version (result i32)))
        (import "mesh_host_v1" "fuel_left" (func $fuel_left (result i64)))
        (import "mesh_host_v1" "job_id" (func $job_id (param i32 i32) (result i32)))
        (import "mesh_host_v1" "originator_did" (func $originator_did (param i32 i32) (result i32)))
        (import "mesh_host_v1" "executor_did" (func $executor_did (param i32 i32) (result i32)))
        (import "mesh_host_v1" "input_count" (func $input_count (result i32)))
        (import "mesh_host_v1" "input_find" (func $input_find (param i32 i32) (result i32)))
        (import "mesh_host_v1" "input_name" (func $input_name (param i32 i32 i32) (result i32)))
        (import "mesh_host_v1" "input_cid" (func $input_cid (param i32 i32 i32) (result i32)))
        (import "mesh_host_v1" "input_size" (func $input_size (param i32) (result i64)))
        (import "mesh_host_v1" "input_read" (func $input_read (param i32 i64 i32 i32) (result i32)))
        (import "mesh_host_v1" "data_write" (func $data_write (param i32 i32 i32 i32) (result i32)))
        (import "mesh_host_v1" "data_anchor" (func $data_anchor (param i32 i32) (result i32)))
        (import "mesh_host_v1" "output_set" (func $output_set (param i32 i32 i32 i32) (result i32)))
        (import "mesh_host_v1" "output_write" (func $output_write (param i32 i32 i32 i32) (result i32)))
        (import "mesh_host_v1" "log" (func $log (param i32 i32 i32) (result i32)))
        (import "mesh_host_v1" "progress" (func $progress (param i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
        """

    /// A module with every function; the body returns the exit code. `$n` and `$m` are locals, and `$say` writes bytes
    /// to standard output. At 2048 stand the texts of `data`.
    private static func module(_ body: String, data: String = "") -> String {
        """
        (module \(imports)
          (memory (export "memory") 2)
          (data (i32.const 2048) "\(data)")
          (func $say (param i32 i32)
            (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (local.get 1))
            (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
          (func (export "run") (result i32) (local $n i32) (local $m i32) \(body)))
        """
    }

    @Test("tells the job, its parties and the version")
    func queries() async throws {
        let machine = try Machine()
        let text = Self.module(
            """
            (call $say (i32.const 1024) (call $job_id (i32.const 1024) (i32.const 100)))
            (call $say (i32.const 1024) (call $originator_did (i32.const 1024) (i32.const 100)))
            (call $say (i32.const 1024) (call $executor_did (i32.const 1024) (i32.const 100)))
            (call $abi_version)
            """)
        let result = try await machine.run(text) { job in
            job.entry = "run"
            job.jobID = "bafyjob,"
            job.originatorDID = "did:key:zO,"
            job.executorDID = "did:key:zE"
        }
        #expect(result.outcome == .exited(code: 1))
        #expect(machine.host.text(result.standardOutputCID) == "bafyjob,did:key:zO,did:key:zE")
    }

    @Test("a buffer that is too small is left alone, and the size told")
    func smallBuffer() async throws {
        let text = Self.module(
            """
            (if (i32.ne (call $job_id (i32.const 1024) (i32.const 3)) (i32.const 7)) (then (return (i32.const 1))))
            (if (i32.load (i32.const 1024)) (then (return (i32.const 2))))
            (call $job_id (i32.const -1) (i32.const 0))
            """)
        let result = try await Machine().run(text) { job in
            job.entry = "run"
            job.jobID = "bafyjob"
        }
        #expect(result.outcome == .exited(code: 7))
    }

    @Test("gives inputs by index and name, by size and in pieces")
    func inputs() async throws {
        let machine = try Machine()
        let first = machine.host.put(Array("first input".utf8))
        let second = machine.host.put(Array("second".utf8))
        let text = Self.module(
            """
            (if (i32.ne (call $input_count) (i32.const 2)) (then (return (i32.const 1))))
            (if (i32.ne (call $input_find (i32.const 2048) (i32.const 3)) (i32.const 1)) (then (return (i32.const 2))))
            (if (i32.ne (call $input_find (i32.const 2048) (i32.const 2)) (i32.const -2)) (then (return (i32.const 3))))
            (if (i64.ne (call $input_size (i32.const 0)) (i64.const 11)) (then (return (i32.const 4))))
            (if (i64.ne (call $input_size (i32.const 2)) (i64.const -2)) (then (return (i32.const 5))))
            (call $say (i32.const 1024) (call $input_name (i32.const 0) (i32.const 1024) (i32.const 64)))
            (call $say (i32.const 1024)
              (call $input_read (i32.const 0) (i64.const 6) (i32.const 1024) (i32.const 64)))
            (call $say (i32.const 1024) (call $input_read (i32.const 1) (i64.const 0) (i32.const 1024) (i32.const 3)))
            (if (call $input_read (i32.const 1) (i64.const 6) (i32.const 1024) (i32.const 3))
              (then (return (i32.const 6))))
            (if (call $input_read (i32.const 1) (i64.const -1) (i32.const 1024) (i32.const 3))
              (then (return (i32.const 7))))
            (call $say (i32.const 1024) (call $input_cid (i32.const 1) (i32.const 1024) (i32.const 64)))
            (i32.const 0)
            """, data: "two")
        let result = try await machine.run(text) { job in
            job.entry = "run"
            job.inputs = [("one", first), ("two", second)]
        }
        #expect(result.outcome == .exited(code: 0))
        let output = try #require(result.standardOutputCID.flatMap { machine.host.readInput($0) })
        #expect(output == Array("oneinputsec".utf8) + second.bytes)
        #expect(result.usage.bytesRead == 8)
    }

    @Test("an input that is not there is the node's failure to fetch, not the guest's")
    func missingInput() async throws {
        let missing = CID.hashing(Array("nobody has this".utf8), codec: .raw)
        let text = Self.module(
            "(drop (call $input_read (i32.const 0) (i64.const 0) (i32.const 1024) (i32.const 9))) (i32.const 0)")
        let result = try await Machine().run(text) { job in
            job.entry = "run"
            job.inputs = [("gone", missing)]
        }
        #expect(result.outcome == .fetchFailed(reason: "input block \(missing) is not there"))
    }

    @Test("writes blocks, names outputs, anchors")
    func outputs() async throws {
        let machine = try Machine()
        let text = Self.module(
            """
            (local.set $n (call $data_write (i32.const 2048) (i32.const 4) (i32.const 1024) (i32.const 64)))
            (if (call $output_set (i32.const 2048) (i32.const 4) (i32.const 1024) (local.get $n))
              (then (return (i32.const 1))))
            (if (call $data_anchor (i32.const 1024) (local.get $n)) (then (return (i32.const 2))))
            (if (call $output_write (i32.const 2052) (i32.const 6) (i32.const 2048) (i32.const 10))
              (then (return (i32.const 3))))
            (i32.sub (i32.const 0)
              (call $output_write (i32.const 2052) (i32.const 6) (i32.const 2048) (i32.const 10)))
            """, data: "dataresult")
        let result = try await machine.run(text) { $0.entry = "run" }
        // The last call takes a name that is taken: `refused`, negated.
        #expect(result.outcome == .exited(code: 4))
        let data = CID.hashing(Array("data".utf8), codec: .raw)
        #expect(result.outputs.map(\.name) == ["data", "result"])
        #expect(result.outputs.map(\.cid) == [data, CID.hashing(Array("dataresult".utf8), codec: .raw)])
        #expect(result.anchoredCIDs == [data])
        #expect(machine.host.text(data) == "data")
        #expect(result.usage.bytesWritten == 24)
    }

    @Test("logs and tells progress, which only grows")
    func telling() async throws {
        let machine = try Machine()
        let text = Self.module(
            """
            (drop (call $log (i32.const 1) (i32.const 2048) (i32.const 5)))
            (drop (call $log (i32.const 3) (i32.const 2053) (i32.const 4)))
            (drop (call $progress (i32.const 100)))
            (drop (call $progress (i32.const 50)))
            (drop (call $progress (i32.const 100)))
            (drop (call $progress (i32.const 1000)))
            (i32.const 0)
            """, data: "hello\\c3\\a4\\e2\\9c")
        let result = try await machine.run(text) { $0.entry = "run" }
        #expect(result.outcome == .exited(code: 0))
        // The second line ends in the middle of a character and is refused.
        #expect(machine.host.logLines == ["info: hello"])
        #expect(machine.host.text(result.logCID) == "info: hello\n")
        #expect(machine.host.progressSteps == [100, 1_000])
    }

    @Test("fuel left goes down, and a host call costs what it says")
    func fuel() async throws {
        let text = Self.module(
            """
            (local.set $n (i32.wrap_i64 (call $fuel_left)))
            (i32.sub (local.get $n) (i32.wrap_i64 (call $fuel_left)))
            """)
        let result = try await Machine().run(text) { $0.entry = "run" }
        guard case .exited(let code) = result.outcome else {
            Issue.record("ended as \(result.outcome)")
            return
        }
        #expect(code >= Int32(HostCall.callFuel))
        #expect(code < 2 * Int32(HostCall.callFuel))
    }

    struct Refused: Sendable, CustomTestStringConvertible {
        var call: String
        var failure: MeshHostABI.Failure
        var testDescription: String { call }
    }

    static let refused: [Refused] = [
        Refused(call: "(call $log (i32.const 4) (i32.const 0) (i32.const 0))", failure: .invalidArgument),
        Refused(call: "(call $log (i32.const 1) (i32.const 0) (i32.const 8193))", failure: .tooLarge),
        Refused(call: "(call $log (i32.const 1) (i32.const 0) (i32.const -1))", failure: .tooLarge),
        Refused(call: "(call $progress (i32.const 1001))", failure: .invalidArgument),
        Refused(call: "(call $progress (i32.const -1))", failure: .invalidArgument),
        Refused(call: "(call $input_find (i32.const 0) (i32.const 257))", failure: .tooLarge),
        Refused(call: "(call $input_name (i32.const -1) (i32.const 0) (i32.const 9))", failure: .notFound),
        Refused(
            call: "(call $input_read (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 1))", failure: .notFound),
        Refused(
            call: "(call $data_write (i32.const 0) (i32.const 1048577) (i32.const 0) (i32.const 64))",
            failure: .tooLarge),
        Refused(call: "(call $data_anchor (i32.const 0) (i32.const 36))", failure: .invalidArgument),
        Refused(call: "(call $data_anchor (i32.const 0) (i32.const 129))", failure: .invalidArgument),
        Refused(
            call: "(call $output_set (i32.const 2048) (i32.const 1) (i32.const 0) (i32.const 4))",
            failure: .invalidArgument),
        Refused(
            call: "(call $output_write (i32.const 2048) (i32.const 0) (i32.const 0) (i32.const 4))",
            failure: .invalidArgument),
        Refused(
            call: "(call $output_write (i32.const 0) (i32.const 3) (i32.const 0) (i32.const 4))",
            failure: .invalidArgument),
    ]

    @Test("refuses arguments outside their range with the code for it", arguments: refused)
    func refuses(_ refused: Refused) async throws {
        let result = try await Machine().run(Self.module(refused.call, data: "x")) { $0.entry = "run" }
        #expect(result.outcome == .exited(code: Int32(refused.failure.rawValue)))
        #expect(result.outputs.isEmpty)
    }

    static let outside: [(name: String, call: String)] = [
        ("job_id", "(call $job_id (i32.const 131070) (i32.const 64))"),
        ("job_id", "(call $job_id (i32.const -1) (i32.const 64))"),
        ("log", "(call $log (i32.const 1) (i32.const 131072) (i32.const 1))"),
        ("log", "(call $log (i32.const 1) (i32.const -4096) (i32.const 8192))"),
        ("data_write", "(call $data_write (i32.const 65536) (i32.const 65537) (i32.const 0) (i32.const 64))"),
        ("data_write", "(call $data_write (i32.const 0) (i32.const 1) (i32.const -2) (i32.const 64))"),
        ("data_anchor", "(call $data_anchor (i32.const -1) (i32.const 36))"),
        ("output_write", "(call $output_write (i32.const -1) (i32.const 2) (i32.const 0) (i32.const 1))"),
        ("input_find", "(call $input_find (i32.const 131071) (i32.const 2))"),
    ]

    @Test("a pointer outside the memory is a trap that names the function", arguments: outside)
    func pointers(name: String, call: String) async throws {
        let result = try await Machine().run(Self.module(call)) { job in
            job.entry = "run"
            job.jobID = "bafyjob"
        }
        #expect(
            result.outcome
                == .trapped(
                    kind: .hostCall, message: "mesh_host_v1.\(name) was given a pointer outside the memory"))
    }

    @Test("outputs and anchors have a bound")
    func bounds() async throws {
        // Names of four letters, all different.
        let text = Self.module(
            """
            (loop $l
              (i32.store (i32.const 1024) (i32.add (local.get $n) (i32.const 0x41414141)))
              (local.set $m
                (call $output_write (i32.const 1024) (i32.const 4) (i32.const 1024) (i32.const 4)))
              (if (local.get $m) (then (return (local.get $n))))
              (local.set $n (i32.add (local.get $n) (i32.const 0x100)))
              (if (i32.ge_u (i32.and (local.get $n) (i32.const 0x3f00)) (i32.const 0x3000))
                (then (local.set $n (i32.add (i32.and (local.get $n) (i32.const 0xff0000)) (i32.const 0x10000)))))
              (br $l))
            (i32.const -1)
            """)
        let result = try await Machine().run(text) { $0.entry = "run" }
        #expect(result.outputs.count == MeshHostABI.outputsMax)
        let anchors = Self.module(
            """
            (local.set $m (call $data_write (i32.const 0) (i32.const 1) (i32.const 1024) (i32.const 64)))
            (loop $l
              (if (call $data_anchor (i32.const 1024) (local.get $m)) (then (return (local.get $n))))
              (local.set $n (i32.add (local.get $n) (i32.const 1)))
              (br $l))
            (i32.const -1)
            """)
        let anchored = try await Machine().run(anchors) { $0.entry = "run" }
        #expect(anchored.outcome == .exited(code: Int32(MeshHostABI.anchorsMax)))
        #expect(anchored.anchoredCIDs.count == MeshHostABI.anchorsMax)
    }
}
