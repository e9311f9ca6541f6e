import NodeAPI

/// The folder of a node that is made.
enum HomeFolder {
    /// Makes the folder; a failure says why, and which option names another.
    static func make(_ home: NodeHome, option: String) throws {
        guard let reason = try home.create() else { return }
        throw LocalFileError(
            path: home.path, reason: "the folder cannot be created, \(reason)", hint: "Choose another with \(option).")
    }
}
