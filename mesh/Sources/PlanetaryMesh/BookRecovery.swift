import Credit
import LibP2P
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects

/// Takes up into the book of this issuer what its witnesses keep of it, as a term begins.
///
/// What has a head is followed whatever this home has; what came behind it is taken as `ReplicaTakeUp` says. Nothing of
/// this home is forgotten before a witness has given all entries of a head that contradict it.
struct BookRecovery {
    /// Why nothing came of it.
    enum Failure: Error {
        /// A witness gives nothing that leads to what it says: why, a clause.
        case unreliable(DID, String)
        /// Of this node.
        case node(NodeServiceError)
    }

    let desk: IssuerDesk
    let exchange: ReplicaExchange
    let seal: BookSeal
    /// Until when a witness may give pages.
    let until: ContinuousClock.Instant

    /// Follows the entries of a signed head, as a witness gives them; returns whether some of this home were forgotten.
    func follow(_ head: TreeHead, at witness: DID) async throws(Failure) -> Bool {
        if try await has(head) { return false }
        var fork = try await lastFork(head, at: witness)
        if fork == nil {
            try await adopt(to: head, at: witness)
            if try await has(head) { return false }
            // One that is the same stands behind others that are not.
            fork = try await firstFork(head, from: 0, at: witness)
        }
        guard let fork, try await leads(from: fork, to: head, at: witness) else {
            throw .unreliable(witness, "its entries do not lead to the head that it has seen")
        }
        try await cut(to: fork)
        try await adopt(to: head, at: witness)
        guard try await has(head) else {
            throw .unreliable(witness, "it gave other entries at first")
        }
        return true
    }

    /// Takes up what witnesses keep behind a head.
    ///
    /// - Parameter own: the term in which this home wrote its entries; nil before the first, or where some were
    ///   forgotten.
    func takeUp(
        _ candidates: [ReplicaSurvey.Candidate], behind size: UInt64, own: BookTerm?
    ) async throws(Failure) {
        var taking = ReplicaTakeUp(behind: size, own: own)
        for candidate in candidates {
            // What is sealed otherwise did not come from this issuer, or not in that term.
            guard opened(candidate.batch) != nil, await candidate.batch.start <= desk.written.size else { continue }
            switch taking.next(candidate.batch, fork: try await firstDifference(candidate.batch)) {
            case .stop: return
            case .pass: continue
            case .take(let fork):
                if let fork { try await cut(to: fork) }
                try await adopt(candidate.batch, from: candidate.witness)
            }
        }
    }

    // MARK: Where this home has something else

    /// The first entry of this home that is another than a witness's, looked for from its end back; nil if the last one
    /// that both have is the same.
    private func lastFork(_ head: TreeHead, at witness: DID) async throws(Failure) -> UInt64? {
        let size = min(await desk.written.size, head.size)
        guard size > 0 else { return nil }
        var next = size - 1
        while try await firstDifference(page(from: next, below: next + 1, at: witness)) != nil {
            guard next > 0 else { return 0 }
            next -= min(next, UInt64(ReplicaBatch.Limits.entriesMax))
        }
        return try await firstFork(head, from: next, at: witness)
    }

    /// The same, looked for from a number on.
    private func firstFork(_ head: TreeHead, from number: UInt64, at witness: DID) async throws(Failure) -> UInt64? {
        let size = min(await desk.written.size, head.size)
        var next = number
        while next < size {
            let page = try await page(from: next, below: size, at: witness)
            if let fork = try await firstDifference(page) { return fork }
            next = page.end
        }
        return nil
    }

    /// Whether a witness's entries from a number on lead to a head.
    private func leads(from fork: UInt64, to head: TreeHead, at witness: DID) async throws(Failure) -> Bool {
        let known = try await read { () throws(MeshStoreError) in try await desk.tree(of: fork) }
        guard var tree = known else { return false }
        while tree.size < head.size {
            for entry in try await page(from: tree.size, below: head.size, at: witness).entries {
                _ = tree.append(.leaf(entry.commitment))
            }
        }
        return TreeHead(tree) == head
    }

    // MARK: Entries

    /// Whether the entries of a head are here.
    func has(_ head: TreeHead) async throws(Failure) -> Bool {
        try await read { () throws(MeshStoreError) in try await desk.tree(of: head.size)?.root == head.root }
    }

    /// What a witness has from a number on, of those before another.
    private func page(from number: UInt64, below end: UInt64, at witness: DID) async throws(Failure) -> ReplicaBatch {
        guard ContinuousClock.now < until else {
            throw .unreliable(witness, "it takes too long")
        }
        let answer = try? await exchange.ask(.kept(from: number), of: witness.peerID)
        guard case .entries(let batch, _)? = answer, batch.start == number, batch.isPossible, !batch.entries.isEmpty
        else {
            throw .unreliable(witness, "it does not give the entries from \(number) on")
        }
        return ReplicaBatch(start: number, entries: Array(batch.entries.prefix(Int(min(end - number, 1 << 20)))))
    }

    /// The number of the first entry that is another one here; nil if all that are here are the same.
    private func firstDifference(_ batch: ReplicaBatch) async throws(Failure) -> UInt64? {
        let own = try await read { () throws(MeshStoreError) in
            try await IssuerEntryRow.commitments(
                from: batch.start, below: batch.end, limit: batch.entries.count, in: desk.store)
        }
        for (index, pair) in zip(own, batch.entries).enumerated() where pair.0 != pair.1.commitment {
            return batch.start + UInt64(index)
        }
        return nil
    }

    /// Takes all that is not here of the entries of a head.
    private func adopt(to head: TreeHead, at witness: DID) async throws(Failure) {
        while case let next = await desk.written.size, next < head.size {
            try await adopt(page(from: next, below: head.size, at: witness), from: witness)
        }
    }

    /// Takes the entries that are not here.
    private func adopt(_ batch: ReplicaBatch, from witness: DID) async throws(Failure) {
        guard let entries = opened(batch) else {
            throw .unreliable(witness, "its entries do not open")
        }
        let written = await desk.written.size
        let rest = entries.dropFirst(Int(min(UInt64(entries.count), written - min(written, batch.start))))
        guard batch.start <= written, !rest.isEmpty else { return }
        let fits: Bool
        do {
            fits = try await desk.adopt(Array(rest))
        } catch {
            throw .node(error)
        }
        if !fits { throw .unreliable(witness, "what it keeps is not this book") }
    }

    private func cut(to size: UInt64) async throws(Failure) {
        do {
            try await desk.cut(to: size)
        } catch {
            throw .node(error)
        }
    }

    private func read<Value>(_ body: () async throws(MeshStoreError) -> Value) async throws(Failure) -> Value {
        do {
            return try await body()
        } catch {
            throw .node(NodeServiceError(storage: error))
        }
    }

    private func opened(_ batch: ReplicaBatch) -> [(entry: BookEntry, opening: EntryOpening)]? {
        var opened: [(entry: BookEntry, opening: EntryOpening)] = []
        for (index, entry) in batch.entries.enumerated() {
            guard let read = seal.open(entry, number: batch.start + UInt64(index)) else { return nil }
            opened.append(read)
        }
        return opened
    }
}
