package import MeshTypes

/// What a bounded reader of its sections finds out about a module without compiling it.
///
/// The reader takes time linear in the module's size and allocates only what its limits allow. It refuses what is no
/// module, what is too large in any respect, and what needs a disabled feature, as far as the sections show it;
/// `CoVM.inspect` then makes the engine validate the rest.
package struct ModuleInspection: Sendable, Hashable {
    /// A value type of WebAssembly as the binary format writes it.
    package typealias ValueType = UInt8

    /// A function type.
    package struct FunctionType: Sendable, Hashable {
        /// The types of the parameters.
        package var parameters: [ValueType]
        /// The types of the results.
        package var results: [ValueType]
    }

    /// One import; everything but functions is unknown to this host.
    package struct Import: Sendable, Hashable {
        /// The module it is imported from.
        package var module: String
        /// Its name there.
        package var name: String
        /// Its type if it is a function, else `nil`.
        package var functionType: FunctionType?
        /// `function`, `table`, `memory` or `global`.
        package var kind: String
    }

    /// Bytes of the module.
    package internal(set) var moduleBytes = 0
    /// All imports in order.
    package internal(set) var imports: [Import] = []
    /// The names of exported functions with their types, in order.
    package internal(set) var exportedFunctions: [(name: String, type: FunctionType)] {
        get { zip(exportNames, exportTypes).map { ($0, $1) } }
        set {
            exportNames = newValue.map(\.name)
            exportTypes = newValue.map(\.type)
        }
    }
    /// The features that its sections show; ``featuresUsed(by:)`` reads its code, too.
    package internal(set) var features: Set<ModuleFeature> = []
    /// Functions with a body.
    package internal(set) var functionCount = 0
    /// Bytes of the largest function body.
    package internal(set) var largestFunctionBodyBytes = 0
    /// Bytes of linear memory that the module starts with, over all its memories.
    package internal(set) var initialMemoryBytes: UInt64 = 0
    /// Table elements that the module starts with, over all its tables.
    package internal(set) var initialTableElements: UInt64 = 0

    /// Whether it imports a function with which a module talks with its user.
    package var usesSessionCalls: Bool {
        imports.contains { $0.module == MeshHostABI.module && MeshHostABI.sessionFunctions.contains($0.name) }
    }

    private var exportNames: [String] = []
    private var exportTypes: [FunctionType] = []

    /// Reads a module under limits.
    package init(_ module: [UInt8], limits: ModuleLimits = ModuleLimits()) throws(ModuleRefusal) {
        var parser = SectionParser(limits: limits)
        self = try parser.parse(module)
    }

    init() {}

    /// The features that a module uses, in sections and code, up to the first one that is switched off.
    ///
    /// It takes time linear in the module's size, several times that of the sections alone.
    package static func featuresUsed(by module: [UInt8]) -> [ModuleFeature] {
        var limits = ModuleLimits()
        limits.moduleBytesMax = .max
        limits.functionsMax = .max
        limits.functionBodyBytesMax = .max
        var features: Set<ModuleFeature> = []
        do throws(ModuleRefusal) {
            features = try ModuleInspection(module, limits: limits).features
        } catch {
            if case .unsupported(let feature) = error { features.insert(feature) }
        }
        if !features.contains(where: \.isOff) { features.formUnion(SectionParser.featuresOfCode(module)) }
        return ModuleFeature.allCases.filter { features.contains($0) }
    }

    /// Why the engine refused a module: the feature that is off, where the module's code shows it, else its own words.
    static func refusal(of module: [UInt8], message: String) -> ModuleRefusal {
        for feature in featuresUsed(by: module) where feature.isOff { return .unsupported(feature: feature) }
        return .invalid(message: message)
    }

    /// Checks that every import is a host function of the same type.
    func checkImports(_ known: HostFunctionTable, limits: ModuleLimits) throws(ModuleRefusal) {
        var unknown: [String] = []
        var mistyped: [String] = []
        for entry in imports {
            let name = "\(entry.module).\(entry.name)"
            guard let type = entry.functionType else {
                unknown.append("\(name) (\(entry.kind))")
                continue
            }
            guard let function = known[entry.module, entry.name] else {
                unknown.append(name)
                continue
            }
            if function.type != type { mistyped.append(name) }
        }
        if !unknown.isEmpty {
            let named = unknown.prefix(limits.namedUnknownImportsMax)
            throw .unknownImports(names: Array(named), more: unknown.count - named.count)
        }
        if !mistyped.isEmpty {
            throw .importTypes(names: Array(mistyped.prefix(limits.namedUnknownImportsMax)))
        }
    }

    /// Checks that the module exports a function that can be an entry point, or one that takes these numbers.
    func checkEntryPoint(_ entry: String, takes numbers: [WasmNumber]? = nil) throws(ModuleRefusal) {
        _ = try call(entry, numbers)
    }

    /// How a job calls its function: a program's entry, or one that takes these numbers.
    func call(_ entry: String, _ numbers: [WasmNumber]?) throws(ModuleRefusal) -> EntryCall {
        var call = EntryCall(name: entry, callsInitializer: needsInitializer(before: entry))
        guard let numbers else {
            guard let type = type(ofFunction: entry) else {
                throw .noEntryPoint(name: entry, exportedFunctions: Array(exportNames.prefix(8)))
            }
            guard type.parameters.isEmpty, type.results.isEmpty || type.results == [ValueType.i32] else {
                throw .entryPointType(name: entry)
            }
            call.hasExitCode = !type.results.isEmpty
            return call
        }
        let numeric = try numericType(ofFunction: entry)
        guard numeric.parameters == numbers.map(\.type) else {
            throw .otherNumbers(signature: numeric.signature, given: numbers.map(\.type.rawValue))
        }
        call.numbers = numbers
        call.results = numeric.results
        return call
    }

    /// A function that can be called with numbers: what it takes, what it returns, and both as people read it.
    package typealias NumericFunction = (
        parameters: [WasmNumber.Kind], results: [WasmNumber.Kind], signature: String
    )

    /// The function of a name, which must take and return numbers alone.
    package func numericType(ofFunction name: String) throws(ModuleRefusal) -> NumericFunction {
        guard let type = type(ofFunction: name) else {
            throw .noFunction(name: PlainText.sanitized(name), callable: callableSignatures)
        }
        let signature = type.signature(name)
        guard let numeric = type.numeric else { throw .notCallable(signature: signature, reason: type.obstacle) }
        return (numeric.parameters, numeric.results, signature)
    }

    /// The type of an exported function; nil if there is none of the name.
    private func type(ofFunction name: String) -> FunctionType? {
        exportNames.firstIndex(of: name).map { exportTypes[$0] }
    }

    /// The exported functions that can be called with numbers, as their signatures.
    package var callableSignatures: [String] {
        zip(exportNames, exportTypes).filter { $1.numeric != nil }.map { $1.signature($0) }
    }

    private func needsInitializer(before entry: String) -> Bool {
        hasInitializer && entry != "_start" && entry != "_initialize"
    }

    /// Whether `_initialize` must be called before the entry point: a WASI reactor.
    var hasInitializer: Bool {
        guard let index = exportNames.firstIndex(of: "_initialize") else { return false }
        return exportTypes[index].parameters.isEmpty && exportTypes[index].results.isEmpty
    }
}

