import Multiformats

/// Which engine ran a module, exactly enough for an auditor to tell whether a replay must use the same fuel.
package struct EngineDescription: Hashable, Sendable, Codable {
    /// The name of the engine, for example `wasmtime`.
    package var name: String
    /// Its version.
    package var version: String
    /// SHA-256 in lower-case hexadecimal over the engine's configuration that results and fuel depend on.
    package var configurationDigest: String

    /// The instruction set that the engine compiles for, for example `x86_64`; absent in what earlier versions wrote.
    package var instructionSet: String?
    /// The processor features that compiled code may use, for example `x86-64-v3`; absent in what earlier versions
    /// wrote.
    package var processorBaseline: String?

    package init(
        name: String, version: String, configurationDigest: String, instructionSet: String? = nil,
        processorBaseline: String? = nil
    ) {
        self.name = name
        self.version = version
        self.configurationDigest = configurationDigest
        self.instructionSet = instructionSet
        self.processorBaseline = processorBaseline
    }

    /// Whether both give the same results and the same fuel, except for runs that use up the stack: how much of it code
    /// takes depends on the processor it is compiled for.
    package func hasSameProfile(as other: EngineDescription) -> Bool {
        name.isSameBytes(as: other.name) && version.isSameBytes(as: other.version)
            && configurationDigest.isSameBytes(as: other.configurationDigest)
    }

    enum CodingKeys: String, CodingKey {
        case name
        case version
        case configurationDigest = "configuration_digest"
        case instructionSet = "instruction_set"
        case processorBaseline = "processor_baseline"
    }
}

/// Whether anybody can reproduce the results of a run, or only the executor attests them.
package enum DeterminismProfile: String, Hashable, Sendable, Codable, CaseIterable {
    /// Virtual clock, seeded randomness, canonical NaNs: a replay gives the same output CIDs and the same fuel.
    case deterministic
    /// Only the executor's word.
    case attested
}
