import Credit
import IPLD
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects

/// What this node knows of an issuer: its charter, the newest head that it showed, and what it told of the lines.
struct KnownIssuer: Sendable {
    let charter: SignedObject<IssuerCharter>
    var note: SignedNote
    var head: TreeHead
    var lines: [LineState] = []
    var toldAt = UnixMilliseconds.epoch
    /// Two heads of one size that it signed.
    var fault: [SignedNote] = []

    init(charter: SignedObject<IssuerCharter>, note: SignedNote, head: TreeHead) {
        (self.charter, self.note, self.head) = (charter, note, head)
    }

    /// What a row has; nil if that is damaged.
    init?(_ row: KnownIssuerRow) {
        guard let charter = try? SignedObject<IssuerCharter>(reading: row.charter, .stored),
            charter.did.text == row.issuer, let note = SignedNote(bytes: row.note),
            let head = Self.head(of: note, by: charter.did),
            let lines = try? DAGCBORDecoder().decode([LineState].self, from: row.lines)
        else { return nil }
        self.init(charter: charter, note: note, head: head)
        (self.lines, toldAt) = (lines, UnixMilliseconds(row.toldAt))
        let texts = row.fault.flatMap { try? DAGCBORDecoder().decode([[UInt8]].self, from: $0) } ?? []
        fault = texts.compactMap(SignedNote.init(bytes:))
    }

    /// The row of it.
    var row: KnownIssuerRow {
        let fault = fault.isEmpty ? nil : try? DAGCBOREncoder().encode(fault.map(\.bytes))
        return KnownIssuerRow(
            issuer: charter.did.text, charter: charter.bytes, note: note.bytes,
            lines: (try? DAGCBOREncoder().encode(lines)) ?? [], toldAt: toldAt.value, fault: fault)
    }

    /// Bytes of the text of a head, so that each can be told to others.
    static let headBytesMax = 1_024

    /// A note with the issuer's own signature and no others; nil if it has none.
    static func alone(_ note: SignedNote, by issuer: DID) -> SignedNote? {
        guard let key = NoteKey(name: Issuer.logName(of: issuer), kind: .note, publicKey: issuer.publicKey) else {
            return nil
        }
        let alone = SignedNote(text: note.text, signatures: Array(note.signatures.filter { $0.isOf(key) }.prefix(1)))
        return head(of: alone, by: issuer) == nil ? nil : alone
    }

    /// The head that a note has, if the issuer signed it for its log.
    static func head(of note: SignedNote, by issuer: DID) -> TreeHead? {
        guard note.text.utf8.count <= headBytesMax, let checkpoint = Checkpoint.verified(note, by: issuer.publicKey),
            checkpoint.origin == Issuer.logName(of: issuer), checkpoint.head.size > 0
        else { return nil }
        return checkpoint.head
    }

    /// It for its owner.
    var view: IssuerView {
        var view = IssuerView(charter.body)
        (view.entries, view.head) = (head.size, String(decoding: note.bytes, as: UTF8.self))
        (view.lines, view.toldAt) = (lines.map(CreditLineView.init), toldAt.value)
        if !fault.isEmpty {
            view.fault = fault.map { String(decoding: $0.bytes, as: UTF8.self) }.joined(separator: "\n")
        }
        return view
    }
}

/// An entry that is in an issuer's log.
struct ProvedEntry: Sendable {
    let entry: BookEntry
    /// What the log has of it.
    let commitment: [UInt8]

    /// An entry that was opened, if a head has it.
    init?(_ opened: OpenedEntry, under head: TreeHead) {
        guard let entry = opened.entry(under: head) else { return nil }
        (self.entry, commitment) = (entry, opened.opening.commitment)
    }
}

extension IssuerView {
    init(_ charter: IssuerCharter) {
        self.init(
            did: charter.issuerDID.text, unit: charter.unit.name, decimals: charter.unit.decimals,
            officers: charter.officers.map(\.text), approvals: charter.approvals,
            arbiters: charter.arbiters.map(\.text), witnesses: charter.witnesses.map(\.text),
            openedAt: charter.openedAt.value)
    }

    /// Shows what the officers ordered about the book itself.
    mutating func tell(_ standing: BookStanding) {
        (closedUntil, balanceCID) = (standing.closedUntil?.value, standing.balance?.text)
        (windsDownSince, successor) = (standing.windsDownSince?.value, standing.successor?.text)
        endedAt = standing.endedAt?.value
        caughtUpUntil = standing.caughtUpUntil?.value
    }
}

extension CreditLineView {
    init(_ state: LineState) {
        let unit = state.line.unit
        self.init(did: state.line.did.text, unit: unit.name, decimals: unit.decimals, balance: state.balance)
        (owedMax, owingMax) = (state.owedMax.units, state.owingMax.units)
        (spendable, leaving, coming) = (state.spendable, state.leaving, state.coming)
        (isFrozen, isIssuer) = (state.isFrozen, state.isIssuer)
    }
}

extension CreditTotalView {
    init(_ total: UnitTotal) {
        self.init(
            unit: total.unit.name, decimals: total.unit.decimals, lines: total.lines, owed: total.owed,
            owing: total.owing, owedMax: total.owedMax)
    }
}
