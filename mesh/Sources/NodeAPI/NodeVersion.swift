/// The version of the program.
public enum NodeVersion {
    /// The version, as `mesh --version` and the API tell it.
    public static let current = "0.1.0"
}
