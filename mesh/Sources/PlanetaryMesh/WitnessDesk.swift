import Crypto
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import Receipts
import SignedObjects

/// This node as a witness: of logs whose authors its owner named it cosigns each head that continues the one before.
///
/// A head is on the disk before it is cosigned, so that no two of one size are, wherever the node is killed. The key
/// with which it cosigns is beside the heads in the same database, made there and not part of the node's key: whoever
/// loses the one loses the other, and a home that is restored from a backup, which may lack heads, makes a new key.
/// Source: c2sp.org/tlog-witness.
actor WitnessDesk {
    /// The bounds of what it keeps.
    struct Limits: Sendable {
        /// Logs of one author: its name, and those under which it began again.
        var logsPerAuthorMax = 16
        /// Heads of one author that are cosigned in a minute; each is a write to the disk.
        var headsPerAuthorPerMinuteMax = 60
        /// Seconds in which a head that comes again gets the cosignature that it has, without a write.
        var sameCosignatureSeconds: UInt64 = 10
    }

    /// The newest checkpoint of a log that this node took.
    private struct Latest {
        let head: TreeHead
        /// Signed by its log alone.
        let note: SignedNote
        let seconds: UInt64
    }

    private let identity: Identity
    private let store: MeshStore
    private let authors: Set<DID>
    private let limits: Limits
    private let clock: @Sendable () -> UInt64
    /// By the name of the log; nil before it is read from the disk.
    private var latest: [ExactText: Latest]?
    /// With what it cosigns; nil before that is read from the disk.
    private var signer: Identity?
    /// How many heads of an author were taken in a minute since 1970.
    // BOUNDED: by the authors that the owner names.
    private var taken: [DID: (minute: UInt64, heads: Int)] = [:]

    init(
        identity: Identity, store: MeshStore, authors: Set<DID>, limits: Limits = Limits(),
        clock: @escaping @Sendable () -> UInt64 = { NodeClock.wallClock.value / 1_000 }
    ) {
        self.identity = identity
        self.store = store
        self.authors = authors
        self.limits = limits
        self.clock = clock
    }

    /// The key with which others find this node's cosignatures, and for whom it makes them.
    func view() async throws(MeshStoreError) -> WitnessKeyView {
        WitnessKeyView(key: key(of: try await readSigner()).text, authors: authors.map(\.text).sorted())
    }

    private func key(of signer: Identity) -> NoteKey {
        let name = "icn-mesh/witness/\(identity.did.text)"
        guard let key = NoteKey(name: name, kind: .cosignature, publicKey: signer.publicKey) else {
            preconditionFailure("a name of a witness that no note could have")
        }
        return key
    }

    /// Answers `add-checkpoint`.
    func addCheckpoint(_ bytes: [UInt8]) async -> WitnessAnswer {
        guard let request = LogGrowth(bytes: bytes) else { return Self.refused(.malformed) }
        do {
            try await load()
            let signer = try await readSigner()
            // From here to the place in the order of writes nothing is waited for: who comes meanwhile sees this head.
            let known = latest ?? [:]
            let checkpoint = try WitnessRule.accepted(request) { origin in
                key(of: origin, known)
            } latest: { origin in
                known[ExactText(origin)]?.head
            }
            let origin = ExactText(checkpoint.origin)
            // A cosignature says that no larger head was known then, so a clock that was set back is not followed.
            let seconds = max(clock(), known[origin]?.seconds ?? 1)
            if let last = known[origin], last.head == checkpoint.head,
                seconds - last.seconds < limits.sameCosignatureSeconds
            {
                try await store.persisted()
                return WitnessAnswer(200, Array(try line(on: last.note.text, at: last.seconds, by: signer).utf8))
            }
            guard let author = LogName(checkpoint.origin)?.author, mayTake(of: author, at: seconds) else {
                let most = limits.headsPerAuthorPerMinuteMax
                let text = "This witness cosigns \(most) heads a minute of one author; try again in a minute.\n"
                return WitnessAnswer(429, Array(text.utf8))
            }
            guard let note = Self.note(checkpoint, of: request.note, by: author) else {
                return Self.refused(.notSigned)
            }
            latest?[origin] = Latest(head: checkpoint.head, note: note, seconds: seconds)
            try await commit(WitnessedRow(origin: Array(checkpoint.origin.utf8), note: note.bytes, seconds: seconds))
            return WitnessAnswer(200, Array(try line(on: checkpoint.text, at: seconds, by: signer).utf8))
        } catch let refusal as WitnessRule.Refusal {
            return Self.refused(refusal)
        } catch {
            return WitnessAnswer(500, Array("The witness could not keep the checkpoint.\n".utf8))
        }
    }

    /// The newest checkpoint of the log whose name has a hash, with this node's cosignature.
    func checkpoint(ofOriginHash hash: String) async -> WitnessAnswer {
        do {
            try await load()
            let signer = try await readSigner()
            let found = latest?.first { origin, _ in
                Multibase.encodeWithoutPrefix(Array(SHA256.hash(data: Array(origin.text.utf8))), .base16) == hash
            }
            guard let found = found?.value else { return Self.refused(.unknownLog) }
            // What was decided a moment ago is not given away before it is on the disk.
            try await store.persisted()
            let signature = try line(on: found.note.text, at: found.seconds, by: signer)
            return WitnessAnswer(200, found.note.bytes + Array(signature.utf8))
        } catch {
            return WitnessAnswer(500, Array("The witness could not read its checkpoints.\n".utf8))
        }
    }

    /// The key of a log of the mesh whose author is among those that are witnessed.
    private func key(of origin: String, _ known: [ExactText: Latest]) -> PublicKey? {
        guard let author = LogName(origin)?.author, authors.contains(author) else { return nil }
        if known[ExactText(origin)] != nil { return author.publicKey }
        let count = known.keys.count { LogName($0.text)?.author == author }
        return count < limits.logsPerAuthorMax ? author.publicKey : nil
    }

    /// Counts one more head of an author, if there may be one in this minute.
    private func mayTake(of author: DID, at seconds: UInt64) -> Bool {
        let minute = seconds / 60
        let heads = taken[author].map { $0.minute == minute ? $0.heads : 0 } ?? 0
        guard heads < limits.headsPerAuthorPerMinuteMax else { return false }
        taken[author] = (minute, heads + 1)
        return true
    }

    /// A checkpoint with a signature of its log alone: of what others put below it nothing is kept.
    private static func note(_ checkpoint: Checkpoint, of note: SignedNote, by author: DID) -> SignedNote? {
        guard let key = NoteKey(name: checkpoint.origin, kind: .note, publicKey: author.publicKey),
            let signature = note.signatures.first(where: { $0.isOf(key) })
        else { return nil }
        return SignedNote(text: checkpoint.text, signatures: [signature])
    }

    private func line(on text: String, at seconds: UInt64, by signer: Identity) throws -> String {
        let signature = try Cosignature.sign(text, at: seconds, with: signer)
        return SignedNote.Signature(by: key(of: signer), signature.bytes).line
    }

    /// What the node cosigns with: read from the disk, or made and written there before anything is signed.
    private func readSigner() async throws(MeshStoreError) -> Identity {
        if let signer { return signer }
        let seed = try await store.setting(StoreCopy.witnessSeedKey)
        // Somebody else may have read or made it meanwhile.
        if let signer { return signer }
        if let seed {
            guard let read = try? Identity(seed: seed) else { throw .recordCorrupt(table: "settings", row: 0) }
            signer = read
            return read
        }
        let made = Identity.generate()
        signer = made
        try await store.commit([.setting(key: StoreCopy.witnessSeedKey, value: made.seed)])
        return made
    }

    private static func refused(_ refusal: WitnessRule.Refusal) -> WitnessAnswer {
        if case .otherSize(let size) = refusal {
            return WitnessAnswer(refusal.status, Array("\(size)\n".utf8), type: "text/x.tlog.size")
        }
        return WitnessAnswer(refusal.status, Array("The checkpoint is not cosigned: \(refusal).\n".utf8))
    }

    /// Reads from the disk what was cosigned before.
    private func load() async throws {
        guard latest == nil else { return }
        var read: [ExactText: Latest] = [:]
        for row in try await WitnessedRow.all(in: store) {
            guard let note = SignedNote(bytes: row.note), let checkpoint = Checkpoint(text: note.text),
                Array(checkpoint.origin.utf8) == row.origin
            else { throw MeshStoreError.recordCorrupt(table: "witnessed", row: 0) }
            read[ExactText(checkpoint.origin)] = Latest(head: checkpoint.head, note: note, seconds: row.seconds)
        }
        if latest == nil { latest = read }
    }

    /// Returns when the checkpoint is on the disk; its place among the writes is that of this call.
    private func commit(_ row: WitnessedRow) async throws(MeshStoreError) {
        let event = CrashPoint.Event(role: "witness", name: "checkpoint_taken", kind: "log", state: "stored")
        let result = await withCheckedContinuation { continuation in
            store.enqueue([.witnessed(row)], of: [event], urgency: .now) { continuation.resume(returning: $0) }
        }
        try result.get()
    }
}
