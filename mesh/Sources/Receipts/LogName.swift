package import MeshTypes
import Multiformats
package import SignedObjects

/// What the name of a log says: `icn-mesh/dag/<scope>/<did>`, and when it began again, if it did.
package struct LogName: Hashable, Sendable {
    /// Whose it is.
    package let author: DID
    /// Of which DAG.
    package let scope: String
    /// When it began again, as its author's home was restored; nil if it never did.
    package let openedAt: UnixMilliseconds?

    /// Reads a name; nil if it is of no log of the mesh, or not in its one spelling.
    package init?(_ origin: String) {
        let parts = origin.split(separator: "/", omittingEmptySubsequences: false)
        guard (4...5).contains(parts.count), let did = try? DID(parsing: String(parts[3])) else { return nil }
        author = did
        scope = String(parts[2])
        openedAt = parts.count == 5 ? UInt64(parts[4]).map { UnixMilliseconds($0) } : nil
        let name = AnchorEntry.logName(of: did, scope: scope, openedAt: openedAt)
        guard ExactText(name) == ExactText(origin) else { return nil }
    }

    /// Whether an entry may be in the log: of its scope, and from no later beginning.
    func mayHave(_ entry: AnchorEntry) -> Bool {
        guard ExactText(entry.scope) == ExactText(scope) else { return false }
        guard let began = entry.openedAt else { return true }
        return openedAt.map { began <= $0 } ?? false
    }

    /// Whether its author began it again after the other.
    package func isLater(than other: LogName) -> Bool {
        guard isOfOneLog(with: other), let openedAt else { return false }
        return other.openedAt.map { $0 < openedAt } ?? true
    }

    /// Whether two names are of one log, or of what its author began again in its place.
    package func isOfOneLog(with other: LogName) -> Bool {
        author == other.author && ExactText(scope) == ExactText(other.scope)
    }
}
