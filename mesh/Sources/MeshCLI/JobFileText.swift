import NodeAPI

/// The files of a job, in words.
enum JobFileText {
    /// The rows about them; sizes by CID, where they are known.
    static func facts(_ files: JobSubmission.Files, sizes: [String: UInt64] = [:]) -> [(name: String, value: String)] {
        var facts = files.mounts.map { ($0.isFolder ? "folder" : "file", text($0, sizes: sizes)) }
        if files.hasTemporaryFolder { facts.append(("folder", "/tmp, empty, to write to")) }
        if let folder = files.workingFolder { facts.append(("working folder", folder)) }
        if let bytes = files.maxBytes, let entries = files.maxEntries {
            facts.append(("written at most", "\(Readable.bytes(bytes)) and \(Readable.count(entries)) entries"))
        }
        facts += files.collect.map { ("collected", "\($0.name): \($0.text)") }
        return facts
    }

    private static func text(_ mount: JobSubmission.Files.Mount, sizes: [String: UInt64]) -> String {
        guard let cid = mount.cid else { return "\(mount.path), empty, to write to" + quota(mount) }
        let access = mount.isWritable ? "a copy to write to" : "read-only"
        return "\(mount.path), \(access)\(quota(mount)): \(sized(cid, sizes))"
    }

    private static func quota(_ mount: JobSubmission.Files.Mount) -> String {
        let parts = [
            mount.maxBytes.map(Readable.bytes), mount.maxEntries.map { "\(Readable.count($0)) entries" },
        ].compactMap(\.self)
        return parts.isEmpty ? "" : ", at most " + parts.joined(separator: " and ")
    }

    /// A CID, with its size where it is known.
    static func sized(_ cid: String, _ sizes: [String: UInt64]) -> String {
        sizes[cid].map { "\(cid), \(Readable.bytes($0))" } ?? cid
    }
}
