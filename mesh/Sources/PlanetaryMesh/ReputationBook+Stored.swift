import IPLD
import MeshStore
import MeshTypes
import Multiformats
import Receipts
import Reputation
import SignedObjects

extension ReputationBook {
    /// The book that the rows of a side make, in their order; a row that does not read says nothing.
    init(of side: ReputationSide, _ rows: [ConductRow]) {
        switch side {
        case .executor, .elsewhere: self.init(of: .executor)
        case .originator: self.init(of: side, limits: .ofOriginators)
        }
        for row in rows {
            guard let evidence = row.evidence else { continue }
            if row.side == side.rawValue { record(evidence) }
            // What others know of executors is kept beside what this node found.
            if side == .executor, row.side == ReputationSide.elsewhere.rawValue { _ = recordElsewhere(evidence) }
        }
    }
}

extension LogFork {
    /// Names the proof.
    var cid: CID { CID.hashing(bytes, codec: .raw) }
}

extension ReputationEvidence {
    /// That an author told two histories of its log, once for each author, whatever proofs there are.
    init(twoHistoriesOf author: DID, proof: CID, judge: DID, at date: UnixMilliseconds) {
        self.init(
            subject: author, payer: judge, assignmentCID: CID.hashing(Array(author.text.utf8), codec: .raw),
            receiptCID: proof, verdict: .equivocated, at: date)
    }
}

extension StoreWrite {
    /// What a change of the book is on the disk.
    static func conduct(_ change: ReputationChange) -> [StoreWrite] {
        (change.recorded.map { [.conduct(ConductRow($0, as: change.side))] } ?? [])
            + change.dropped.map {
                .forgetConduct(
                    side: change.side.rawValue, subject: $0.subject.text, assignment: $0.assignmentCID)
            }
    }
}

extension ConductRow {
    /// A piece of evidence, as stored.
    init(_ evidence: ReputationEvidence, as side: ReputationSide) {
        self.init(
            side: side.rawValue, subject: evidence.subject.text, payer: evidence.payer.text,
            assignment: evidence.assignmentCID, citation: evidence.receiptCID, verdict: evidence.verdict.rawValue,
            at: evidence.at.value, details: evidence.pay.flatMap { try? DAGCBOREncoder().encode($0) })
    }

    /// The evidence; nil if it does not read.
    var evidence: ReputationEvidence? {
        guard let subject = try? DID(parsing: subject), let payer = try? DID(parsing: payer),
            let verdict = ReputationVerdict(rawValue: verdict)
        else { return nil }
        return ReputationEvidence(
            subject: subject, payer: payer, assignmentCID: assignment, receiptCID: citation, verdict: verdict,
            at: UnixMilliseconds(at),
            pay: details.flatMap { try? DAGCBORDecoder().decode(ProvedPay.self, from: $0) })
    }
}
