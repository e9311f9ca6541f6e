/// The version of the program.
package enum NodeVersion {
    /// The version, as `mesh --version` and the API tell it.
    package static let current = "0.1.0"
}
