import CWasmtime

/// Modules for jobs of the tests, written as text.
enum GuestModules {
    struct NotAModule: Error {
        let text: String
    }

    /// A WASI command whose `_start` does `body`; the local `$n` is there to be used.
    static func command(_ body: String) throws -> [UInt8] {
        try module(
            """
            (module
              (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
              (memory (export "memory") 8)
              (func (export "_start") (local $n i32) \(body)))
            """)
    }

    /// A module that writes the outputs `greeting` and `../up`, says that it is 42 % done, and then does not end; with
    /// standard input it ends.
    static func progressing() throws -> [UInt8] {
        try module(
            """
            (module
              (import "mesh_host_v1" "progress" (func $progress (param i32) (result i32)))
              (import "mesh_host_v1" "output_write" (func $output (param i32 i32 i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
              (memory (export "memory") 1)
              (data (i32.const 100) "greetinghello, mesh\\n")
              (data (i32.const 200) "../up")
              (data (i32.const 300) "on standard output\\n")
              (func (export "_start")
                (drop (call $output (i32.const 100) (i32.const 8) (i32.const 108) (i32.const 12)))
                (drop (call $progress (i32.const 427)))
                (i32.store (i32.const 0) (i32.const 300)) (i32.store (i32.const 4) (i32.const 19))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                (i32.store (i32.const 0) (i32.const 400)) (i32.store (i32.const 4) (i32.const 9))
                (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
                (if (i32.eqz (i32.load (i32.const 8))) (then (loop $forever (br $forever))))
                (if (i32.gt_u (i32.load (i32.const 8)) (i32.const 3))
                  (then (drop (call $output (i32.const 200) (i32.const 5) (i32.const 108) (i32.const 12)))))))
            """)
    }

    /// A module that copies `/in/data.txt` to `out/copy.txt` in its working folder, and makes a link to it; exits with
    /// the number of the step that failed.
    static func copyingFiles() throws -> [UInt8] {
        try module(
            """
            (module
              (import "wasi_snapshot_preview1" "path_open" (func $open
                (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "path_symlink" (func $link (param i32 i32 i32 i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
              (memory (export "memory") 1)
              (data (i32.const 100) "data.txt")
              (data (i32.const 120) "out")
              (data (i32.const 140) "out/copy.txt")
              (data (i32.const 160) "copy.txt")
              (data (i32.const 180) "out/link")
              (func $step (param $number i32) (param $failed i32)
                (if (local.get $failed) (then (call $exit (local.get $number)))))
              ;; The folders that are open from the start are /in, /job, /tmp, and the working folder as the last one.
              (func (export "_start")
                (call $step (i32.const 1) (call $open (i32.const 3) (i32.const 0) (i32.const 100) (i32.const 8)
                  (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 20)))
                (i32.store (i32.const 0) (i32.const 1000)) (i32.store (i32.const 4) (i32.const 4096))
                (call $step (i32.const 2)
                  (call $read (i32.load (i32.const 20)) (i32.const 0) (i32.const 1) (i32.const 8)))
                (call $step (i32.const 3) (call $mkdir (i32.const 6) (i32.const 120) (i32.const 3)))
                (call $step (i32.const 4) (call $open (i32.const 6) (i32.const 0) (i32.const 140) (i32.const 12)
                  (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 20)))
                (i32.store (i32.const 4) (i32.load (i32.const 8)))
                (call $step (i32.const 5)
                  (call $write (i32.load (i32.const 20)) (i32.const 0) (i32.const 1) (i32.const 12)))
                (call $step (i32.const 6)
                  (call $link (i32.const 160) (i32.const 8) (i32.const 6) (i32.const 180) (i32.const 8)))
                (call $step (i32.const 7)
                  (i32.eqz (call $open (i32.const 3) (i32.const 0) (i32.const 140) (i32.const 12)
                    (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 20))))))
            """)
    }

    /// A module that ends at once and takes a compiler some seconds.
    ///
    /// A text of it would take longer to read than the module to compile, so it is put together from its sections.
    static func heavy(functions count: Int = 150) -> [UInt8] {
        // $0 = $0 * 1103515245 ^ $1
        let step: [UInt8] = [
            0x20, 0, 0x41, 0xED, 0x9C, 0x99, 0x8E, 0x04, 0x6C, 0x20, 1, 0x73, 0x21, 0,
        ]
        let body = [0] + [[UInt8]](repeating: step, count: 1_200).joined() + [0x20, 0, 0x0B]
        func number(_ value: Int) -> [UInt8] {
            var (rest, bytes) = (value, [UInt8]())
            repeat {
                bytes.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
                rest >>= 7
            } while rest > 0
            return bytes
        }
        func section(_ id: UInt8, _ content: [UInt8]) -> [UInt8] { [id] + number(content.count) + content }
        let types = section(1, [2, 0x60, 2, 0x7F, 0x7F, 1, 0x7F, 0x60, 0, 0])
        let functions = section(3, number(count + 1) + [UInt8](repeating: 0, count: count) + [1])
        let exports = section(7, [1, 6] + Array("_start".utf8) + [0] + number(count))
        let bodies = [[UInt8]](repeating: number(body.count) + body, count: count).joined() + [2, 0, 0x0B]
        return Array("\0asm".utf8) + [1, 0, 0, 0] + types + functions + exports
            + section(10, number(count + 1) + bodies)
    }

    /// The module of a text.
    static func module(_ text: String) throws -> [UInt8] {
        var bytes = wasm_byte_vec_t()
        if let error = wasmtime_wat2wasm(text, text.utf8.count, &bytes) {
            wasmtime_error_delete(error)
            throw NotAModule(text: text)
        }
        defer { wasm_byte_vec_delete(&bytes) }
        return [UInt8](UnsafeBufferPointer(start: bytes.data, count: bytes.size))
    }

    /// A module that says back what its user sends, by the calls of `mesh_host_v1` alone: one byte, and then what waits
    /// behind it.
    static func talking() throws -> [UInt8] {
        try module(
            """
            (module
              (import "mesh_host_v1" "session_receive" (func $receive (param i32 i32) (result i32)))
              (import "mesh_host_v1" "session_send" (func $send (param i32 i32) (result i32)))
              (import "mesh_host_v1" "session_waiting" (func $waiting (result i32)))
              (memory (export "memory") 2)
              (func (export "_start") (local $got i32) (local $more i32)
                (loop $l
                  (local.set $got (call $receive (i32.const 1024) (i32.const 1)))
                  (if (i32.eq (local.get $got) (i32.const 1)) (then
                    (local.set $more (call $waiting))
                    (if (i32.gt_s (local.get $more) (i32.const 0)) (then
                      (local.set $got
                        (i32.add (local.get $got) (call $receive (i32.const 1025) (local.get $more))))))
                    (drop (call $send (i32.const 1024) (local.get $got)))
                    (br $l))))))
            """)
    }

    /// Copies standard input to standard output.
    static let copying = """
        (loop $more
          (i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (i32.const 400000))
          (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
          (local.set $n (i32.load (i32.const 8)))
          (if (local.get $n) (then
            (i32.store (i32.const 4) (local.get $n))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
            (br $more))))
        """

    /// Writes 4 MiB to standard output, in 16 parts of which each begins with its number.
    static let writing = """
        (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 262144))
        (loop $more
          (i32.store (i32.const 16) (local.get $n))
          (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $more (i32.lt_u (local.get $n) (i32.const 16))))
        """

    /// What `writing` writes.
    static var written: [UInt8] {
        (0..<16).flatMap { [UInt8($0)] + [UInt8](repeating: 0, count: (256 << 10) - 1) }
    }
}
