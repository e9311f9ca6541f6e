import CWasmtime

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Grants a run's linear memories, and the heap of its exceptions, against one limit.
///
/// The engine's own limiter refuses silently; this one remembers, so that a trap after a refused growth counts as the
/// memory limit.
struct MemoryBudget {
    let bytesMax: UInt64
    private(set) var bytes: UInt64 = 0
    /// Bytes of the limit that the entries of folders take.
    var filesBytes: UInt64 = 0
    private(set) var peakBytes: UInt64 = 0
    /// Whether the last growth was refused: a later growth that succeeds shows that the guest could go on without it.
    private(set) var wasRefused = false
    /// Whether the machine lacked memory that the limit allows. The guest saw a growth refused that another machine
    /// grants, so whatever it does from there on counts for nothing.
    private(set) var isMachineShort = false
    /// Whether the machine has memory for one more growth to this many bytes; for tests.
    var hasMachine: @Sendable (UInt64) -> Bool

    /// Why a run on a machine without memory ends.
    static let shortage = "the machine had no memory left for the job"

    init(bytesMax: UInt64, hasMachine: @escaping @Sendable (UInt64) -> Bool = { _ in true }) {
        self.bytesMax = bytesMax
        self.hasMachine = hasMachine
    }

    private var leftForMemories: UInt64 { bytesMax > filesBytes ? bytesMax - filesBytes : 0 }

    /// Bytes that the entries of folders may take.
    var filesBytesMax: UInt64 { bytesMax > bytes ? bytesMax - bytes : 0 }

    /// Whether a memory may have this many more bytes from now on, by the limit and the machine.
    mutating func grow(by moreBytes: UInt64, _ makeAccessible: () -> Bool) -> Bool {
        let (newBytes, overflow) = bytes.addingReportingOverflow(moreBytes)
        guard !overflow, newBytes <= leftForMemories else {
            wasRefused = true
            return false
        }
        guard hasMachine(newBytes), makeAccessible() else {
            isMachineShort = true
            return false
        }
        wasRefused = false
        bytes = newBytes
        peakBytes = max(peakBytes, newBytes)
        return true
    }

    /// Notes that the machine had no address space for a memory.
    mutating func lackedAddressSpace() { isMachineShort = true }
}

/// One linear memory: reserved address space that becomes accessible from its start as the guest grows it.
///
/// It is laid out as the engine asks: `reserved` bytes that never move, then a guard that is never accessible, so
/// that compiled code may leave out bounds checks. Fresh pages are zero, so a run never sees what another one left.
// SAFETY: the pointer is to a mapping that this object owns until `deinit`; the engine holds a reference as long as it
// uses the mapping, and only makes what `makeAccessible` bounds readable and writable.
final class GuestMemory {
    private let run: Unmanaged<JobRun>
    private let base: UnsafeMutableRawPointer
    private let mappedBytes: Int
    private let capacity: Int
    private var size: Int

    private init(run: Unmanaged<JobRun>, base: UnsafeMutableRawPointer, mappedBytes: Int, capacity: Int, size: Int) {
        self.run = run
        self.base = base
        self.mappedBytes = mappedBytes
        self.capacity = capacity
        self.size = size
    }

    deinit {
        munmap(base, mappedBytes)
    }

    /// Maps a memory, or returns `nil` if the run's limit or the machine forbids it.
    static func make(run: Unmanaged<JobRun>, minimum: Int, reserved: Int, guardBytes: Int) -> GuestMemory? {
        // A reservation of zero means that the memory may move; ours never does, so it gets all that 32 bits reach.
        let capacity = max(reserved, minimum, 1 << 32)
        let (total, overflow) = capacity.addingReportingOverflow(max(guardBytes, 1 << 16))
        guard !overflow else { return nil }
        var flags = MAP_PRIVATE | MAP_ANON
        #if canImport(Glibc) || canImport(Musl)
            flags |= MAP_NORESERVE
        #endif
        guard let base = mmap(nil, total, PROT_NONE, Int32(flags), -1, 0), base != MAP_FAILED else {
            run.takeUnretainedValue().memory.lackedAddressSpace()
            return nil
        }
        let memory = GuestMemory(run: run, base: base, mappedBytes: total, capacity: capacity, size: 0)
        return memory.grow(to: minimum) ? memory : nil
    }

    private func makeAccessible(_ newSize: Int) -> Bool {
        // Sizes are multiples of the WebAssembly page of 64 KiB, hence of every page size that systems use.
        guard newSize <= capacity, newSize >= size else { return false }
        if newSize > size, mprotect(base + size, newSize - size, PROT_READ | PROT_WRITE) != 0 { return false }
        size = newSize
        return true
    }

    private func grow(to newSize: Int) -> Bool {
        guard newSize >= size else { return false }
        return run.takeUnretainedValue().memory.grow(by: UInt64(newSize - size)) { makeAccessible(newSize) }
    }

    /// The engine's view of this memory; it owns one reference until its finalizer.
    func linearMemory() -> wasmtime_linear_memory_t {
        wasmtime_linear_memory_t(
            env: Unmanaged.passRetained(self).toOpaque(),
            get_memory: { environment, size, capacity in
                guard let environment else { return nil }
                let memory = Unmanaged<GuestMemory>.fromOpaque(environment).takeUnretainedValue()
                size?.pointee = memory.size
                capacity?.pointee = memory.capacity
                return memory.base.assumingMemoryBound(to: UInt8.self)
            },
            grow_memory: { environment, newSize in
                guard let environment else { return wasmtime_error_new("no memory") }
                let memory = Unmanaged<GuestMemory>.fromOpaque(environment).takeUnretainedValue()
                return memory.grow(to: newSize) ? nil : wasmtime_error_new("memory limit")
            },
            finalizer: { environment in
                if let environment { Unmanaged<GuestMemory>.fromOpaque(environment).release() }
            })
    }

    /// Makes an engine take its memories from here.
    static func install(in configuration: OpaquePointer) {
        var creator = wasmtime_memory_creator_t(
            env: nil,
            new_memory: { _, _, minimum, _, reserved, guardBytes, result in
                guard let run = RunThread.currentRun, let result else {
                    return wasmtime_error_new("a memory outside of a run")
                }
                guard
                    let memory = GuestMemory.make(
                        run: run, minimum: minimum, reserved: reserved, guardBytes: guardBytes)
                else { return wasmtime_error_new("memory limit") }
                result.pointee = memory.linearMemory()
                return nil
            },
            finalizer: nil)
        wasmtime_config_host_memory_creator_set(configuration, &creator)
    }
}
