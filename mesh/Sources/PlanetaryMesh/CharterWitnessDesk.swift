import Credit
import LibP2P
import Logging
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import SignedObjects

/// This node as a witness of issuers' charters: it dates what others lodge with it while an issuer is away, and tells
/// the issuer all of it.
///
/// What it says is on the disk before. No two objects of an issuer have one date, and none is dated within a report
/// that was given. A date is chosen, and its write has its place, in one step; a report is made of what is on the disk
/// behind the write of its end. So nothing is ever dated that a report left out. A home that was restored from a backup
/// reports nothing of the time before that, since it may have dated more. Source: PROTOCOL.md, "Witnesses of a
/// charter".
actor CharterWitnessDesk {
    /// Every bound of it.
    struct Limits: Sendable {
        /// Objects that are kept.
        var objectsMax = 16_384
        /// Bytes of these.
        var bytesMax: UInt64 = 1 << 30
        /// Of these, those of one issuer.
        var objectsPerIssuerMax = 4_096
        /// Bytes of these.
        var bytesPerIssuerMax: UInt64 = 256 << 20
        /// The part of both that one signer may have: one in so many.
        var signerShare: UInt64 = 4
        /// Objects of one signer about one hold: there is one of a kind, and it may be signed anew.
        var objectsPerHoldOfSignerMax = 2
        /// Questions of a peer that are read in a second, and at once.
        var questionsPerSecondPerPeerMax = 16
        var questionsBurstPerPeerMax = 128
        /// Questions that are answered at once, and of those one peer's.
        var answeredAtOnceMax = 16
        var answeredAtOncePerPeerMax = 4
        /// Objects of a report.
        var objectsPerReportMax = WitnessReport.lodgedMax
        /// Bytes of these; one is there at least.
        var objectBytesPerReportMax = UInt64(WitnessReply.objectBytesMax)
        /// How long an object stays at least, in milliseconds, also once its issuer has caught up with it: 8 weeks.
        var keptMilliseconds: UInt64 = 56 * 86_400_000
        /// How far the clock may be behind what was said last, in milliseconds.
        var clockBackMillisecondsMax: UInt64 = 300_000
        /// How often it looks for what is old, in milliseconds.
        var lookMilliseconds: Int64 = 3_600_000

        /// The defaults.
        init() {}
    }

    /// What is known of one issuer.
    private struct Shelf {
        // BOUNDED: by `Limits.objectsPerIssuerMax`.
        var objects: [CID: WitnessedObjectRow] = [:]
        var bytes: UInt64 = 0
        /// The latest date that was given, to an object or as the end of a report.
        var last: UInt64 = 0
        /// Until when the issuer has caught up.
        var passed: UInt64 = 0
        /// Since when all is here that was given.
        var since: UInt64 = 0
    }

    private let identity: Identity
    private let store: MeshStore
    private let issuers: Set<DID>
    private let logger: Logger
    private let limits: Limits
    private let clock: @Sendable () -> UnixMilliseconds
    private let exchange: WitnessExchange
    /// Nil before it is read from the disk, and after a write that failed.
    // BOUNDED: by the issuers that the owner names.
    private var shelves: [DID: Shelf]?
    /// How many writes failed: what was read before one may be older than what was decided since.
    private var failures = 0
    /// Objects whose write is under way.
    // BOUNDED: by `Limits.answeredAtOnceMax`.
    private var unwritten: Set<CID> = []
    /// Questions that are answered at the moment, by peer.
    // BOUNDED: the same.
    private var answered: [PeerID: Int] = [:]
    private var rates: PeerRates
    private var onCount: @Sendable (String) -> Void = { _ in }

    init(
        identity: Identity, store: MeshStore, host: any StreamHost, issuers: Set<DID>, logger: Logger,
        limits: Limits = Limits(), clock: @escaping @Sendable () -> UnixMilliseconds = { NodeClock.wallClock }
    ) {
        (self.identity, self.store, self.issuers) = (identity, store, issuers)
        (self.logger, self.limits, self.clock) = (logger, limits, clock)
        exchange = WitnessExchange(host: host)
        rates = PeerRates(perSecond: limits.questionsPerSecondPerPeerMax, burst: limits.questionsBurstPerPeerMax)
    }

    /// Joins the protocol, if the owner named issuers.
    func begin(
        admitting admits: @escaping @Sendable (PeerID) async -> Bool,
        blame: @escaping @Sendable (PeerID, String) async -> Void,
        onCount: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws(NodeServiceError) {
        self.onCount = onCount
        guard !issuers.isEmpty else { return }
        try await stored { () throws(MeshStoreError) in try await load() }
        await exchange.serve { [weak self] peer in
            if await admits(peer) { await self?.takes(from: peer) ?? false } else { false }
        } blame: { peer, fault in
            await blame(peer, fault)
        } answer: { [weak self] peer, question in
            await self?.answer(question, from: peer) ?? .refused(reason: .full, text: "This node ends.")
        }
    }

    private func takes(from peer: PeerID) -> Bool { rates.take(peer, now: NodeClock.now) }

    /// Forgets what is old, until the task is cancelled.
    func run() async {
        guard !issuers.isEmpty else { return }
        repeat {
            await forgetOld()
        } while (try? await Task.sleep(for: .milliseconds(limits.lookMilliseconds))) != nil
    }

    // MARK: The disk

    /// Reads what was said before, behind all that was handed to the disk.
    private func load() async throws(MeshStoreError) {
        while shelves == nil {
            let before = failures
            try await store.persisted()
            let restored = try await store.setting(StoreCopy.witnessSinceKey).flatMap {
                UInt64(String(decoding: $0, as: UTF8.self))
            }
            var read: [DID: Shelf] = [:]
            for issuer in issuers.sorted() {
                var shelf = Shelf()
                for row in try await WitnessedObjectRow.all(of: issuer.text, in: store) {
                    shelf.objects[row.object] = row
                    (shelf.bytes, shelf.last) = (shelf.bytes + row.size, row.lodgedAt)
                }
                let said = try await WitnessedIssuerRow.of(issuer.text, in: store)
                (shelf.passed, shelf.since) = (said?.passed ?? 0, max(said?.since ?? 0, restored ?? 0))
                shelf.last = max(shelf.last, said?.until ?? 0, restored ?? 0)
                read[issuer] = shelf
            }
            // Somebody else may have read it meanwhile, decided more, and had a write that failed.
            guard shelves == nil, failures == before else { continue }
            shelves = read
        }
    }

    /// Returns whether a write is on the disk; its place in the order of writes is that of this call. If it does not
    /// get there, nothing that was decided since it was last read counts.
    private func commit(_ write: CharterWitnessWrite, _ name: String) async -> Bool {
        let event = CrashPoint.Event(role: "charter_witness", name: name, kind: "charter", state: "stored")
        let result = await withCheckedContinuation { continuation in
            store.enqueue([.charterWitness(write)], of: [event], urgency: .now) { continuation.resume(returning: $0) }
        }
        if case .success = result { return true }
        failures += 1
        shelves = nil
        return false
    }

    func forgetOld() async {
        guard (try? await load()) != nil else { return }
        for (issuer, shelf) in shelves ?? [:] {
            let old = clock().value - min(limits.keptMilliseconds, clock().value)
            // Those alone before which nothing stays, so that what is left is all from a date on.
            let date = min(old, shelf.passed)
            guard shelf.objects.values.contains(where: { $0.lodgedAt < date }), var changed = shelves?[issuer] else {
                continue
            }
            changed.since = max(changed.since, date)
            changed.objects = changed.objects.filter { $0.value.lodgedAt >= date }
            changed.bytes = changed.objects.values.reduce(0) { $0 + $1.size }
            shelves?[issuer] = changed
            guard await commit(.forgotten(issuer: issuer.text, before: date), "forgotten") else { return }
        }
    }

    // MARK: Answers

    private static let noDisk = WitnessReply.refused(reason: .full, text: "This node's disk takes nothing now.")
    private static let clockWrong = WitnessReply.refused(
        reason: .clock, text: "This node's clock is behind what it said before.")

    func answer(_ question: WitnessQuestion, from peer: PeerID) async -> WitnessReply {
        guard let did = (try? PublicKey(peerID: peer))?.did else {
            return .refused(reason: .invalid, text: "The key has no DID.")
        }
        let own = answered[peer] ?? 0
        guard own < limits.answeredAtOncePerPeerMax, answered.values.reduce(0, +) < limits.answeredAtOnceMax else {
            return .refused(reason: .full, text: "Too much is asked of this node at once.")
        }
        answered[peer] = own + 1
        defer {
            let left = (answered[peer] ?? 1) - 1
            answered[peer] = left > 0 ? left : nil
        }
        let answer =
            switch question {
            case .lodge(let certificate, let object): await lodge(certificate, object)
            case .report(let from): await report(from: from, to: did)
            }
        switch answer {
        case .lodged: onCount("witness_lodged")
        case .report: onCount("witness_reports")
        case .refused: onCount("witness_refused")
        }
        return answer
    }

    // MARK: What is lodged

    private func lodge(_ certificate: [UInt8], _ block: [UInt8]) async -> WitnessReply {
        let object: LodgeableObject
        do {
            object = try LodgeableObject(certificate: certificate, object: block)
        } catch {
            return .refused(reason: .invalid, text: "It is not taken: \(error).")
        }
        let issuer = object.certificate.issuerDID
        guard issuers.contains(issuer) else {
            return .refused(reason: .invalid, text: "This node is no witness for that issuer.")
        }
        guard (try? await load()) != nil, let shelf = shelves?[issuer] else { return Self.noDisk }
        if shelf.objects[object.cid] != nil {
            guard !unwritten.contains(object.cid),
                let known = try? await WitnessedObjectRow.content(of: object.cid, for: issuer.text, in: store)
            else { return .refused(reason: .full, text: "It is written at the moment; ask again.") }
            return .lodged(statement: known.statement)
        }
        let now = clock().value
        guard object.until.map({ now <= $0.value }) ?? true else {
            return .refused(reason: .late, text: "The time for such a claim is over.")
        }
        let date = max(now, shelf.last + 1)
        guard date - now <= limits.clockBackMillisecondsMax else { return Self.clockWrong }
        let row = WitnessedObjectRow(
            issuer: issuer.text, object: object.cid, lodgedAt: date, hold: object.certificate.holdCID,
            signer: object.signer.text, size: UInt64(block.count))
        if let text = reasonNoRoom(for: row, on: shelf) { return .refused(reason: .full, text: text) }
        let statement = LodgingStatement(
            witnessDID: identity.did, issuerDID: issuer, objectCID: object.cid, lodgedAt: UnixMilliseconds(date))
        guard let signed = try? SignedObject.sign(statement, with: identity) else {
            return .refused(reason: .full, text: "The statement could not be signed.")
        }
        // From reading the shelf to here, and to the place in the order of writes, nothing was waited for.
        shelves?[issuer]?.last = date
        shelves?[issuer]?.objects[object.cid] = row
        shelves?[issuer]?.bytes += row.size
        unwritten.insert(object.cid)
        defer { unwritten.remove(object.cid) }
        guard await commit(.lodged(row, statement: signed.bytes, bytes: block), "object_lodged") else {
            return Self.noDisk
        }
        return .lodged(statement: signed.bytes)
    }

    /// Why there is no room for an object; nil if there is.
    private func reasonNoRoom(for row: WitnessedObjectRow, on shelf: Shelf) -> String? {
        func isOver(_ count: Int, _ bytes: UInt64, _ countMax: Int, _ bytesMax: UInt64) -> Bool {
            count >= countMax || bytes + row.size > bytesMax
        }
        let all = (shelves ?? [:]).values
        if isOver(
            all.reduce(0) { $0 + $1.objects.count }, all.reduce(0) { $0 + $1.bytes }, limits.objectsMax, limits.bytesMax
        ) {
            return "This node keeps as much for issuers as it may."
        }
        if isOver(shelf.objects.count, shelf.bytes, limits.objectsPerIssuerMax, limits.bytesPerIssuerMax) {
            return "This node keeps as much for that issuer as it may."
        }
        let own = shelf.objects.values.filter { $0.signer == row.signer }
        if own.count(where: { $0.hold == row.hold }) >= limits.objectsPerHoldOfSignerMax {
            return "This node keeps as much of yours about that hold as it may."
        }
        let isShareOver = isOver(
            own.count, own.reduce(0) { $0 + $1.size }, limits.objectsPerIssuerMax / Int(limits.signerShare),
            limits.bytesPerIssuerMax / limits.signerShare)
        return isShareOver ? "This node keeps as much of yours for that issuer as it may." : nil
    }

    // MARK: Reports

    private func report(from: UnixMilliseconds, to issuer: DID) async -> WitnessReply {
        guard issuers.contains(issuer) else {
            return .refused(reason: .invalid, text: "This node is no witness for that issuer.")
        }
        guard (try? await load()) != nil, let shelf = shelves?[issuer] else { return Self.noDisk }
        if let refusal = refusal(of: from, shelf) { return refusal }
        let now = clock().value
        let until = max(now, shelf.last)
        guard until - now <= limits.clockBackMillisecondsMax, from.value <= until else { return Self.clockWrong }
        // From here on nothing is dated until then.
        shelves?[issuer]?.last = until
        shelves?[issuer]?.passed = max(shelf.passed, from.value)
        let said = WitnessedIssuerRow(issuer: issuer.text, until: until, passed: from.value)
        guard await commit(.said(said), "report_given") else { return Self.noDisk }
        guard
            let rows = try? await WitnessedObjectRow.all(
                of: issuer.text, from: from.value, until: until, limit: limits.objectsPerReportMax + 1, in: store)
        else { return Self.noDisk }
        let (named, end) = part(of: rows, until: until)
        var objects: [LodgedObject] = []
        for row in named {
            guard let found = try? await WitnessedObjectRow.content(of: row.object, for: issuer.text, in: store) else {
                return Self.noDisk
            }
            objects.append(LodgedObject(hold: row.hold, object: found.bytes, statement: found.statement))
        }
        // What was forgotten meanwhile would be left out.
        if let refusal = refusal(of: from, shelves?[issuer] ?? shelf) { return refusal }
        let body = WitnessReport(
            witnessDID: identity.did, issuerDID: issuer, from: from, until: UnixMilliseconds(end),
            lodged: named.map { WitnessReport.Lodged(objectCID: $0.object, lodgedAt: UnixMilliseconds($0.lodgedAt)) })
        guard let signed = try? SignedObject.sign(body, with: identity) else {
            return .refused(reason: .full, text: "The report could not be signed.")
        }
        return .report(report: signed.bytes, objects: objects)
    }

    private func refusal(of from: UnixMilliseconds, _ shelf: Shelf) -> WitnessReply? {
        guard from.value < shelf.since else { return nil }
        return .refused(
            reason: .unknown,
            text: "This witness was restored from a backup, or forgot what is old: it reports from \(shelf.since) on.")
    }

    /// The objects of one report, and until when it says all.
    private func part(of rows: [WitnessedObjectRow], until: UInt64) -> (named: [WitnessedObjectRow], end: UInt64) {
        var (named, bytes) = ([WitnessedObjectRow](), UInt64(0))
        for row in rows {
            bytes += row.size
            guard named.isEmpty || bytes <= limits.objectBytesPerReportMax, named.count < limits.objectsPerReportMax
            else { return (named, row.lodgedAt - 1) }
            named.append(row)
        }
        return (named, until)
    }
}
