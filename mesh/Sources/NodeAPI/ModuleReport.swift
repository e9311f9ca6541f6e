/// What a module is made of, and whether it can run under a node's limits.
package struct ModuleReport: Hashable, Sendable, Codable {
    /// The CID by which a job would name it.
    package var cid: String
    /// Its size in bytes.
    package var bytes: Int
    /// Functions with a body.
    package var functions = 0
    /// Bytes of the longest of them.
    package var longestFunctionBytes = 0
    /// Bytes of memory that it starts with.
    package var initialMemoryBytes: UInt64 = 0
    /// What it imports, by module.
    package var imports: [Imports] = []
    /// The features of WebAssembly beyond the first version that it uses.
    package var features: [String] = []
    /// Exported functions by which a job could begin: without parameters, returning nothing or an exit code.
    package var entries: [String] = []
    /// Exported functions that can be called with numbers, with their types: `add(i32, i32) -> i32`.
    package var callable: [String] = []
    /// How it was compiled; nil if it was not.
    package var compilation: Compilation?
    /// Why it cannot run; nil if it can.
    package var refusal: String?
    /// What to do about that.
    package var hint: String?

    /// A module of which only the bytes are known.
    package init(cid: String, bytes: Int) {
        self.cid = cid
        self.bytes = bytes
    }

    private enum CodingKeys: String, CodingKey {
        case cid, bytes, functions, imports, features, entries, callable, compilation, refusal, hint
        case longestFunctionBytes = "longest_function_bytes"
        case initialMemoryBytes = "initial_memory_bytes"
    }

    /// What is imported from one module.
    package struct Imports: Hashable, Sendable, Codable {
        /// The name of the module.
        package var module: String
        /// The names of what is imported, in order.
        package var names: [String]

        package init(module: String, names: [String]) {
            self.module = module
            self.names = names
        }
    }

    /// One compilation.
    package struct Compilation: Hashable, Sendable, Codable {
        /// How long it took, in milliseconds.
        package var milliseconds: UInt64
        /// Whether it had been compiled before, so that its code was only loaded.
        package var wasKnown: Bool

        package init(milliseconds: UInt64, wasKnown: Bool) {
            self.milliseconds = milliseconds
            self.wasKnown = wasKnown
        }

        private enum CodingKeys: String, CodingKey {
            case milliseconds = "ms"
            case wasKnown = "compiled_before"
        }
    }
}
