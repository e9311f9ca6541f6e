import Foundation

extension NodeServiceError {
    /// What a file is wanted for.
    package enum FileUse: Sendable {
        /// It is there, and is read.
        case reading
        /// It is there, and is written or connected to.
        case writing
        /// It is made, or written if it is there.
        case making
    }

    /// The refusal of a path that this user has no permission for, with its owner and what to do; nil if that is not
    /// what is missing.
    package static func noPermission(for use: FileUse, of path: String) -> NodeServiceError? {
        var information = stat()
        guard lstat(path, &information) == 0 else {
            let code = errno
            let folder = path.parentFolder.isEmpty ? "." : path.parentFolder
            guard folder != path else { return nil }
            if code == EACCES { return refusal("look into", folder, isFolder: true) }
            guard code == ENOENT, use == .making else { return nil }
            // The nearest folder that is there decides.
            guard FileManager.default.fileExists(atPath: folder) else { return noPermission(for: .making, of: folder) }
            return access(folder, W_OK | X_OK) != 0 && errno == EACCES
                ? refusal("write to", folder, isFolder: true) : nil
        }
        let isFolder = information.st_mode & S_IFMT == S_IFDIR
        let mode = use == .reading ? R_OK : isFolder ? W_OK | X_OK : W_OK
        guard access(path, mode) != 0, errno == EACCES else { return nil }
        return refusal(use == .reading ? "read" : isFolder ? "write to" : "use", path, isFolder: isFolder)
    }

    private static func refusal(_ verb: String, _ path: String, isFolder: Bool) -> NodeServiceError {
        // A folder that cannot be looked at belongs to whoever the first one that can be seen belongs to.
        var seen = path
        var information = stat()
        while lstat(seen, &information) != 0, seen.count > 1 { seen = seen.parentFolder }
        let (owner, user) = (information.st_uid, geteuid())
        guard owner != user else {
            return NodeServiceError(
                .permissionDenied, "There is no permission to \(verb) \(seen).",
                hint: "Allow it with: chmod u+rw\(isFolder ? "x" : "") \(seen)")
        }
        return NodeServiceError(
            .permissionDenied, "There is no permission to \(verb) \(seen), which belongs to \(name(of: owner)).",
            hint: "Run mesh as \(name(of: owner)), or name another --home.")
    }

    /// The name of a user, else its number.
    private static func name(of user: uid_t) -> String {
        // SAFETY: the system keeps the entry until the next call, and its name is copied before that.
        guard let entry = getpwuid(user), let name = entry.pointee.pw_name else { return "user \(user)" }
        return String(cString: name)
    }
}