extension ModuleInspection.ValueType {
    static let i32: UInt8 = 0x7F
    static let i64: UInt8 = 0x7E

    /// The number type that it is; nil if it is none.
    fileprivate var number: WasmNumber.Kind? {
        switch self {
        case Self.i32: .i32
        case Self.i64: .i64
        case 0x7D: .f32
        case 0x7C: .f64
        default: nil
        }
    }

    /// Its name in WebAssembly's text format; of typed references without what they refer to.
    fileprivate var name: String {
        switch self {
        case 0x7B: "v128"
        case 0x70: "funcref"
        case 0x6F: "externref"
        case 0x69: "exnref"
        default: number?.rawValue ?? "ref"
        }
    }
}

extension ModuleInspection.FunctionType {
    /// Its parameters and results where all of them are numbers, and not too many; else nil.
    fileprivate var numeric: (parameters: [WasmNumber.Kind], results: [WasmNumber.Kind])? {
        let (taken, returned) = (parameters.compactMap(\.number), results.compactMap(\.number))
        guard taken.count == parameters.count, returned.count == results.count,
            taken.count <= NumberCall.Limits.parametersMax, returned.count <= NumberCall.Limits.resultsMax
        else { return nil }
        return (taken, returned)
    }

    /// What keeps it from being called with numbers.
    fileprivate var obstacle: String {
        if let other = (parameters + results).first(where: { $0.number == nil }) {
            return "it takes or returns \(other.name), and only i32, i64, f32 and f64 can be given or printed"
        }
        return "it has \(parameters.count) parameters and \(results.count) results, and at most "
            + "\(NumberCall.Limits.parametersMax) and \(NumberCall.Limits.resultsMax) can be given or printed"
    }

    /// The function with its type, such as `add(i32, i32) -> i32`.
    fileprivate func signature(_ name: String) -> String {
        func list(_ types: [ModuleInspection.ValueType]) -> String {
            let shown = types.prefix(NumberCall.Limits.parametersMax).map(\.name).joined(separator: ", ")
            return types.count > NumberCall.Limits.parametersMax ? shown + ", …" : shown
        }
        let start = PlainText.sanitized(name) + "(\(list(parameters)))"
        switch results.count {
        case 0: return start
        case 1: return "\(start) -> \(list(results))"
        default: return "\(start) -> (\(list(results)))"
        }
    }
}

/// How a run calls the module's function, and what comes back.
struct EntryCall: Hashable, Sendable, Codable {
    /// The exported function.
    var name: String
    /// Whether `_initialize` is called first: the module is a WASI reactor.
    var callsInitializer: Bool
    /// Whether the function returns an `i32`, its exit code.
    var hasExitCode = false
    /// What it is called with, if for its results; a program's entry is called with nothing.
    var numbers: [WasmNumber]?
    /// The types of the results that become the job's output.
    var results: [WasmNumber.Kind] = []

    init(name: String, callsInitializer: Bool) {
        self.name = name
        self.callsInitializer = callsInitializer
    }
}
