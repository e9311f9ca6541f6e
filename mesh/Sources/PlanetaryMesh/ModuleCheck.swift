import CoVM
import Determinism
import MeshTypes
import Multiformats
package import NodeAPI
package import NodeSetup

/// Looks at a module as a node of a configuration would before it runs a job of it, and compiles it.
package struct ModuleCheck: Sendable {
    /// The function to begin at; nil if one is called with numbers instead.
    package var entry: String?
    /// The function to call with numbers, if any.
    package var function: String?
    /// Whether to compile it, which takes longest.
    package var compiles: Bool
    /// The limits.
    package var configuration: NodeConfiguration
    /// Where compiled modules are kept.
    package var home: NodeHome

    package init(
        entry: String?, function: String? = nil, compiles: Bool, configuration: NodeConfiguration, home: NodeHome
    ) {
        self.entry = entry
        self.function = function
        self.compiles = compiles
        self.configuration = configuration
        self.home = home
    }

    /// What the module is, and whether it can run.
    package func report(on module: [UInt8]) async throws(NodeServiceError) -> ModuleReport {
        let machine = try NodeOpening.machine(configuration, home)
        let cid = CID.hashing(module, codec: .raw)
        var report = ModuleReport(cid: cid.text, bytes: module.count)
        do {
            report.describe(try ModuleInspection(module, limits: .lenient))
            report.features = ModuleInspection.featuresUsed(by: module).map(\.description)
            let inspection = try machine.inspect(module, entry: entry)
            if let function { _ = try inspection.numericType(ofFunction: function) }
        } catch {
            report.refusal = "\(error)"
            report.hint = error.advice
            return report
        }
        if compiles { await compile(module, cid, machine, &report) }
        return report
    }

    /// Compiles the module as for a job.
    private func compile(_ module: [UInt8], _ cid: CID, _ machine: CoVM, _ report: inout ModuleReport) async {
        let begun = NodeClock.now
        switch await machine.prepare(module, named: cid, cancellation: ExecutionCancellation()) {
        case .success(let ready):
            report.compilation = ModuleReport.Compilation(
                milliseconds: UInt64(clamping: NodeClock.now.milliseconds(since: begun)),
                wasKnown: ready.source != .compiled)
        case .failure(let unprepared):
            report.refusal = unprepared.reason
            report.hint = unprepared.result.setting.map {
                "Raise \($0) in config.json here and on the executors, and restart them."
            }
        }
    }
}

extension ModuleReport {
    /// Takes over what inspection found.
    fileprivate mutating func describe(_ inspection: ModuleInspection) {
        functions = inspection.functionCount
        longestFunctionBytes = inspection.largestFunctionBodyBytes
        initialMemoryBytes = inspection.initialMemoryBytes
        for entry in inspection.imports {
            if let index = imports.firstIndex(where: { $0.module == entry.module }) {
                imports[index].names.append(entry.name)
            } else {
                imports.append(Imports(module: entry.module, names: [entry.name]))
            }
        }
        entries = inspection.exportedFunctions.filter { $0.type.canBegin }.map(\.name)
        callable = inspection.callableSignatures
    }
}

extension ModuleInspection.FunctionType {
    /// Whether a job can begin with a function of this type.
    fileprivate var canBegin: Bool { parameters.isEmpty && (results.isEmpty || results == [0x7F]) }
}

extension ModuleLimits {
    /// Limits that only keep a module from being read for ever: what is refused is told after it was described.
    fileprivate static var lenient: ModuleLimits {
        var limits = ModuleLimits()
        limits.moduleBytesMax = moduleBytesCeiling
        limits.functionsMax = 1_000_000
        limits.functionBodyBytesMax = moduleBytesCeiling
        return limits
    }
}
