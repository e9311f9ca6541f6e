// What a job written in Embedded Swift reaches of the world: standard streams and arguments (WASI preview 1),
// and the mesh (MeshHostABI version 1). Compile it together with the job, as the build script does.

// MARK: Imports

// The C convention beside the wasm import keeps Swift's two hidden parameters out of the type.

@_extern(wasm, module: "wasi_snapshot_preview1", name: "fd_write") @_extern(c)
private func wasiWrite(
    _ descriptor: Int32, _ vector: UnsafePointer<UInt32>, _ count: Int32, _ written: UnsafeMutablePointer<Int32>
) -> Int32
@_extern(wasm, module: "wasi_snapshot_preview1", name: "fd_read") @_extern(c)
private func wasiRead(
    _ descriptor: Int32, _ vector: UnsafePointer<UInt32>, _ count: Int32, _ got: UnsafeMutablePointer<Int32>
) -> Int32
@_extern(wasm, module: "wasi_snapshot_preview1", name: "args_sizes_get") @_extern(c)
private func wasiArgumentSizes(
    _ count: UnsafeMutablePointer<Int32>, _ bytes: UnsafeMutablePointer<Int32>
) -> Int32
@_extern(wasm, module: "wasi_snapshot_preview1", name: "args_get") @_extern(c)
private func wasiArguments(
    _ pointers: UnsafeMutablePointer<Int32>, _ bytes: UnsafeMutablePointer<UInt8>
) -> Int32
@_extern(wasm, module: "wasi_snapshot_preview1", name: "proc_exit") @_extern(c)
private func wasiExit(_ code: Int32)

@_extern(wasm, module: "mesh_host_v1", name: "output_write") @_extern(c)
private func meshOutput(
    _ name: UnsafePointer<UInt8>, _ nameCount: Int32, _ bytes: UnsafePointer<UInt8>, _ count: Int32
) -> Int32
@_extern(wasm, module: "mesh_host_v1", name: "log") @_extern(c)
private func meshLog(_ level: Int32, _ text: UnsafePointer<UInt8>, _ count: Int32) -> Int32
@_extern(wasm, module: "mesh_host_v1", name: "progress") @_extern(c)
private func meshProgress(_ permille: Int32) -> Int32
@_extern(wasm, module: "mesh_host_v1", name: "fuel_left") @_extern(c)
private func meshFuelLeft() -> Int64
@_extern(wasm, module: "mesh_host_v1", name: "job_id") @_extern(c)
private func meshJobID(_ buffer: UnsafeMutablePointer<UInt8>, _ capacity: Int32) -> Int32
@_extern(wasm, module: "mesh_host_v1", name: "input_count") @_extern(c)
private func meshInputCount() -> Int32
@_extern(wasm, module: "mesh_host_v1", name: "input_find") @_extern(c)
private func meshInputFind(_ name: UnsafePointer<UInt8>, _ count: Int32) -> Int32
@_extern(wasm, module: "mesh_host_v1", name: "input_size") @_extern(c)
private func meshInputSize(_ index: Int32) -> Int64
@_extern(wasm, module: "mesh_host_v1", name: "input_read") @_extern(c)
private func meshInputRead(
    _ index: Int32, _ offset: Int64, _ buffer: UnsafeMutablePointer<UInt8>, _ count: Int32
) -> Int32
@_extern(wasm, module: "mesh_host_v1", name: "session_receive") @_extern(c)
private func meshSessionReceive(_ buffer: UnsafeMutablePointer<UInt8>, _ capacity: Int32) -> Int32
@_extern(wasm, module: "mesh_host_v1", name: "session_send") @_extern(c)
private func meshSessionSend(_ bytes: UnsafePointer<UInt8>, _ count: Int32) -> Int32
@_extern(wasm, module: "mesh_host_v1", name: "session_waiting") @_extern(c)
private func meshSessionWaiting() -> Int32

// MARK: Standard streams

/// Standard input, output and error.
public enum Standard {
    /// All of standard input, or of another descriptor.
    public static func readAll(from descriptor: Int32 = 0) -> [UInt8] {
        var all: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            var got: Int32 = 0
            let failure = chunk.withUnsafeMutableBufferPointer { buffer in
                let address = UInt32(UInt(bitPattern: buffer.baseAddress))
                return wasiRead(descriptor, [address, UInt32(buffer.count)], 1, &got)
            }
            if failure != 0 || got <= 0 { return all }
            all += chunk[0..<Int(got)]
        }
    }

    /// Writes bytes to standard output.
    public static func write(_ bytes: [UInt8]) { _ = write(bytes, to: 1) }

    /// Writes a text to standard output.
    public static func write(_ text: String) { _ = write(Array(text.utf8), to: 1) }

    /// Writes a text to standard error.
    public static func complain(_ text: String) { _ = write(Array(text.utf8), to: 2) }

    /// Writes bytes to a descriptor; `false` if it does not take them all.
    static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var offset = 0
        while offset < bytes.count {
            var put: Int32 = 0
            let failure = bytes.withUnsafeBufferPointer { buffer in
                let address = UInt32(UInt(bitPattern: buffer.baseAddress) + UInt(offset))
                return wasiWrite(descriptor, [address, UInt32(buffer.count - offset)], 1, &put)
            }
            if failure != 0 || put <= 0 { return false }
            offset += Int(put)
        }
        return true
    }

    /// The arguments of the job, without the program's name.
    public static func arguments() -> [[UInt8]] {
        var count: Int32 = 0
        var size: Int32 = 0
        guard wasiArgumentSizes(&count, &size) == 0, count > 0, size > 0 else { return [] }
        var pointers = [Int32](repeating: 0, count: Int(count))
        var bytes = [UInt8](repeating: 0, count: Int(size))
        let failure = pointers.withUnsafeMutableBufferPointer { list in
            bytes.withUnsafeMutableBufferPointer { text in
                wasiArguments(list.baseAddress.unsafelyUnwrapped, text.baseAddress.unsafelyUnwrapped)
            }
        }
        guard failure == 0 else { return [] }
        var list = bytes.split(separator: 0, omittingEmptySubsequences: false).map { Array($0) }
        list.removeLast()
        return Array(list.dropFirst())
    }

    /// Ends the job with an exit code; the host does not come back from it.
    public static func exit(_ code: Int32) -> Never {
        wasiExit(code)
        fatalError()
    }
}

