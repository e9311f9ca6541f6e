/// Which engine ran a module, exactly enough for an auditor to tell whether a replay must use the same fuel.
package struct EngineDescription: Hashable, Sendable, Codable {
    /// The name of the engine, for example `wasmtime`.
    package var name: String
    /// Its version.
    package var version: String
    /// SHA-256 in lower-case hexadecimal over the engine's configuration that results and fuel depend on.
    package var configurationDigest: String

    package init(name: String, version: String, configurationDigest: String) {
        self.name = name
        self.version = version
        self.configurationDigest = configurationDigest
    }

    enum CodingKeys: String, CodingKey {
        case name
        case version
        case configurationDigest = "configuration_digest"
    }
}

/// Whether anybody can reproduce the results of a run, or only the executor attests them.
package enum DeterminismProfile: String, Hashable, Sendable, Codable, CaseIterable {
    /// Virtual clock, seeded randomness, canonical NaNs: a replay gives the same output CIDs and the same fuel.
    case deterministic
    /// Only the executor's word.
    case attested
}
