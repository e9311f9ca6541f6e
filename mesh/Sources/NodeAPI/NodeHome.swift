import Foundation

/// A node's home folder, and the names in it.
package struct NodeHome: Hashable, Sendable {
    /// The folder.
    package let path: String

    /// A home at a path; `~` is the user's folder: `HOME` of the environment, as in a shell, else what the system has
    /// on record.
    package init(path: String) {
        let user = ProcessInfo.processInfo.environment["HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil }
        if let user, path == "~" || path.hasPrefix("~/") {
            self.path = ((user + path.dropFirst()) as NSString).standardizingPath
        } else {
            self.path = (path as NSString).expandingTildeInPath
        }
    }

    /// The default home.
    package static let defaultPath = "~/.mesh"

    /// The key, readable by its owner only.
    package var keyPath: String { path + "/identity.key" }
    /// The configuration.
    package var configurationPath: String { path + "/config.json" }
    /// The database.
    package var databasePath: String { path + "/mesh.sqlite" }
    /// Compiled modules.
    package var cachePath: String { path + "/cache" }
    /// The socket on which the node answers.
    package var socketPath: String { path + "/api.sock" }
    /// The log, if the node writes one.
    package var logPath: String { path + "/mesh.log" }

    /// Whether `mesh init` has run here.
    package var isInitialised: Bool {
        FileManager.default.fileExists(atPath: keyPath)
    }

    /// How a command names this home: ` --home PATH`, or nothing for the default one.
    package var option: String {
        path == NodeHome(path: NodeHome.defaultPath).path ? "" : " --home \(path)"
    }

    /// The longest socket path that the system accepts, in bytes.
    package static let socketPathBytesMax = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

    /// Refuses a folder whose socket's path would be too long.
    package func requireShortPath() throws(NodeServiceError) {
        guard socketPath.utf8.count > Self.socketPathBytesMax else { return }
        throw NodeServiceError(
            .configurationInvalid,
            "The socket's path \(socketPath) is longer than the \(Self.socketPathBytesMax) bytes that the system "
                + "takes.",
            hint: "Choose a shorter --home.")
    }

    /// Creates the folder, owner-only, if missing.
    package func create() throws(NodeServiceError) {
        try requireShortPath()
        if let missing = NodeServiceError.noPermission(for: .making, of: path) { throw missing }
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw NodeServiceError(
                .notInitialised, "The folder \(path) cannot be created (\(error.localizedDescription)).",
                hint: "Choose another with --home.")
        }
    }

    /// Refuses a folder without a node, and says what to do next.
    package func requireInitialised() throws(NodeServiceError) {
        guard !isInitialised else { return }
        if let missing = NodeServiceError.noPermission(for: .reading, of: keyPath) { throw missing }
        throw NodeServiceError(
            .notInitialised, "There is no node in \(path).", hint: "Run mesh init\(option) to make one.")
    }
}
