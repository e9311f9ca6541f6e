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

    /// Checks that the module exports a function that can be an entry point.
    func checkEntryPoint(_ entry: String) throws(ModuleRefusal) {
        guard let index = exportNames.firstIndex(of: entry) else {
            throw .noEntryPoint(name: entry, exportedFunctions: Array(exportNames.prefix(8)))
        }
        let type = exportTypes[index]
        guard type.parameters.isEmpty, type.results.isEmpty || type.results == [ValueType.i32] else {
            throw .entryPointType(name: entry)
        }
    }

    /// Whether the entry point returns its exit code.
    func entryHasResult(_ entry: String) -> Bool {
        exportNames.firstIndex(of: entry).map { !exportTypes[$0].results.isEmpty } ?? false
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
}
