import Foundation

/// A node's home folder, and the names in it.
package struct NodeHome: Hashable, Sendable {
    /// The folder.
    package let path: String
    /// Compiled modules: a folder in this one, unless another home lends its own.
    package private(set) var cachePath: String

    /// A home at a path; `~` is the user's folder: `HOME` of the environment, as in a shell, else what the system has
    /// on record.
    package init(path: String) {
        let user = ProcessInfo.processInfo.environment["HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil }
        if let user, path == "~" || path.hasPrefix("~/") {
            self.path = ((user + path.dropFirst()) as NSString).standardizingPath
        } else {
            self.path = (path as NSString).expandingTildeInPath
        }
        cachePath = self.path + "/cache"
    }

    /// The same home with the compiled modules of another one: both keep theirs there.
    package func sharingCache(of other: NodeHome) -> NodeHome {
        var home = self
        home.cachePath = other.cachePath
        return home
    }

    /// The default home.
    package static let defaultPath = "~/.mesh"

    /// The key, readable by its owner only.
    package var keyPath: String { path + "/identity.key" }
    /// The configuration.
    package var configurationPath: String { path + "/config.json" }
    /// The database.
    package var databasePath: String { path + "/mesh.sqlite" }
    /// What this node writes down of the sessions that it runs: a folder.
    package var sessionsPath: String { path + "/sessions" }
    /// The socket on which the node answers.
    package var socketPath: String { path + "/api.sock" }
    /// The token with which a program may do everything over TCP, readable by its owner only.
    package var apiTokenPath: String { path + "/api-token" }
    /// The token with which a program may read over TCP, readable by its owner only.
    package var apiReadTokenPath: String { path + "/api-token-read" }
    /// A page that leads a browser to a link of `mesh dashboard --open`.
    package var signInPagePath: String { path + "/sign-in.html" }
    /// The log, if the node writes one.
    package var logPath: String { path + "/mesh.log" }

    /// What a restoration has not put in its place yet: a folder that is there only while one runs, or after one was
    /// cut off.
    package var restorationPath: String { path + "/.restoring" }

    /// Whether `mesh init` has run here.
    package var isInitialised: Bool {
        FileManager.default.fileExists(atPath: keyPath)
    }

    /// Whether a node's data is here without its key, which nothing but a copy can bring back.
    package var lacksItsKey: Bool {
        !isInitialised && FileManager.default.fileExists(atPath: databasePath)
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

    /// Creates the folder, owner-only, if missing; `nil`, or why that cannot be: the file in its way, else the system's
    /// words.
    package func create() throws(NodeServiceError) -> String? {
        try requireShortPath()
        if let missing = NodeServiceError.noPermission(for: .making, of: path) { throw missing }
        // Each folder of the path in turn, as far as there is none.
        var place = path.hasPrefix("/") ? "/" : ""
        for name in (path as NSString).pathComponents where name != "/" {
            place += place.isEmpty || place.hasSuffix("/") ? name : "/" + name
            guard mkdir(place, 0o700) != 0 else { continue }
            let code = errno
            var isFolder: ObjCBool = false
            if FileManager.default.fileExists(atPath: place, isDirectory: &isFolder) {
                if !isFolder.boolValue { return "\(place) is a file and no folder" }
            } else {
                return String(cString: strerror(code))
            }
        }
        return nil
    }

    /// Refuses a folder without a node, and says what to do next.
    package func requireInitialised() throws(NodeServiceError) {
        guard !isInitialised else { return }
        if let missing = NodeServiceError.noPermission(for: .reading, of: keyPath) { throw missing }
        try requireKeyOfData()
        throw NodeServiceError(
            .notInitialised, "There is no node in \(path).", hint: "Run mesh init\(option) to make one.")
    }

    /// Refuses a folder with a node's data and without its key, or with a part of a restored node: another key would
    /// make another node of it.
    package func requireKeyOfData() throws(NodeServiceError) {
        if !isInitialised, FileManager.default.fileExists(atPath: restorationPath) {
            throw NodeServiceError(
                .keyUnusable, "A node is being restored into \(path), or that was cut off.",
                hint: "Let mesh restore end, or run it again\(option.isEmpty ? "" : " with" + option).")
        }
        guard lacksItsKey else { return }
        throw NodeServiceError(
            .keyUnusable, "The home \(path) has a node's data, but its key identity.key is missing.",
            hint: "Restore identity.key from a copy, or choose another --home.")
    }
}
