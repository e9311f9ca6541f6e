import ArgumentParser
import NodeAPI

/// `mesh version`: which program this is.
struct Version: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the version of this program, and the system that it was built for.")

    @OptionGroup var global: GlobalOptions

    func perform(_ console: Console) async throws -> ExitCode {
        let report = VersionReport()
        if global.json {
            try console.json(report)
        } else {
            console.out("mesh \(report.version) (\(report.system), \(report.architecture))\n")
        }
        return .success
    }
}

/// The version of the program, as JSON.
struct VersionReport: Encodable {
    let version = NodeVersion.current
    let system = Self.builtFor.system
    let architecture = Self.builtFor.architecture

    /// The system and the processor, as the compiler names them.
    private static var builtFor: (system: String, architecture: String) {
        #if os(Linux)
            let system = "linux"
        #else
            let system = "macos"
        #endif
        #if arch(x86_64)
            return (system, "x86_64")
        #else
            return (system, "aarch64")
        #endif
    }
}
