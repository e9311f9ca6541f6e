import Multiformats
import NodeAPI
import NodeAPITesting
import Testing

@testable import MeshCLI

/// What `mesh warm` says of a module that is ready.
@Suite struct WarmTests {
    private func module(_ source: String, features: [String] = []) -> WarmModule {
        WarmModule(
            cid: Samples.jobID.text, size: 4_449_347, functions: 2_527, features: features, source: source,
            milliseconds: 5_200)
    }

    @Test func itTellsWhetherItWasCompiledAndWhatTheModuleUses() {
        let cid = Samples.jobID.text
        #expect(
            Warm.text(module("compiled", features: ["SIMD", "exception handling"]))
                == "Compiled in 5.2 s: \(cid) (4.24 MiB, 2,527 functions, uses SIMD, exception handling).\n")
        #expect(Warm.text(module("disk")).hasPrefix("Compiled before, and loaded in 5.2 s: \(cid) ("))
        #expect(Warm.text(module("memory")) == "Ready already: \(cid) (4.24 MiB, 2,527 functions).\n")
    }
}
