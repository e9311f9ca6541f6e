import Economics
import IPLD
import MeshTypes
import Multiformats
import SignedObjects

/// Rows written by hand: a node writes some fifty for a job, and the encoder's containers cost several times what the
/// bytes do. They are the bytes that `Codable` gives (`JournalRowTests`); rare kinds are written by it.
extension JournalRow {
    func encoded() throws -> [UInt8] {
        var writer = DAGCBORWriter(reserving: 1_280)
        writer.map(5)
        writer.text("at")
        writer.unsigned(at.value)
        writer.text("kind")
        try kind.write(to: &writer)
        writer.text("role")
        writer.text(role.rawValue)
        writer.text("job_id")
        writer.link(jobID.cid)
        writer.text("ledger")
        writer.list(ledger.count)
        for entry in ledger { try entry.write(to: &writer) }
        return writer.bytes
    }
}

extension JournalRowKind {
    fileprivate func write(to writer: inout DAGCBORWriter) throws {
        switch self {
        case .submitted(let manifest, let requester, let key, let until):
            writer.begin("submitted", 4)
            writer.block("manifest", manifest)
            writer.text("requester")
            writer.text(requester.text)
            writer.date("announceUntil", until)
            writer.text("idempotencyKey")
            writer.text(key)
        case .announced(let round, let window, let until):
            writer.begin("announced", 3)
            writer.text("round")
            writer.unsigned(round)
            writer.date("windowUntil", window)
            writer.date("biddingUntil", until)
        case .bidReceived(let bid, let refusal):
            writer.begin("bidReceived", refusal == nil ? 1 : 2)
            writer.block("bid", bid)
            if let refusal {
                writer.text("refusal")
                try writer.value(refusal)
            }
        case .biddingClosed(let cause, let ranking):
            writer.begin("biddingClosed", 2)
            writer.text("cause")
            writer.text(cause.rawValue)
            writer.text("ranking")
            writer.list(ranking.count)
            for bid in ranking { bid.write(to: &writer) }
        case .assignmentMade(let assignment, let until):
            writer.begin("assignmentMade", 2)
            writer.block("assignment", assignment)
            writer.date("confirmUntil", until)
        case .assignmentConfirmed(let assignment, let until):
            writer.begin("assignmentConfirmed", 2)
            writer.text("assignment")
            writer.link(assignment)
            writer.date("fetchUntil", until)
        case .receiptAccepted(let assignment, let receipt, let until):
            writer.begin("receiptAccepted", 3)
            writer.block("receipt", receipt)
            writer.text("assignment")
            writer.link(assignment)
            writer.date("outputsUntil", until)
        default: try writeEnding(to: &writer)
        }
    }

    private func writeEnding(to writer: inout DAGCBORWriter) throws {
        switch self {
        case .resultReached(let result, let outcome):
            writer.begin("resultReached", 2)
            writer.text("result")
            writer.text(result.rawValue)
            writer.text("outcome")
            guard case .exited(let code) = outcome else { return try writer.value(outcome) }
            writer.begin("exited", 1)
            writer.text("code")
            writer.integer(Int64(code))
        case .settled(let settlement, let until):
            writer.begin("settled", 2)
            writer.block("settlement", settlement)
            writer.date("notifyUntil", until)
        case .settlementDelivered(let receipt, let acknowledged):
            writer.begin("settlementDelivered", 2)
            writer.text("receipt")
            writer.link(receipt)
            writer.text("acknowledged")
            writer.bool(acknowledged)
        case .anchored(let entry, let until):
            writer.begin("anchored", 2)
            writer.block("entry", entry)
            writer.date("publishUntil", until)
        case .anchorPublished(let inTime):
            writer.begin("anchorPublished", 1)
            writer.text("inTime")
            writer.bool(inTime)
        case .closed: writer.begin("closed", 0)
        default: try writeExecution(to: &writer)
        }
    }

    private func writeExecution(to writer: inout DAGCBORWriter) throws {
        switch self {
        case .bidMade(let manifest, let bid):
            writer.begin("bidMade", 2)
            writer.block("bid", bid)
            writer.block("manifest", manifest)
        case .bidClosed(let reason):
            writer.begin("bidClosed", 1)
            writer.text("reason")
            try writer.value(reason)
        case .assignmentAccepted(let manifest, let bid, let assignment):
            writer.begin("assignmentAccepted", 3)
            writer.block("bid", bid)
            writer.block("manifest", manifest)
            writer.block("assignment", assignment)
        case .executionStarted(let until):
            writer.begin("executionStarted", 1)
            writer.date("giveUpAt", until)
        case .receiptSigned(let receipt, let until):
            writer.begin("receiptSigned", 2)
            writer.block("receipt", receipt)
            writer.date("deliverUntil", until)
        case .settlementReceived(let settlement):
            writer.begin("settlementReceived", 1)
            writer.block("settlement", settlement)
        default: try writer.value(self)
        }
    }
}

extension RankedBid {
    fileprivate func write(to writer: inout DAGCBORWriter) {
        writer.map(unprovenHeld == nil ? 5 : 6)
        writer.text("bid")
        writer.link(bid)
        writer.text("parts")
        writer.list(parts.count)
        for part in parts { writer.unsigned(part) }
        writer.text("price")
        writer.unsigned(price.units)
        writer.text("score")
        writer.unsigned(score)
        writer.text("bidder")
        writer.text(bidder.text)
        guard let unprovenHeld else { return }
        writer.text("unprovenHeld")
        writer.unsigned(unprovenHeld)
    }
}

extension LedgerEntry {
    fileprivate func write(to writer: inout DAGCBORWriter) throws {
        writer.map(6)
        writer.date("at", at)
        writer.text("to")
        try to.write(to: &writer)
        writer.text("from")
        try from.write(to: &writer)
        writer.text("kind")
        writer.text(kind.rawValue)
        writer.text("amount")
        writer.unsigned(amount.units)
        writer.text("subject")
        writer.text(subject)
    }
}

extension LedgerAccount {
    fileprivate func write(to writer: inout DAGCBORWriter) throws {
        switch self {
        case .wallet: writer.begin("wallet", 0)
        case .escrow(let job):
            writer.begin("escrow", 1)
            writer.text("job_id")
            writer.link(job.cid)
        case .paid(let did):
            writer.begin("paid", 1)
            writer.text("did")
            writer.text(did.text)
        case .income(let did):
            writer.begin("income", 1)
            writer.text("did")
            writer.text(did.text)
        case .issuance, .paidToOthers, .incomeFromOthers: try writer.value(self)
        }
    }
}

extension DAGCBORWriter {
    /// A case of an enumeration: a map of one entry, whose value has so many fields.
    fileprivate mutating func begin(_ name: String, _ fields: Int) {
        map(1)
        text(name)
        map(fields)
    }

    fileprivate mutating func block(_ key: String, _ bytes: [UInt8]) {
        text(key)
        byteString(bytes)
    }

    fileprivate mutating func date(_ key: String, _ date: UnixMilliseconds) {
        text(key)
        unsigned(date.value)
    }
}
