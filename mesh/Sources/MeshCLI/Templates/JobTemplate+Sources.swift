extension JobTemplate {
    static let swiftMain = """
        @main
        struct Job {
            static func main() {
                let line = Array("Hello from job ".utf8) + Mesh.jobID + [0x0A]
                Standard.write(line)
                guard Mesh.output("greeting", line) else { Standard.exit(1) }
                Mesh.progress(1_000)
            }
        }

        """

    static let cMain = #"""
        #include <stdio.h>
        #include <string.h>

        #include "mesh_host.h"

        int main(void) {
          char id[128], line[160];
          int32_t count = mesh_job_id(id, sizeof id);
          if (count < 0 || count > (int32_t)sizeof id) return 1;
          snprintf(line, sizeof line, "Hello from job %.*s\n", (int)count, id);
          fputs(line, stdout);
          if (mesh_output_write("greeting", 8, line, strlen(line)) != 0) return 1;
          mesh_progress(1000);
          return 0;
        }

        """#

    static let rustMain = #"""
        fn main() {
            let line = format!("Hello from job {}\n", mesh_host::job_id());
            print!("{line}");
            if mesh_host::output("greeting", line.as_bytes()).is_err() {
                std::process::exit(1);
            }
            mesh_host::progress(1000);
        }

        """#

    static let zigMain = #"""
        const mesh = @import("mesh_host.zig");

        const Vector = extern struct { bytes: [*]const u8, count: usize };
        extern "wasi_snapshot_preview1" fn fd_write(file: i32, from: [*]const Vector, count: usize, done: *usize) i32;

        pub fn main() u8 {
            const hello = "Hello from job ";
            var line: [hello.len + 128 + 1]u8 = undefined;
            @memcpy(line[0..hello.len], hello);
            const count = mesh.job_id(line[hello.len..].ptr, 128);
            if (count < 0 or count > 128) return 1;
            const end = hello.len + @as(usize, @intCast(count));
            line[end] = '\n';
            var done: usize = 0;
            const vectors = [_]Vector{.{ .bytes = &line, .count = end + 1 }};
            if (fd_write(1, &vectors, 1, &done) != 0) return 1;
            if (mesh.output_write("greeting", 8, &line, @intCast(end + 1)) != 0) return 1;
            _ = mesh.progress(1000);
            return 0;
        }

        """#

    static let cargo = """
        [package]
        name = "job"
        version = "0.1.0"
        edition = "2021"

        [dependencies]
        mesh_host = { path = "mesh_host" }

        [profile.release]
        opt-level = "s"
        strip = true

        """

    static let hostCargo = """
        [package]
        name = "mesh_host"
        version = "1.0.0"
        edition = "2021"

        """

    // MARK: Declarations

    private static let note = "What a job can ask of the mesh: MeshHostABI version 1. Results below zero are failures."

    static var header: String {
        """
        /* \(note) */
        #ifndef MESH_HOST_H
        #define MESH_HOST_H
        #include <stdint.h>

        #define MESH_HOST(name) __attribute__((import_module("\(HostDeclaration.module)"), import_name(#name)))

        \(HostDeclaration.all.map { $0.inC }.joined(separator: "\n"))

        #endif

        """
    }

    static var zigModule: String {
        "// \(note)\n\n" + HostDeclaration.all.map { $0.inZig + "\n" }.joined()
    }

    static var hostCrate: String {
        """
        //! \(note)

        /// The functions of the host as they are.
        pub mod raw {
            #[link(wasm_import_module = "\(HostDeclaration.module)")]
            extern "C" {
        \(HostDeclaration.all.map { "        " + $0.inRust }.joined(separator: "\n"))
            }
        }

        /// The CID of the job as text.
        pub fn job_id() -> String {
            let mut buffer = [0u8; 128];
            let count = unsafe { raw::job_id(buffer.as_mut_ptr(), buffer.len() as u32) };
            let count = usize::try_from(count).unwrap_or(0).min(buffer.len());
            String::from_utf8_lossy(&buffer[..count]).into_owned()
        }

        /// All bytes of a named input; `None` when there is none of this name.
        pub fn input(name: &str) -> Option<Vec<u8>> {
            let index = unsafe { raw::input_find(name.as_ptr(), name.len() as u32) };
            let index = u32::try_from(index).ok()?;
            let size = usize::try_from(unsafe { raw::input_size(index) }).ok()?;
            let mut bytes = vec![0u8; size];
            let mut offset = 0;
            while offset < size {
                let count = (size - offset).min(1 << 20) as u32;
                let got = unsafe { raw::input_read(index, offset as u64, bytes[offset..].as_mut_ptr(), count) };
                offset += usize::try_from(got).ok().filter(|&got| got > 0)?;
            }
            Some(bytes)
        }

        /// Stores bytes as a block and binds it to a name in the receipt; the error is the host's.
        pub fn output(name: &str, bytes: &[u8]) -> Result<(), i32> {
            let code = unsafe {
                raw::output_write(name.as_ptr(), name.len() as u32, bytes.as_ptr(), bytes.len() as u32)
            };
            if code == 0 { Ok(()) } else { Err(code) }
        }

        /// Writes a line to the job's log; levels are 0 (debug) to 3 (error).
        pub fn log(level: i32, text: &str) {
            unsafe { raw::log(level, text.as_ptr(), text.len() as u32) };
        }

        /// Tells how much of the work is done, in thousandths.
        pub fn progress(permille: i32) {
            unsafe { raw::progress(permille) };
        }

        """ + sessionFunctions
    }

    private static let sessionFunctions = """

        /// Waits for what the user of an interactive job sends, and takes it as far as it fits; 0 when nothing more
        /// will come. The error is the host's: -5 in a job that is not interactive.
        pub fn receive(buffer: &mut [u8]) -> Result<usize, i32> {
            let count = buffer.len().min(1 << 20) as u32;
            let got = unsafe { raw::session_receive(buffer.as_mut_ptr(), count) };
            usize::try_from(got).map_err(|_| got)
        }

        /// Sends bytes to the user of an interactive job, as standard output does.
        pub fn send(bytes: &[u8]) -> Result<(), i32> {
            for piece in bytes.chunks(1 << 20) {
                let code = unsafe { raw::session_send(piece.as_ptr(), piece.len() as u32) };
                if code != 0 { return Err(code); }
            }
            Ok(())
        }

        /// Bytes that `receive` takes without waiting, 0 for none yet; the error is -6 when nothing more will come.
        pub fn waiting() -> Result<usize, i32> {
            let count = unsafe { raw::session_waiting() };
            usize::try_from(count).map_err(|_| count)
        }

        """

    // MARK: Building

    static let swiftBuild = #"""
        toolchain=$(dirname "$(readlink -f "$(command -v swiftc)")")
        linker=$toolchain/wasm-ld; [ -x "$linker" ] || linker=wasm-ld
        compiler=$toolchain/clang; [ -x "$compiler" ] || compiler=clang
        "$compiler" --target=wasm32-unknown-none-wasm -nostdlib -ffreestanding -fno-builtin -O2 -mbulk-memory \
          -c support/runtime.c -o build/runtime.o
        swiftc -target wasm32-unknown-none-wasm -enable-experimental-feature Embedded \
          -enable-experimental-feature Extern -wmo -Osize -parse-as-library -Xcc -fdeclspec -module-name Job \
          -c support/*.swift main.swift -o build/job.o
        "$linker" --no-entry --export=_start --gc-sections --strip-debug -z stack-size=131072 --stack-first \
          build/job.o build/runtime.o -o "$target"

        """#

    static let cBuild = #"""
        if [ -n "${WASI_SDK_PATH:-}" ]; then
          compiler=("$WASI_SDK_PATH/bin/clang" --target=wasm32-wasi)
        elif command -v zig >/dev/null; then
          compiler=(zig cc --target=wasm32-wasi)
        elif python3 -c 'import ziglang' 2>/dev/null; then
          compiler=(python3 -m ziglang cc --target=wasm32-wasi)
        else
          compiler=(clang --target=wasm32-wasi)
        fi
        "${compiler[@]}" -Os -Wall -Wl,--strip-all main.c -o "$target"

        """#

    static let rustBuild = #"""
        # Before Rust 1.78 the same system had another name.
        system=wasm32-wasip1
        rustc --print target-list | grep "^$system\$" >/dev/null || system=wasm32-wasi
        cargo build --quiet --release --target "$system" --target-dir target
        cp "target/$system/release/job.wasm" "$target"

        """#

    static let zigBuild = #"""
        zig=(zig)
        command -v zig >/dev/null || zig=(python3 -m ziglang)
        "${zig[@]}" build-exe main.zig -target wasm32-wasi -O ReleaseSmall -femit-bin="$target"

        """#
}