// MARK: The mesh

/// The mesh as a job sees it.
public enum Mesh {
    /// How urgent a log line is.
    public enum Level: Int32 {
        /// For the author of the job.
        case debug = 0
        /// For its user.
        case info = 1
        /// Something that may need attention.
        case warning = 2
        /// Something that went wrong.
        case error = 3
    }

    /// Stores bytes as a block and binds it to a name in the receipt; `false` when that was refused.
    public static func output(_ name: String, _ bytes: [UInt8]) -> Bool {
        let name = Array(name.utf8)
        return name.withUnsafeBufferPointer { nameBuffer in
            bytes.withUnsafeBufferPointer { buffer in
                let counts = (name: Int32(nameBuffer.count), bytes: Int32(buffer.count))
                return meshOutput(address(nameBuffer), counts.name, address(buffer), counts.bytes) == 0
            }
        }
    }

    /// Writes a line to the job's log.
    public static func log(_ level: Level, _ text: String) {
        Array(text.utf8).withUnsafeBufferPointer { _ = meshLog(level.rawValue, address($0), Int32($0.count)) }
    }

    /// Tells how much of the work is done, in thousandths.
    public static func progress(_ permille: Int) { _ = meshProgress(Int32(permille)) }

    /// Fuel that is left.
    public static var fuelLeft: Int64 { meshFuelLeft() }

    /// The CID of the job as text.
    public static var jobID: [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 128)
        let count = buffer.withUnsafeMutableBufferPointer {
            meshJobID($0.baseAddress.unsafelyUnwrapped, Int32($0.count))
        }
        return count >= 0 && Int(count) <= buffer.count ? Array(buffer[0..<Int(count)]) : []
    }

    /// How many named inputs there are.
    public static var inputCount: Int { Int(meshInputCount()) }

    /// All bytes of a named input; `nil` when there is none of this name.
    public static func input(_ name: String) -> [UInt8]? {
        let index = Array(name.utf8).withUnsafeBufferPointer { meshInputFind(address($0), Int32($0.count)) }
        guard index >= 0 else { return nil }
        let size = Int(meshInputSize(index))
        guard size > 0 else { return [] }
        var bytes = [UInt8](repeating: 0, count: size)
        var offset = 0
        while offset < size {
            let got = bytes.withUnsafeMutableBufferPointer { buffer in
                meshInputRead(
                    index, Int64(offset), buffer.baseAddress.unsafelyUnwrapped + offset,
                    Int32(min(size - offset, 1 << 20)))
            }
            guard got > 0 else { return nil }
            offset += Int(got)
        }
        return bytes
    }

    /// Waits for what the user of an interactive job sends, and takes it; `nil` when nothing more will come, and in a
    /// job that is not interactive.
    public static func receive() -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = buffer.withUnsafeMutableBufferPointer {
            meshSessionReceive($0.baseAddress.unsafelyUnwrapped, Int32($0.count))
        }
        return count > 0 ? Array(buffer[0..<Int(count)]) : nil
    }

    /// Sends bytes to the user of an interactive job, as standard output does; `false` if the job is not interactive.
    public static func send(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBufferPointer { buffer in
            var offset = 0
            while offset < buffer.count {
                let piece = UnsafeBufferPointer(rebasing: buffer[offset..<min(buffer.count, offset + (1 << 20))])
                guard meshSessionSend(address(piece), Int32(piece.count)) == 0 else { return false }
                offset += piece.count
            }
            return true
        }
    }

    /// Bytes that `receive` takes without waiting, 0 for none yet; `nil` when nothing more will come, and in a job that
    /// is not interactive.
    public static var waiting: Int? {
        let count = meshSessionWaiting()
        return count >= 0 ? Int(count) : nil
    }

    // An empty array has no address, and the host reads none of its bytes.
    private static func address(_ buffer: UnsafeBufferPointer<UInt8>) -> UnsafePointer<UInt8> {
        buffer.baseAddress ?? UnsafePointer(bitPattern: 16).unsafelyUnwrapped
    }
}
