import Crypto
import MeshTypes
import Multiformats

/// Modules ready to run: in memory, else on disk, else compiled by a child process, once for all jobs that ask.
///
/// Small and large modules compile in lanes of their own, so that a large one holds up no small one. A module that
/// cannot be had is remembered for a while, so that jobs that all bring it cost one compilation.
final class ModuleStock: Sendable {
    private let configuration: CoVMConfiguration
    private let engine: WasmEngine
    private let cache: CompiledModuleCache
    private let compiler: ModuleCompiler
    /// What runs modules in processes of their own; nil where they run here.
    private let runWorker: WorkerCommand?
    private let loaded: LoadedModules
    private let failures: FailedModules
    private let lanes: (small: RunSlots, large: RunSlots)
    private let loads: RunSlots

    init(_ configuration: CoVMConfiguration, _ engine: WasmEngine) throws(CoVMError) {
        let limits = configuration.limits
        self.configuration = configuration
        self.engine = engine
        cache = try CompiledModuleCache(
            directory: configuration.cacheDirectory, entryBytesMax: limits.compiledModuleBytesMax,
            bytesMax: limits.cacheBytesMax,
            context: engine.codeContext)
        let worker = configuration.compileWorker ?? ModuleCompiler.standardWorker()
        guard PrivateFile.exists(worker.executable) else { throw .compileWorkerMissing(path: worker.executable) }
        runWorker = configuration.runWorker ?? RunWorker.standard
        compiler = ModuleCompiler(
            worker: worker, limits: configuration.compileLimits, compiledBytesMax: limits.compiledModuleBytesMax,
            directory: configuration.cacheDirectory)
        loaded = LoadedModules(countMax: limits.loadedModulesMax, bytesMax: limits.loadedModuleBytesMax)
        failures = FailedModules(countMax: limits.failedModulesMax, milliseconds: limits.failureKeptMilliseconds)
        func lane() -> RunSlots {
            RunSlots(slotsMax: limits.concurrentCompilesMax, waitersMax: limits.queuedCompilesMax)
        }
        lanes = (lane(), lane())
        loads = RunSlots(slotsMax: limits.concurrentLoadsMax, waitersMax: limits.queuedCompilesMax)
    }

    /// Whether modules run in processes of their own.
    var runsInProcesses: Bool { runWorker != nil }

    /// Why a module is not ready.
    enum Failure: Error, Hashable, CustomStringConvertible {
        case refused(ModuleRefusal)
        case beyond(CompileLimit)
        case cancelled
        case node(String)

        var outcome: ExecutionOutcome {
            switch self {
            case .refused(let refusal) where refusal.isThisNodesLimit: .nodeFailed(reason: refusal.description)
            case .refused(let refusal): .moduleRefused(reason: refusal.reason)
            case .beyond(let limit): .nodeFailed(reason: limit.reason)
            case .cancelled: .cancelled
            case .node(let reason): .nodeFailed(reason: reason)
            }
        }

        var description: String { outcome.description }
    }

    /// A module that can run, and where its code came from.
    struct Found {
        let module: ReadyModule
        let source: ExecutionResult.ModuleSource
    }

    /// Cache entries refused because they were not as this node wrote them.
    var corruptedCount: Int { cache.corruptedCount }

    /// A module in memory by the CID that jobs name it by.
    func inMemory(_ name: CID) -> ReadyModule? { loaded[named: name] }

    /// Checks a module without compiling it: its form, and what it imports.
    func checked(_ module: [UInt8]) throws(ModuleRefusal) -> ModuleInspection {
        let inspection = try ModuleInspection(module, limits: configuration.moduleLimits)
        try inspection.checkImports(engine.functions, limits: configuration.moduleLimits)
        return inspection
    }

