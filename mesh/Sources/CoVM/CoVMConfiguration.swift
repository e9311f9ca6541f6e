package import GuestFiles
import MeshTypes

/// The settings of a ``CoVM``: where compiled modules are kept, what compiles them, and every bound.
///
/// Limits of a single job (fuel, memory, wall clock, output) come with the job, in `ExecutionLimits`.
package struct CoVMConfiguration: Sendable {
    /// The directory for compiled modules, created with mode 0700 if missing. It must belong to this user alone.
    package var cacheDirectory: String

    /// The program that compiles modules in a child process, with its arguments; `nil` means this program if it calls
    /// ``CompileWorker/runIfAsked()``, else the `mesh` beside it.
    package var compileWorker: WorkerCommand?

    /// The program that runs modules in processes of their own (`RunWorker`), with its arguments; `nil` means this
    /// program if it calls `RunWorker.runIfAsked()`, and else that modules run in this process.
    package var runWorker: WorkerCommand?

    /// What a module may look like before it is compiled.
    package var moduleLimits = ModuleLimits()

    /// What a compilation may cost.
    package var compileLimits = CompileLimits()

    /// The bounds of the machine: runs at once, queue, caches.
    package var limits = Limits()

    /// A configuration with the default limits.
    package init(cacheDirectory: String, compileWorker: WorkerCommand? = nil) {
        self.cacheDirectory = cacheDirectory
        self.compileWorker = compileWorker
    }

    /// The bounds of the machine itself.
    package struct Limits: Sendable {
        /// Jobs that run at the same time, each with a thread of this process, and mostly a process of its own.
        package var concurrentRunsMax = 8

        /// Jobs that wait for a thread; one more is refused with `nodeFailed`.
        package var queuedRunsMax = 256

        /// Runs that wait for blocks of their mounts without a place among those that run, at most half of them of one
        /// originator; one more keeps its place while it waits.
        package var parkedRunsMax = 16

        /// Bytes that these runs may keep together, in memory and files, at most half of them of one originator; one
        /// with more keeps its place while it waits.
        package var parkedBytesMax: UInt64 = 4 << 30

        /// Milliseconds of one wait for blocks of mounts after which a run gives its place away until they are here.
        package var placeKeptMilliseconds: UInt64 = 2_000

        /// Milliseconds that one run may wait for blocks of its mounts, all waits together; its wall clock stands still
        /// meanwhile. One that needs longer ends in `fetchFailed`.
        package var fetchMillisecondsMax: UInt64 = 600_000

        /// Times that a run asks in a row for the same blocks, which the node says are here.
        package var repeatedFetchesMax = 8

        /// Milliseconds at most that collecting the files of a run may take, without waits for blocks. Collecting
        /// counts to the run's wall clock and ends as that does.
        package var collectMillisecondsMax: UInt64 = 30_000

        /// Milliseconds that collecting has, however little is left of the run's wall clock; timers of the market leave
        /// it more.
        package var collectMillisecondsMin: UInt64 = 1_000

        /// Bounds of the files of a run. They decide results, so they are the same everywhere; smaller ones are for
        /// tests.
        package var files = GuestFileSystem.Limits()

        /// Compilations at the same time of small modules, and as many of large ones; others wait.
        package var concurrentCompilesMax = 1

        /// The bytes of a module up to which it counts as small.
        package var smallModuleBytesMax = 2 << 20

        /// Compilations that wait in each lane; one more is refused with `nodeFailed`.
        package var queuedCompilesMax = 256

        /// Modules loaded from disk at the same time; others wait.
        package var concurrentLoadsMax = 2

        /// Modules remembered that were refused or beyond this node's limits.
        package var failedModulesMax = 256

        /// How long they are remembered, in milliseconds: the owner may have made room, and a busy machine is idle
        /// again.
        package var failureKeptMilliseconds: UInt64 = 60_000

        /// Modules kept loaded in memory.
        package var loadedModulesMax = 64

        /// Bytes of machine code kept loaded in memory.
        package var loadedModuleBytesMax = 512 << 20

        /// Bytes of compiled modules kept on disk; the least recently used go first.
        package var cacheBytesMax = 2 << 30

        /// Bytes of one compiled module, hence of what a compile worker may send back.
        package var compiledModuleBytesMax = 512 << 20

        /// Table elements of one job over all its tables.
        package var tableElementsMax = 100_000

        /// Units of fuel after which a running job yields to its thread, which looks at its deadline and cancellation.
        /// A run stopped there is charged what it used, to the unit.
        package var yieldIntervalFuel: UInt64 = 2_000_000

        /// Whether the machine has memory for a run of this many bytes; for tests.
        var hasMachine: @Sendable (UInt64) -> Bool = { _ in true }

        /// Milliseconds that the process of a module may take to load it.
        package var moduleLoadMilliseconds: UInt64 = 60_000

        /// Milliseconds that it may take to start or to end a run; a slower one counts as lost and is replaced.
        package var moduleAnswerMilliseconds: UInt64 = 10_000

        /// Milliseconds that a run's process has to stop once it must; then it is killed.
        package var stopMilliseconds: UInt64 = 2_000

        /// Bytes of memory of a run's process besides what its job allows: engine, stacks, messages under way.
        package var processOverheadBytes: UInt64 = 256 << 20

        /// How nice runs are to the rest of the machine, from 0 (as the node) to 19.
        package var nice: Int32 = 0

        /// Bytes that the process of a job may write to: what its limits allow of memory, files and output (twice,
        /// since output grows), inputs kept in memory, and the overhead.
        func processBytesMax(of job: ExecutionJob) -> UInt64 {
            [
                job.limits.maxMemoryBytes, job.limits.maxOutputBytes, job.limits.maxOutputBytes,
                job.files.mounts.isEmpty ? 0 : job.files.quota.bytesMax, UInt64(JobRun.loadedInputBytesMax),
                processOverheadBytes,
            ].reduce(0) { sum, part in
                let (sum, overflow) = sum.addingReportingOverflow(part)
                return overflow ? .max : sum
            }
        }

        /// Called by a run's thread at each yield; for tests.
        var looked: (@Sendable () -> Void)?

        /// Milliseconds between two ticks of the thread that notices when the node itself stood still.
        package var watchTickMilliseconds = 50

        /// Milliseconds by which a tick must be late for the node to have stood still: a wall clock that runs out in
        /// such a run is the node's doing.
        package var standstillMilliseconds: UInt64 = 1_000

        /// The share of a run's wall clock, in hundredths, for which its thread must have had the processor; with less,
        /// a wall clock that runs out is the node's doing.
        package var processorPercentMin: UInt64 = 50

        /// Bytes of the native stack of a job's thread. Guest and host functions run on another stack, of
        /// `guestStackBytes`.
        package var threadStackBytes = 8 << 20

        /// The default limits.
        package init() {}
    }

    /// Bytes of stack that WebAssembly code may use. Part of the deterministic profile, so it is not configurable.
    package static let wasmStackBytes = 1 << 20

    /// Bytes of the stack that a guest and its host functions run on. No result depends on it.
    static let guestStackBytes: UInt64 = 8 << 20
}

