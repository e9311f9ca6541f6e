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
        /// How far back the clock may go behind the time that was said last, in seconds; readers take none further
        /// ahead.
        var clockBackSecondsMax: UInt64 = 300
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
    /// Whose logs it cosigns.
    nonisolated let authors: Set<DID>
    private let limits: Limits
    private let clock: @Sendable () -> UInt64
    private let warn: @Sendable (String) -> Void
    /// What was decided last, by the name of the log: what comes next has to continue it, though it may not be on the
    /// disk yet. Nil before it is read from there, and after a write that failed.
    private var latest: [ExactText: Latest]?
    /// What is on the disk, by the name of the log: nothing else is cosigned.
    private var durable: [ExactText: Latest] = [:]
    /// How many writes failed: what was read from the disk before one may be older than what was decided since.
    private var failures = 0
    /// With what it cosigns, once that is on the disk.
    private var signer: Identity?
    /// Those who wait while it is read or made; nil while nobody does that.
    // BOUNDED: by the requests that are answered at once.
    private var waiters: [CheckedContinuation<Result<Identity, MeshStoreError>, Never>]?
    /// The logs of whose time a warning was given.
    // BOUNDED: by the logs that are witnessed.
    private var warned: Set<ExactText> = []
    /// The authors that are proved to have told two histories.
    // BOUNDED: by the authors that the owner names.
    private var renounced: Set<DID> = []
    /// Receives each proof that an author told two histories.
    private var onFork: @Sendable (LogFork) async -> Void = { _ in }
    /// How many heads of an author were taken in a minute since 1970.
    // BOUNDED: by the authors that the owner names.
    private var taken: [DID: (minute: UInt64, heads: Int)] = [:]

    init(
        identity: Identity, store: MeshStore, authors: Set<DID>, limits: Limits = Limits(),
        clock: @escaping @Sendable () -> UInt64 = { NodeClock.wallClock.value / 1_000 },
        warn: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.identity = identity
        self.store = store
        self.authors = authors
        self.limits = limits
        self.clock = clock
        self.warn = warn
    }

    /// Cosigns nothing more of an author that told two histories, whoever found that.
    func renounce(_ author: DID) {
        if authors.contains(author) { renounced.insert(author) }
    }

    /// Has each proof told that an author told two histories.
    func tellForks(_ receiver: @escaping @Sendable (LogFork) async -> Void) { onFork = receiver }

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
            let signer = try await readSigner()
            try await load()
            guard let known = latest else { return Self.notKept }
            // From here to the place in the order of writes nothing is waited for: who comes meanwhile sees this head.
            let checkpoint = try WitnessRule.accepted(request) { origin in
                key(of: origin, known)
            } latest: { origin in
                known[ExactText(origin)]?.head
            }
            guard let name = LogName(checkpoint.origin), let note = Self.note(checkpoint, of: request.note, by: name)
            else { return Self.refused(.notSigned) }
            guard !renounced.contains(name.author) else {
                let text = "Its author told two histories of it, which is proved: it is cosigned no more.\n"
                return WitnessAnswer(403, Array(text.utf8))
            }
            guard !Self.isLeftBehind(name, known) else {
                let text = "Its author began the log again under a later name: this one is cosigned no more.\n"
                return WitnessAnswer(403, Array(text.utf8))
            }
            let (origin, now) = (ExactText(checkpoint.origin), clock())
            if let last = known[origin], isAhead(last, of: origin, at: now) { return Self.clockWrong }
            // A cosignature says that no larger head was known then, so a clock that was set back is not followed.
            let seconds = max(now, known[origin]?.seconds ?? 1)
            if let last = durable[origin], last.head == checkpoint.head,
                seconds - last.seconds < limits.sameCosignatureSeconds
            {
                return WitnessAnswer(200, Array(try line(on: last.note.text, at: last.seconds, by: signer).utf8))
            }
            guard mayTake(of: name.author, at: now) else {
                let most = limits.headsPerAuthorPerMinuteMax
                let text = "This witness cosigns \(most) heads a minute of one author; try again in a minute.\n"
                return WitnessAnswer(429, Array(text.utf8))
            }
            let taken = Latest(head: checkpoint.head, note: note, seconds: seconds)
            latest?[origin] = taken
            try await commit(WitnessedRow(origin: Array(checkpoint.origin.utf8), note: note.bytes, seconds: seconds))
            keep(taken, of: origin)
            return WitnessAnswer(200, Array(try line(on: checkpoint.text, at: seconds, by: signer).utf8))
        } catch let refusal as WitnessRule.Refusal {
            await compare(request)
            return Self.refused(refusal)
        } catch {
            return Self.notKept
        }
    }

    /// What is refused may contradict what was cosigned, and both are signed by the author: that is worth more than the
    /// refusal.
    private func compare(_ request: LogGrowth) async {
        guard let checkpoint = Checkpoint(text: request.note.text), let last = latest?[ExactText(checkpoint.origin)],
            let name = LogName(checkpoint.origin)
        else { return }
        let alone = FollowedLog.signedAlone(request.note, name)
        let growth = LogGrowth(oldSize: request.oldSize, hashes: request.hashes, note: alone)
        if let fork = LogFork(last.note.bytes, growth.bytes) ?? LogFork(last.note.bytes, alone.bytes) {
            await onFork(fork)
        }
    }

    /// The newest checkpoint of the log whose name has a hash, with this node's cosignature.
    func checkpoint(ofOriginHash hash: String) async -> WitnessAnswer {
        do {
            let signer = try await readSigner()
            try await load()
            let found = durable.first { origin, _ in
                Multibase.encodeWithoutPrefix(Array(SHA256.hash(data: Array(origin.text.utf8))), .base16) == hash
            }
            guard let (origin, last) = found else { return Self.refused(.unknownLog) }
            if isAhead(last, of: origin, at: clock()) { return Self.clockWrong }
            let signature = try line(on: last.note.text, at: last.seconds, by: signer)
            return WitnessAnswer(200, last.note.bytes + Array(signature.utf8))
        } catch {
            return WitnessAnswer(500, Array("The witness could not read its checkpoints.\n".utf8))
        }
    }

    /// The key of a log of the mesh whose author is among those that are witnessed, of the scope in which nodes anchor:
    /// in each scope an author could have another history.
    private func key(of origin: String, _ known: [ExactText: Latest]) -> PublicKey? {
        guard let name = LogName(origin), ExactText(name.scope) == ExactText(AnchorEntry.globalScope),
            authors.contains(name.author)
        else { return nil }
        let author = name.author
        if known[ExactText(origin)] != nil { return author.publicKey }
        let count = known.keys.count { LogName($0.text)?.author == author }
        return count < limits.logsPerAuthorMax ? author.publicKey : nil
    }

    /// Whether a log of the same author that began later was taken.
    private static func isLeftBehind(_ name: LogName, _ known: [ExactText: Latest]) -> Bool {
        known.keys.contains { origin in
            guard let other = LogName(origin.text), other.isOfOneLog(with: name), let began = other.openedAt else {
                return false
            }
            return name.openedAt.map { $0 < began } ?? true
        }
    }

    /// Whether a time was said that is so far ahead of the clock that no reader would take it; warns of it once.
    private func isAhead(_ last: Latest, of origin: ExactText, at now: UInt64) -> Bool {
        let (limit, isBeyond) = now.addingReportingOverflow(limits.clockBackSecondsMax)
        guard !isBeyond, last.seconds > limit else { return false }
        if warned.insert(origin).inserted {
            warn(
                "The clock says \(now), in seconds since 1970, and this witness cosigned the log \(origin.text) at "
                    + "\(last.seconds): one of the two is wrong, so it cosigns none of its heads until then. Set the "
                    + "clock right; docs/anchoring.md says what to do where it was wrong then.")
        }
        return true
    }

    /// Remembers what is on the disk; of two the later one, whichever is told first.
    private func keep(_ taken: Latest, of origin: ExactText) {
        if let last = durable[origin], (last.head.size, last.seconds) > (taken.head.size, taken.seconds) { return }
        durable[origin] = taken
    }

    /// Counts one more head of an author, if there may be one in this minute.
    private func mayTake(of author: DID, at now: UInt64) -> Bool {
        let minute = now / 60
        let heads = taken[author].map { $0.minute == minute ? $0.heads : 0 } ?? 0
        guard heads < limits.headsPerAuthorPerMinuteMax else { return false }
        taken[author] = (minute, heads + 1)
        return true
    }

    /// A checkpoint with a signature of its log alone: of what others put below it nothing is kept.
    private static func note(_ checkpoint: Checkpoint, of note: SignedNote, by name: LogName) -> SignedNote? {
        guard let key = NoteKey(name: checkpoint.origin, kind: .note, publicKey: name.author.publicKey),
            let signature = note.signatures.first(where: { $0.isOf(key) })
        else { return nil }
        return SignedNote(text: checkpoint.text, signatures: [signature])
    }

    private func line(on text: String, at seconds: UInt64, by signer: Identity) throws -> String {
        let signature = try Cosignature.sign(text, at: seconds, with: signer)
        return SignedNote.Signature(by: key(of: signer), signature.bytes).line
    }

    /// What the node cosigns with: read from the disk, or made and written there before anything is signed. All who ask
    /// meanwhile wait for the same.
    private func readSigner() async throws(MeshStoreError) -> Identity {
        if let signer { return signer }
        if waiters != nil {
            return try await withCheckedContinuation { waiters?.append($0) }.get()
        }
        waiters = []
        let result = await Self.signer(in: store)
        if case .success(let kept) = result { signer = kept }
        let waiting = waiters ?? []
        waiters = nil
        for waiter in waiting { waiter.resume(returning: result) }
        return try result.get()
    }

    private static func signer(in store: MeshStore) async -> Result<Identity, MeshStoreError> {
        do throws(MeshStoreError) {
            if let seed = try await store.setting(StoreCopy.witnessSeedKey) {
                guard let read = try? Identity(seed: seed) else {
                    throw MeshStoreError.recordCorrupt(table: "settings", row: 0)
                }
                return .success(read)
            }
            let made = Identity.generate()
            try await store.commit([.setting(key: StoreCopy.witnessSeedKey, value: made.seed)])
            return .success(made)
        } catch {
            return .failure(error)
        }
    }

    private static var notKept: WitnessAnswer {
        WitnessAnswer(500, Array("The witness could not keep the checkpoint.\n".utf8))
    }

    private static var clockWrong: WitnessAnswer {
        let text = "The witness's clock is behind what it said before; until then it cosigns nothing of this log.\n"
        return WitnessAnswer(503, Array(text.utf8))
    }

    private static func refused(_ refusal: WitnessRule.Refusal) -> WitnessAnswer {
        if case .otherSize(let size) = refusal {
            return WitnessAnswer(refusal.status, Array("\(size)\n".utf8), type: "text/x.tlog.size")
        }
        return WitnessAnswer(refusal.status, Array("The checkpoint is not cosigned: \(refusal).\n".utf8))
    }

    /// Reads from the disk what was cosigned before, behind all that was handed to it.
    private func load() async throws {
        while latest == nil {
            let before = failures
            try await store.persisted()
            var read: [ExactText: Latest] = [:]
            for row in try await WitnessedRow.all(in: store) {
                guard let note = SignedNote(bytes: row.note), let checkpoint = Checkpoint(text: note.text),
                    Array(checkpoint.origin.utf8) == row.origin
                else { throw MeshStoreError.recordCorrupt(table: "witnessed", row: 0) }
                read[ExactText(checkpoint.origin)] = Latest(head: checkpoint.head, note: note, seconds: row.seconds)
            }
            // Somebody else may have read it meanwhile, decided more, and had a write that failed.
            guard latest == nil, failures == before else { continue }
            latest = read
            for (origin, last) in read { keep(last, of: origin) }
        }
    }

    /// Returns when the checkpoint is on the disk; its place among the writes is that of this call. If it does not get
    /// there, nothing that was decided since it was last read counts.
    private func commit(_ row: WitnessedRow) async throws(MeshStoreError) {
        let event = CrashPoint.Event(role: "witness", name: "checkpoint_taken", kind: "log", state: "stored")
        let result = await withCheckedContinuation { continuation in
            store.enqueue([.witnessed(row)], of: [event], urgency: .now) { continuation.resume(returning: $0) }
        }
        if case .failure = result {
            failures += 1
            latest = nil
        }
        try result.get()
    }
}