    /// Makes a module ready.
    ///
    /// - Parameters:
    ///   - name: the CID that jobs name it by.
    ///   - compiles: called if it has to be compiled, with the milliseconds that this may take.
    func module(
        _ module: [UInt8], named name: CID, _ cancellation: ExecutionCancellation,
        compiles: @Sendable (UInt64) async -> Void
    ) async throws(Failure) -> Found {
        let digest = Array(SHA256.hash(data: module))
        if name.codec == .raw, name.multihash.digest != digest {
            throw .node("the module's bytes do not hash to \(name)")
        }
        if let ready = loaded[digest, named: name] { return Found(module: ready, source: .memory) }
        if let failure = failures[digest] { throw failure }
        let inspection: ModuleInspection
        do {
            inspection = try checked(module)
        } catch {
            throw .refused(error)
        }
        if let onDisk = try await fromDisk(digest, name, inspection, cancellation) { return onDisk }
        await compiles(UInt64(configuration.compileLimits.wallMilliseconds(moduleBytes: module.count)))
        let lane = module.count <= configuration.limits.smallModuleBytesMax ? lanes.small : lanes.large
        try await enter(lane, cancellation)
        defer { lane.leave() }
        // Another job may have brought the module while this one waited.
        if let ready = loaded[digest, named: name] { return Found(module: ready, source: .memory) }
        if let failure = failures[digest] { throw failure }
        do {
            return Found(
                module: keep(try await compiled(module, digest, cancellation), digest, name, inspection),
                source: .compiled)
        } catch {
            failures.insert(error, digest)
            throw error
        }
    }

    private func fromDisk(
        _ digest: [UInt8], _ name: CID, _ inspection: ModuleInspection, _ cancellation: ExecutionCancellation
    ) async throws(Failure) -> Found? {
        try await enter(loads, cancellation)
        defer { loads.leave() }
        if let ready = loaded[digest, named: name] { return Found(module: ready, source: .memory) }
        guard let found = await onThread({ self.loadFromDisk(digest) }) ?? nil else { return nil }
        return Found(module: keep(found, digest, name, inspection), source: .disk)
    }

    private func enter(_ slots: RunSlots, _ cancellation: ExecutionCancellation) async throws(Failure) {
        switch await slots.enter(cancellation) {
        case .admitted: return
        case .cancelled: throw .cancelled
        case .queueFull: throw .node("too many modules are waiting to be compiled")
        }
    }

    private func compiled(
        _ module: [UInt8], _ digest: [UInt8], _ cancellation: ExecutionCancellation
    ) async throws(Failure) -> ReadyModule.Code {
        let code: [UInt8]
        do {
            code = try await compiler.compile(module, cancellation: cancellation)
        } catch {
            switch error {
            case .refused(.invalid(let message)):
                throw .refused(ModuleInspection.refusal(of: module, message: message))
            case .refused(let refusal): throw .refused(refusal)
            case .beyond(let limit): throw .beyond(limit)
            case .cancelled: throw .cancelled
            case .node(let reason): throw .node(reason)
            }
        }
        switch await onThread({ self.loadAndStore(code, digest) }) {
        case .success(let loaded): return loaded
        case .failure(let error): throw .node("the compiled module could not be loaded: \(error.message)")
        case nil: throw .node("the system has no thread to load the module")
        }
    }

    private func keep(
        _ module: ReadyModule.Code, _ digest: [UInt8], _ name: CID, _ inspection: ModuleInspection
    ) -> ReadyModule {
        let ready = ReadyModule(inspection: inspection, code: module)
        loaded.insert(ready, digest, named: name)
        return ready
    }

    /// Loads machine code: into this process, or into one of its own.
    private func load(_ compiled: [UInt8]) -> Result<ReadyModule.Code, EngineError> {
        guard let runWorker else { return engine.load(trusted: compiled).map { .here($0) } }
        do throws(EngineError) {
            return .success(.process(try ModuleProcess.start(runWorker, code: compiled, limits: configuration.limits)))
        } catch {
            return .failure(error)
        }
    }

    private func loadFromDisk(_ digest: [UInt8]) -> ReadyModule.Code? {
        guard case .hit(let compiled) = cache.load(digest) else { return nil }
        switch load(compiled) {
        case .success(let loaded): return loaded
        case .failure:
            cache.forget(digest)
            return nil
        }
    }

    private func loadAndStore(_ compiled: [UInt8], _ digest: [UInt8]) -> Result<ReadyModule.Code, EngineError> {
        let result = load(compiled)
        if case .success = result { cache.store(digest, compiled) }
        return result
    }

    private func onThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value? {
        await RunThread.value(stackBytes: configuration.limits.threadStackBytes, body)
    }
}
