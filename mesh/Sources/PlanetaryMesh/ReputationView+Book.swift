import JobMarket
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import Reputation
import SignedObjects

extension ReputationView {
    /// What a market's evidence says at a date: of all whom it knows, or of one, with the reasons.
    init(_ market: JobMarket, of text: String?, at date: UnixMilliseconds) throws(NodeServiceError) {
        self.init(at: date.value, subjects: [])
        if let text {
            let peer = try PeerDesk.peer(named: text)
            guard let did = (try? PublicKey(peerID: peer))?.did else {
                throw NodeServiceError(
                    .invalidRequest, "\(peer) names no Ed25519 key, so no executor has it.",
                    hint: "mesh peers --full prints the DID of each peer.")
            }
            subjects = [Subject(did, market, at: date, isWhole: true)]
            if !market.payers.evidence(about: did).isEmpty {
                originators = [Subject(did, market.payers, at: date, isWhole: true)]
            }
        } else {
            subjects = market.reputation.subjects.map { Subject($0, market, at: date, isWhole: false) }
                .sorted { ($1.score, $0.did) < ($0.score, $1.did) }
            originators = market.payers.subjects.map { Subject($0, market.payers, at: date, isWhole: false) }
                .sorted { ($1.score, $0.did) < ($0.score, $1.did) }
        }
    }
}

extension ReputationView.Subject {
    /// What is known of an executor.
    fileprivate init(_ did: DID, _ market: JobMarket, at date: UnixMilliseconds, isWhole: Bool) {
        self.init(did, market.reputation, at: date, isWhole: isWhole)
        (rightResults, rightWorth) = market.records.record(of: did)
        checkedPermille = market.records.permille(
            of: did, stake: rightWorth / max(1, rightResults), rates: market.configuration.originator.trackRates)
    }

    /// What a book says of somebody.
    fileprivate init(_ did: DID, _ book: ReputationBook, at date: UnixMilliseconds, isWhole: Bool) {
        let account = book.account(of: did, at: date)
        var receipts: [String: UInt64] = [:]
        for item in account.items where !item.isReset { receipts[item.evidence.verdict.rawValue, default: 0] += 1 }
        self.init(
            did: did.text, score: account.score, isProven: book.isProven(did), receipts: receipts)
        (good, bad, prior) = (account.good, account.bad, account.prior)
        (confidence, goodElsewhere) = (account.confidence, account.elsewhere.total)
        guard isWhole else { return }
        elsewhere = account.elsewhere.parts.map(ReputationView.Payer.init)
        reasons = account.items.map { item in
            ReputationView.Reason(
                receiptCID: item.evidence.receiptCID.text, assignmentCID: item.evidence.assignmentCID.text,
                verdict: item.evidence.verdict.rawValue, at: item.evidence.at.value, weight: item.weight,
                isReset: item.isReset)
        }
    }
}

extension ReputationView.Payer {
    /// One payer's part of what others' records show.
    init(_ part: PaidRecords.Weight.Part) {
        self.init(
            did: part.payer.text, weight: part.weight, keptPermille: part.keptPermille,
            receipts: part.items.compactMap { item in
                item.pay.map { pay in
                    Receipt(
                        receiptCID: item.receiptCID.text, issuer: pay.issuerDID.text, amount: pay.amount,
                        unit: pay.unit.name, decimals: pay.unit.decimals, proofCID: pay.proofCID.text,
                        at: item.at.value)
                }
            })
    }
}