/// What a module may look like before it is compiled; see ``ModuleInspection``.
package struct ModuleLimits: Sendable, Hashable {
    /// Bytes of the whole module.
    package var moduleBytesMax = 8 << 20

    /// The largest value of ``moduleBytesMax``; larger ones count as this.
    package static let moduleBytesCeiling = 256 << 20

    /// Functions with a body.
    package var functionsMax = 20_000

    /// Bytes of the body of one function.
    package var functionBodyBytesMax = 128 << 10

    /// Types in the type section.
    package var typesMax = 10_000

    /// Imported functions.
    package var importsMax = 1_000

    /// Exports.
    package var exportsMax = 10_000

    /// Tables.
    package var tablesMax = 16

    /// Linear memories. Each takes 4 GiB of address space while a run lasts.
    package var memoriesMax = 8

    /// Bytes of one import or export name.
    package var nameBytesMax = 1_024

    /// Unknown imports that a refusal names; it counts the rest.
    package var namedUnknownImportsMax = 16

    /// The default limits.
    package init() {}

    var moduleBytes: Int { min(moduleBytesMax, Self.moduleBytesCeiling) }
}

/// What one compilation may cost. The child process sets these on itself before it reads the module.
package struct CompileLimits: Sendable, Hashable {
    /// Seconds of processor time at most. A module of 8 MiB in 700 plain functions took 4.5 s on a 2024 server core,
    /// CPython (26 MB) 16 s, yosys (69 MB) 63 s.
    package var cpuSeconds = 10

    /// Seconds of processor time for a module of no length, within ``cpuSeconds``: a small one gets less.
    package var cpuSecondsForSmall = 10

    /// More seconds of processor time for each MiB of the module, within ``cpuSeconds``.
    package var cpuSecondsPerMebibyte = 5

    /// The most threads that compile one module.
    package var threadsMax = 8

    /// Bytes of address space. The same module needed between 130 and 200 MiB.
    package var memoryBytes = 512 << 20

    /// Milliseconds of wall clock, after which the child is killed.
    package var wallMilliseconds = 30_000

    /// The default limits.
    package init() {}

    /// Seconds of processor time for a module of this length.
    func cpuSeconds(moduleBytes: Int) -> Int {
        let mebibytes = (moduleBytes + (1 << 20) - 1) >> 20
        return max(1, min(cpuSeconds, cpuSecondsForSmall + mebibytes * cpuSecondsPerMebibyte))
    }

    /// Milliseconds of wall clock for a module of this length: the same share of the whole.
    func wallMilliseconds(moduleBytes: Int) -> Int {
        let share = wallMilliseconds.multipliedReportingOverflow(by: cpuSeconds(moduleBytes: moduleBytes))
        return share.overflow ? wallMilliseconds : max(1, share.partialValue / max(1, cpuSeconds))
    }
}

/// A program that compiles or runs modules, as `CompileWorker` and `RunWorker` do, and the arguments that make it do
/// so.
package struct WorkerCommand: Sendable, Hashable {
    /// The path of the program.
    package var executable: String

    /// Arguments before those that CoVM adds.
    package var arguments: [String]

    /// A worker at a path.
    package init(executable: String, arguments: [String] = []) {
        self.executable = executable
        self.arguments = arguments
    }
}
