import Determinism
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import Receipts
import SignedObjects

// What the owner sees of the logs of others, and has fetched.
extension LogFollower {
    /// The logs that are kept, followed or heard of, those of named authors first.
    func views() async throws(NodeServiceError) -> [FollowedLogView] {
        try await ready()
        let followed = followed
        var seen: Set<DID> = [identity.did]
        let authors = (followed + newest.keys.sorted() + forks.authors + heads.authors).filter {
            seen.insert($0).inserted
        }
        return authors.map { view(of: $0, isFollowed: followed.contains($0)) }
    }

    /// What is kept of an author's log.
    func view(of author: DID, isFollowed: Bool) -> FollowedLogView {
        var view = FollowedLogView(author: author.text)
        let (log, known) = (log(of: author), heads[author])
        view.origin = (log?.origin ?? known?.origin)?.text
        (view.entries, view.bytes) = (log?.tree.size ?? 0, log?.byteCount ?? 0)
        view.headEntries = [log?.head?.size, known?.head.size].compactMap(\.self).max()
        view.isFollowed = isFollowed && forks[author] == nil
        view.hasForked = forks[author] != nil
        view.obstacle = isFollowed ? obstacle(of: author) : nil
        return view
    }

    /// Entries of an author's log below a number, the newest first.
    func entries(
        of author: String, below number: UInt64?, limit: Int
    ) async throws(NodeServiceError) -> [LogEntryView] {
        let did = try Self.did(author)
        if did == identity.did { return try await desk.entries(below: number, limit: limit) }
        guard let log = try await kept(did) else { return [] }
        let rows = try await stored { [store] () throws(MeshStoreError) in
            try await FollowedRow.newest(of: log.origin.text, below: number ?? .max, limit: limit, in: store)
        }
        return rows.compactMap { row in
            (try? SignedObject<AnchorEntry>(verifiedBefore: row.bytes).body).map { entry in
                LogEntryView(
                    number: row.number, entryCID: row.entry.text, anchors: entry.payload.map(\.text),
                    recordedAt: entry.recordedAt.value)
            }
        }
    }

    /// Signed entries of an author's log from a number on, in their order.
    func blocks(
        of author: String, from number: UInt64, limit: Int
    ) async throws(NodeServiceError) -> [LogBlockView] {
        let did = try Self.did(author)
        let rows: [FollowedEntry]
        if did == identity.did {
            rows = try await stored { [store] () throws(MeshStoreError) in
                try await AnchoredRow.entries(from: number, limit: limit, in: store).map {
                    FollowedEntry(number: $0.number, entry: $0.entry, bytes: $0.bytes)
                }
            }
        } else {
            guard let log = try await kept(did) else { return [] }
            rows = try await stored { [store] () throws(MeshStoreError) in
                try await FollowedRow.entries(of: log.origin.text, from: number, limit: limit, in: store)
            }
        }
        return rows.compactMap { row in
            (try? SignedObject<AnchorEntry>(verifiedBefore: row.bytes).body).map { entry in
                LogBlockView(
                    author: did.text, number: row.number, entryCID: row.entry.text, anchors: entry.payload.map(\.text),
                    recordedAt: entry.recordedAt.value, block: Multibase.encodeWithoutPrefix(row.bytes, .base64pad))
            }
        }
    }

    /// Fetches the log of an author, or all that are followed, and says what that brought.
    func sync(_ author: String?) async throws(NodeServiceError) -> [LogSyncView] {
        try await ready()
        let authors = try author.map { text throws(NodeServiceError) in [try Self.did(text)] } ?? followed
        var views: [LogSyncView] = []
        for author in authors where author != identity.did {
            guard followed.contains(author) else {
                throw NodeServiceError(
                    .invalidRequest, "This node does not follow the log of \(author).",
                    hint: "mesh config set log.follow \(author) follows it.")
            }
            let (before, begunAt) = (share.kept(of: author), NodeClock.now)
            if forks[author] == nil { await fetch(author) }
            let after = share.kept(of: author)
            views.append(
                LogSyncView(
                    log: view(of: author, isFollowed: true),
                    newEntries: after.entries - min(before.entries, after.entries),
                    newBytes: after.bytes - min(before.bytes, after.bytes),
                    milliseconds: UInt64(max(0, NodeClock.now.milliseconds(since: begunAt)))))
        }
        return views
    }

    /// The proofs of two histories that this node has, by the authors' DIDs: that about one author, or those behind
    /// one, at most so many.
    func forkViews(
        of author: String?, after: String?, limit: Int
    ) async throws(NodeServiceError) -> [LogForkView] {
        try await ready()
        let (author, after) = (try author.map(Self.did), try after.map(Self.did))
        let found = forks.all.map(\.fork).filter { fork in
            author.map { $0 == fork.author } ?? true && after.map { $0 < fork.author } ?? true
        }
        return found.prefix(limit).map { fork in
            LogForkView(
                author: fork.author.text, origin: fork.origin.text, place: fork.place,
                text: String(decoding: fork.bytes, as: UTF8.self))
        }
    }

    /// Removes what is kept of the logs of an author that is not followed; a proof against it stays.
    func forget(_ author: String) async throws(NodeServiceError) -> ForgottenLog {
        let did = try Self.did(author)
        try await ready()
        guard did != identity.did else {
            throw NodeServiceError(
                .invalidRequest, "That is this node's own log.", hint: "What a node anchored is never removed.")
        }
        guard forks[did] != nil || !followed.contains(did) else {
            throw NodeServiceError(
                .invalidRequest, "This node follows the log of \(did).",
                hint: "Leave the author out of log.follow first: mesh config get log.follow prints whom it names.")
        }
        guard !isFetching(did) else {
            throw NodeServiceError(
                .overloaded, "The log of \(did) is being fetched at the moment.", hint: "Try again in a few seconds.")
        }
        let kept = share.kept(of: did)
        do throws(MeshStoreError) { try await drop(did) } catch { throw NodeServiceError(storage: error) }
        return ForgottenLog(author: did.text, entries: kept.entries, bytes: kept.bytes)
    }

    private func ready() async throws(NodeServiceError) {
        do throws(MeshStoreError) { try await load() } catch { throw NodeServiceError(storage: error) }
    }

    private func kept(_ author: DID) async throws(NodeServiceError) -> FollowedLog? {
        try await ready()
        return log(of: author)
    }

    private static func did(_ text: String) throws(NodeServiceError) -> DID {
        do throws(DIDError) {
            return try DID(parsing: text)
        } catch {
            throw NodeServiceError(
                .invalidRequest, "The author is not named by a DID: \(error).", hint: "mesh peers --full prints DIDs.")
        }
    }
}
