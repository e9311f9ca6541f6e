import Synchronization

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

// SAFETY: pointers are to arrays that live through the system call, with their lengths.
/// Compiles modules: a program starts itself as a child with the hidden command ``command``, so that `mesh` needs no
/// second program beside it.
///
/// Compiling happens outside the engine's sandbox, cannot be interrupted, and may take unbounded time and memory. So a
/// child process does it, and limits itself before it reads a byte: processor time, address space, no core dump, no
/// file, no further descriptors. It reads one module from standard input and writes its machine code to standard
/// output, or the reason for failing to standard error.
package enum CompileWorker {
    /// How the worker ends, unless one of its limits kills it.
    enum ExitCode: Int32 {
        case success = 0
        case refused = 65
        case usage = 64
        case unavailable = 69
        case inputOutput = 74
    }

    /// The command that makes a program the worker.
    package static let command = "__compile-worker"

    /// Whether this program answers to ``command``.
    static let isThisProgram = Atomic(false)

    /// Call this first in a program's `main`. In the worker it compiles and ends the process; otherwise it notes that
    /// the program can be its own worker.
    package static func runIfAsked() {
        let arguments = CommandLine.arguments.dropFirst()
        if arguments.first == command { exit(run(Array(arguments.dropFirst())).rawValue) }
        isThisProgram.store(true, ordering: .relaxed)
    }

    static func arguments(_ limits: CompileLimits, moduleBytes: Int) -> [String] {
        [String(limits.cpuSeconds(moduleBytes: moduleBytes)), String(limits.memoryBytes), String(moduleBytes)]
    }

    private static func run(_ arguments: [String]) -> ExitCode {
        let numbers = arguments.suffix(3).compactMap { UInt64($0) }
        guard numbers.count == 3, let moduleBytes = Int(exactly: numbers[2]),
            moduleBytes <= ModuleLimits.moduleBytesCeiling
        else {
            complain("usage: mesh \(command) CPU-SECONDS MEMORY-BYTES MODULE-BYTES < module > machine-code")
            return .usage
        }
        closeInheritedDescriptors()
        guard limit(cpuSeconds: numbers[0], memoryBytes: numbers[1]) else {
            complain("the limits of the worker could not be set")
            return .unavailable
        }
        guard let module = readInput(count: moduleBytes) else {
            complain("the module did not arrive")
            return .inputOutput
        }
        let engine: WasmEngine
        do {
            engine = try WasmEngine()
        } catch {
            complain(error.description)
            return .unavailable
        }
        switch engine.compile(module) {
        case .success(let compiled):
            return writeOutput(compiled) ? .success : .inputOutput
        case .failure(let error):
            complain(error.message)
            return .refused
        }
    }

    /// Closes whatever else the node had open.
    private static func closeInheritedDescriptors() {
        guard let stream = opendir("/dev/fd") else { return }
        var open: [Int32] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let descriptor = Int32(name), descriptor > 2 { open.append(descriptor) }
        }
        closedir(stream)
        for descriptor in open { close(descriptor) }
    }

    private static func limit(cpuSeconds: UInt64, memoryBytes: UInt64) -> Bool {
        // A write that the file limit forbids must fail, not kill: standard error may be a file.
        signal(SIGXFSZ, SIG_IGN)
        // The hard limit of processor time is a second later, so that the signal tells which limit it was.
        return set(RLIMIT_CPU, cpuSeconds, hard: cpuSeconds + 1)
            && set(RLIMIT_AS, memoryBytes, hard: memoryBytes)
            && set(RLIMIT_CORE, 0, hard: 0)
            && set(RLIMIT_FSIZE, 0, hard: 0)
            && set(RLIMIT_NOFILE, 16, hard: 16)
    }

    #if canImport(Glibc)
        private typealias Resource = __rlimit_resource
    #else
        private typealias Resource = Int32
    #endif

    private static func set(_ resource: Resource, _ soft: UInt64, hard: UInt64) -> Bool {
        var limit = rlimit(rlim_cur: rlim_t(soft), rlim_max: rlim_t(hard))
        #if canImport(Glibc)
            return setrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0
        #else
            return setrlimit(resource, &limit) == 0
        #endif
    }

    private static func readInput(count: Int) -> [UInt8]? {
        var module = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = module.withUnsafeMutableBytes { read(0, $0.baseAddress.map { $0 + filled }, count - filled) }
            guard got > 0 else { return nil }
            filled += got
        }
        return module
    }

    private static func writeOutput(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { write(all: $0, to: 1) }
    }

    private static func complain(_ message: String) {
        var text = Array(message.utf8.prefix(1_000))
        text.append(0x0A)
        _ = text.withUnsafeBytes { write(all: $0, to: 2) }
    }

    private static func write(all bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Bool {
        var offset = 0
        while offset < bytes.count {
            #if canImport(Darwin)
                let put = Darwin.write(descriptor, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
            #elseif canImport(Musl)
                let put = Musl.write(descriptor, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
            #else
                let put = Glibc.write(descriptor, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
            #endif
            guard put > 0 else { return false }
            offset += put
        }
        return true
    }
}
