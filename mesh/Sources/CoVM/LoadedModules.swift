import NIOConcurrencyHelpers

/// A module ready to run, with what inspection found.
struct ReadyModule: Sendable {
    let inspection: ModuleInspection
    let loaded: LoadedModule
}

/// The modules kept loaded, bounded in number and in bytes of machine code; the least recently used go first.
final class LoadedModules: Sendable {
    private struct State {
        var modules: [[UInt8]: (module: ReadyModule, lastUse: UInt64)] = [:]
        var bytes = 0
        var uses: UInt64 = 0
    }

    private let countMax: Int
    private let bytesMax: Int
    private let state = NIOLockedValueBox(State())

    init(countMax: Int, bytesMax: Int) {
        self.countMax = countMax
        self.bytesMax = bytesMax
    }

    subscript(digest: [UInt8]) -> ReadyModule? {
        state.withLockedValue { state in
            state.uses += 1
            state.modules[digest]?.lastUse = state.uses
            return state.modules[digest]?.module
        }
    }

    func insert(_ module: ReadyModule, _ digest: [UInt8]) {
        // Dropped outside the lock: freeing machine code takes a while.
        var dropped: [ReadyModule] = []
        state.withLockedValue { state in
            state.uses += 1
            if let old = state.modules.updateValue((module, state.uses), forKey: digest) {
                state.bytes -= old.module.loaded.bytes
                dropped.append(old.module)
            }
            state.bytes += module.loaded.bytes
            while state.modules.count > max(1, countMax) || (state.bytes > bytesMax && state.modules.count > 1) {
                guard let oldest = state.modules.min(by: { $0.value.lastUse < $1.value.lastUse }) else { break }
                state.modules[oldest.key] = nil
                state.bytes -= oldest.value.module.loaded.bytes
                dropped.append(oldest.value.module)
            }
        }
    }
}
