import CWasmtime
import Testing

/// Guests written as WebAssembly text, each about one thing.
enum Guests {
    /// Assembles WebAssembly text with the engine's own assembler.
    static func assemble(_ text: String) throws -> [UInt8] {
        var bytes = wasm_byte_vec_t()
        if let error = wasmtime_wat2wasm(text, text.utf8.count, &bytes) {
            var message = wasm_byte_vec_t()
            wasmtime_error_message(error, &message)
            defer { wasm_byte_vec_delete(&message) }
            wasmtime_error_delete(error)
            throw AssemblyError(
                message: String(decoding: UnsafeBufferPointer(start: message.data, count: message.size), as: UTF8.self))
        }
        defer { wasm_byte_vec_delete(&bytes) }
        return [UInt8](UnsafeBufferPointer(start: bytes.data, count: bytes.size))
    }

    struct AssemblyError: Error {
        var message: String
    }

    static let wasi = "wasi_snapshot_preview1"

    /// Writes a text to a descriptor with one `fd_write`, `times` times.
    static func writing(_ text: String, descriptor: Int = 1, times: Int = 1) -> String {
        let quoted = text.utf8.map { "\\" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        return """
            (module
              (import "\(wasi)" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
              (memory (export "memory") 2)
              (data (i32.const 1024) "\(quoted)")
              (func (export "_start") (local $left i32)
                (i32.store (i32.const 0) (i32.const 1024))
                (i32.store (i32.const 4) (i32.const \(text.utf8.count)))
                (local.set $left (i32.const \(times)))
                (loop $again
                  (drop (call $write (i32.const \(descriptor)) (i32.const 0) (i32.const 1) (i32.const 8)))
                  (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))
            """
    }

    static let nothing = #"(module (memory (export "memory") 1) (func (export "_start")))"#
    static let endlessLoop = #"(module (memory (export "memory") 1) (func (export "_start") (loop $l (br $l))))"#
    static let endlessRecursion = """
        (module (func $f (export "_start") (local i64 i64 i64)
          (local.set 0 (i64.const 1)) (call $f) (local.set 1 (local.get 0)) (drop (local.get 1))))
        """

    /// Grows by 1 MiB until it is refused, then gives up as a compiler's runtime does.
    static let memoryBomb = """
        (module (memory (export "memory") 1)
          (func (export "_start")
            (loop $l
              (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
              (br $l))))
        """

    /// Grows until it is refused, then exits with a code.
    static func growThenExit(_ code: Int) -> String {
        """
        (module
          (import "\(wasi)" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1)
          (func (export "_start")
            (loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
            (call $exit (i32.const \(code)))))
        """
    }

    /// Is refused a large growth, does with a small one, then traps for another reason.
    static let growthRefusedThenGranted = """
        (module (memory (export "memory") 1)
          (func (export "_start")
            (drop (memory.grow (i32.const 60000)))
            (drop (memory.grow (i32.const 1)))
            (drop (i32.div_s (i32.const 1) (i32.const 0)))))
        """

    static func exiting(_ code: Int) -> String {
        """
        (module
          (import "\(wasi)" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1)
          (func (export "_start") (call $exit (i32.const \(code))) unreachable))
        """
    }

    /// Sleeps for some nanoseconds with `poll_oneoff`, over and over or once.
    static func sleeping(nanoseconds: Int64, forever: Bool) -> String {
        """
        (module
          (import "\(wasi)" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (func (export "_start")
            (loop $l
              (i32.store (i32.const 16) (i32.const 1))
              (i64.store (i32.const 24) (i64.const \(nanoseconds)))
              (if (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)) (then unreachable))
              (br_if $l (i32.const \(forever ? 1 : 0))))))
        """
    }

    /// Calls a host function for ever.
    static let hostCallFlood = """
        (module
          (import "\(wasi)" "sched_yield" (func $yield (result i32)))
          (memory (export "memory") 1)
          (func (export "_start") (loop $l (drop (call $yield)) (br $l))))
        """

    /// Throws through two calls and catches, so many times; for ever if none.
    static func exceptions(count: Int) -> String {
        """
        (module (tag $e (param i32 i64)) (memory (export "memory") 1)
          (func $deeper (param i32) (throw $e (local.get 0) (i64.const 1)))
          (func $deep (param i32) (call $deeper (local.get 0)))
          (func (export "_start") (result i32) (local $left i32)
            (local.set $left (i32.const \(count)))
            (loop $l
              (block $caught (result i32 i64)
                (try_table (catch $e $caught) (call $deep (local.get $left)))
                unreachable)
              drop
              (if (i32.ne (local.get $left)) (then unreachable))
              (br_if $l (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
            (i32.const 0)))
        """
    }

    /// Throws exceptions that hold the one before them, and drops none.
    static let exceptionChain = """
        (module (tag $e (param exnref)) (memory (export "memory") 1)
          (global $last (mut exnref) (ref.null exn))
          (func (export "_start")
            (loop $l
              (global.set $last
                (block $caught (result exnref)
                  (try_table (catch_all_ref $caught) (throw $e (global.get $last)))
                  unreachable))
              (br $l))))
        """

    /// Fills 64 MiB for ever: bulk operations must be charged by size.
    static let fillFlood = """
        (module (memory (export "memory") 1024)
          (func (export "_start")
            (loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 67108864)) (br $l))))
        """

    /// Stores the largest block for ever.
    static let blockFlood = """
        (module
          (import "mesh_host_v1" "data_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 32)
          (func (export "_start")
            (loop $l
              (drop (call $write (i32.const 0) (i32.const 1048576) (i32.const 1048576) (i32.const 64)))
              (br $l))))
        """

    /// Says on standard output whether its whole first page but the place of its own message is zero, then soils it.
    static let zeroChecker = """
        (module
          (import "\(wasi)" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 4)
          (global $soiled (mut i32) (i32.const 0))
          (func (export "_start") (local $at i32)
            (if (global.get $soiled) (then (call $exit (i32.const 2))))
            (global.set $soiled (i32.const 1))
            (loop $l
              (if (i32.load8_u (local.get $at)) (then (call $exit (i32.const 1))))
              (br_if $l (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (i32.const 262144))))
            (memory.fill (i32.const 0) (i32.const 165) (i32.const 262144))))
        """

    /// Adds numbers in a loop and prints ten random bytes, the clock and a NaN's bits: whatever might differ.
    static let chance = """
        (module
          (import "\(wasi)" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (import "\(wasi)" "random_get" (func $random (param i32 i32) (result i32)))
          (import "\(wasi)" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
          (memory (export "memory") 1)
          (func (export "_start") (local $n i32)
            (local.set $n (i32.const 100000))
            (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (drop (call $random (i32.const 1024) (i32.const 10)))
            (drop (call $time (i32.const 0) (i64.const 1) (i32.const 1040)))
            (drop (call $time (i32.const 1) (i64.const 1) (i32.const 1048)))
            (f32.store (i32.const 1056) (f32.div (f32.const 0) (f32.const 0)))
            (f64.store (i32.const 1064) (f64.sqrt (f64.const -1)))
            (i32.store (i32.const 0) (i32.const 1024))
            (i32.store (i32.const 4) (i32.const 48))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
        """

    /// A module of 7 MB whose compilation takes seconds of processor time, within every limit of the inspection.
    static let heavyToCompile: [UInt8] = {
        // (func (param i32 i32) (result i32)): seven instructions, over and over, and the first parameter.
        let step: [UInt8] = [0x20, 0, 0x41, 7, 0x6C, 0x20, 1, 0x6A, 0x22, 1, 0x20, 0, 0x73, 0x21, 0]
        let content = [0] + Array(repeatElement(step, count: 700).joined()) + [0x20, 0, 0x0B]
        let body = number(content.count) + content
        let count = 700
        func section(_ id: UInt8, _ content: [UInt8]) -> [UInt8] { [id] + number(content.count) + content }
        return [0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00]
            + section(1, [2, 0x60, 0, 0, 0x60, 2, 0x7F, 0x7F, 1, 0x7F])
            + section(3, number(count + 1) + [0] + [UInt8](repeating: 1, count: count))
            + section(7, [1, 6] + Array("_start".utf8) + [0, 0])
            + section(10, number(count + 1) + [2, 0, 0x0B] + Array(repeatElement(body, count: count).joined()))
    }()

    private static func number(_ value: Int) -> [UInt8] {
        value < 128 ? [UInt8(value)] : [UInt8(value & 127) | 128] + number(value >> 7)
    }
}
