/// Jobs without a user whose module sees its executor's own clock and chance, so that nobody can repeat the run: its
/// result is the executor's word (PROTOCOL.md, "Attested runs").
package enum AttestedRun {
    /// What an executor that runs them so has among its features; one of an earlier version would give the module the
    /// seed and the clock of the manifest. Every such job requires it.
    package static let feature = "attested-runs-v1"
}
