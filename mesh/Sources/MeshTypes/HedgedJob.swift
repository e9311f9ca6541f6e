/// Jobs of which another executor may be asked for a second copy where a run is slow (PROTOCOL.md, "A second copy of a
/// slow run").
package enum HedgedJob {
    /// What an executor that takes them has among its features, knowing that only the first valid result is paid; every
    /// job that allows a second copy requires it.
    package static let feature = "hedged-jobs-v1"
}
