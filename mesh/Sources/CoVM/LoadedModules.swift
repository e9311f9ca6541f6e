import Multiformats
import NIOConcurrencyHelpers

/// A module ready to run, with what inspection found.
struct ReadyModule: Sendable {
    let inspection: ModuleInspection
    let code: Code

    /// Where its machine code is.
    enum Code: Sendable {
        case here(LoadedModule)
        case process(ModuleProcess)

        var bytes: Int {
            switch self {
            case .here(let loaded): loaded.bytes
            case .process(let process): process.bytes
            }
        }

        /// Whether runs can still be started; a process may have been lost.
        var isUsable: Bool {
            switch self {
            case .here: true
            case .process(let process): process.isAlive
            }
        }
    }
}

/// The modules kept loaded, bounded in number and in bytes of machine code; the least recently used go first.
///
/// A module is found by the hash of its bytes, and by the CIDs that jobs name it by: a module of many blocks has one
/// for each way to cut it.
final class LoadedModules: Sendable {
    private struct Entry {
        let module: ReadyModule
        var lastUse: UInt64
        var names: [CID]
    }

    private struct State {
        var modules: [[UInt8]: Entry] = [:]
        var digests: [CID: [UInt8]] = [:]
        var bytes = 0
        var uses: UInt64 = 0

        mutating func remove(_ digest: [UInt8]) -> ReadyModule? {
            guard let entry = modules.removeValue(forKey: digest) else { return nil }
            for name in entry.names { digests[name] = nil }
            bytes -= entry.module.code.bytes
            return entry.module
        }

        mutating func use(_ digest: [UInt8], named name: CID?) -> ReadyModule? {
            uses += 1
            modules[digest]?.lastUse = uses
            guard let entry = modules[digest] else { return nil }
            if let name, !entry.names.contains(name), entry.names.count < LoadedModules.namesMax {
                modules[digest]?.names.append(name)
                digests[name] = digest
            }
            return entry.module
        }
    }

    /// CIDs kept of one module.
    static let namesMax = 4

    private let countMax: Int
    private let bytesMax: Int
    private let state = NIOLockedValueBox(State())

    init(countMax: Int, bytesMax: Int) {
        self.countMax = countMax
        self.bytesMax = bytesMax
    }

    /// A module by its hash, which is remembered to have this name.
    subscript(digest: [UInt8], named name: CID) -> ReadyModule? {
        usable(state.withLockedValue { $0.use(digest, named: name) })
    }

    /// A module by one of its names.
    subscript(named name: CID) -> ReadyModule? {
        usable(state.withLockedValue { state in state.digests[name].flatMap { state.use($0, named: nil) } })
    }

    /// A module whose process was lost counts as not loaded; loading it anew replaces it.
    private func usable(_ module: ReadyModule?) -> ReadyModule? { module?.code.isUsable == true ? module : nil }

    func insert(_ module: ReadyModule, _ digest: [UInt8], named name: CID) {
        // Dropped outside the lock: freeing machine code takes a while.
        var dropped: [ReadyModule] = []
        state.withLockedValue { state in
            state.uses += 1
            if let old = state.remove(digest) { dropped.append(old) }
            state.modules[digest] = Entry(module: module, lastUse: state.uses, names: [name])
            state.digests[name] = digest
            state.bytes += module.code.bytes
            while state.modules.count > max(1, countMax) || (state.bytes > bytesMax && state.modules.count > 1) {
                guard let oldest = state.modules.min(by: { $0.value.lastUse < $1.value.lastUse }),
                    let gone = state.remove(oldest.key)
                else { break }
                dropped.append(gone)
            }
        }
    }
}

/// Modules that could not be made ready, for a while, bounded in number.
final class FailedModules: Sendable {
    private struct State {
        var failures: [[UInt8]: ModuleStock.Failure] = [:]
        var order: [(digest: [UInt8], until: UInt64)] = []
    }

    private let countMax: Int
    private let milliseconds: UInt64
    private let state = NIOLockedValueBox(State())

    init(countMax: Int, milliseconds: UInt64) {
        self.countMax = countMax
        self.milliseconds = milliseconds
    }

    subscript(digest: [UInt8]) -> ModuleStock.Failure? {
        let now = SystemClock.nanoseconds()
        return state.withLockedValue { state in
            while let first = state.order.first, first.until <= now || state.order.count > countMax {
                state.order.removeFirst()
                state.failures[first.digest] = nil
            }
            return state.failures[digest]
        }
    }

    /// Remembers what the module or this node's limits did; what a cancellation or a shortage did says nothing.
    func insert(_ failure: ModuleStock.Failure, _ digest: [UInt8]) {
        switch failure {
        case .cancelled, .node: return
        case .refused, .beyond: break
        }
        let until = SystemClock.nanoseconds() + milliseconds * 1_000_000
        state.withLockedValue { state in
            guard state.failures.updateValue(failure, forKey: digest) == nil else { return }
            state.order.append((digest, until))
            while state.order.count > countMax { state.failures[state.order.removeFirst().digest] = nil }
        }
    }
}
