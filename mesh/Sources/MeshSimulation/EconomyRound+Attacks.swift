import Credit
import MerkleLog
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects

/// What strategies do beside their jobs.
extension EconomyRound {
    /// What happens before the jobs of a round.
    mutating func begin(_ round: Int) throws {
        for index in nodes.indices {
            switch nodes[index].strategy {
            case .whitewasher: try whitewash(index)
            case .holdGriefer: try grief(index, round)
            case .sybilRaters, .ring, .selfDealer: try vouch(index, round)
            case .insider where round == 0: try embezzle(index)
            default: break
            }
        }
        if round > jobs / 2 + 1, !isProved { try prove() }
    }

    private func lineOf(_ identity: Identity) -> LineID { LineID(identity.did, EconomyTerms.unit) }

    /// Buys a further identity: officers give it a newcomer's line.
    private mutating func admit(_ identity: Identity, for index: Int) throws {
        let issuer = nodes[index].issuer
        let line = lineOf(identity)
        let event = try town.order(
            .limit(
                line: line, owed: TokenAmount(EconomyTerms.newcomerOwedMax), owing: TokenAmount(EconomyTerms.lineMax),
                issuer: false), in: books[issuer], at: issuer)
        if let refusal = say(event, at: issuer, lines: [line]) { books.violated("no line for a newcomer: \(refusal)") }
        nodes[index].gained -= EconomyTerms.identityPrice
    }

    private mutating func whitewash(_ index: Int) throws {
        let node = nodes[index]
        guard node.isCaught, node.past.count < town.socks[index].count else { return }
        let next = town.socks[index][node.past.count]
        try admit(next, for: index)
        nodes[index].become(next)
    }

    /// Orders holds for jobs that never come.
    private mutating func grief(_ index: Int, _ round: Int) throws {
        let neighbours = nodes[index].neighbours
        for place in 0..<EconomyTerms.griefsPerRound {
            let executor = neighbours[place % neighbours.count]
            let name = "grief \(seed) \(round) \(index) \(place)"
            let cid = CID.hashing(Array(name.utf8), codec: .dagCBOR)
            let assignment = Assignment(
                jobID: JobID(cid), originatorDID: nodes[index].did, bidCID: cid, executorDID: nodes[executor].did,
                attempt: 1, leaseMilliseconds: 10_000, terms: nodes[executor].terms(lowest: nil, now: now),
                assignedAt: now, acceptBy: now.advanced(milliseconds: 30_000))
            _ = try hold(assignment, from: index, to: executor, round)
        }
    }

    /// The neighbours of whoever it is are shown receipts by which somebody else paid it, as if each had been booked,
    /// and what was paid had come back unseen.
    private mutating func vouch(_ index: Int, _ round: Int) throws {
        let subject = nodes[index].did
        var payers: [(payer: DID, count: Int)] = []
        switch nodes[index].strategy {
        case .ring:
            let fellows = nodes.indices.filter { nodes[$0].strategy == .ring && $0 != index }
            payers = fellows.prefix(6).map { (nodes[$0].did, 2) }
        case .sybilRaters: payers = town.socks[index].map { ($0.did, 2) }
        default: payers = town.socks[index].map { ($0.did, 8) } + [(subject, 1)]
        }
        if round == 0, nodes[index].strategy != .ring {
            for sock in town.socks[index] { try admit(sock, for: index) }
        }
        var all: [ReputationEvidence] = []
        for (payer, count) in payers {
            for place in 0..<count {
                let name = "vouch \(seed) \(round) \(index) \(payer) \(place)"
                let cid = CID.hashing(Array(name.utf8), codec: .dagCBOR)
                let receipt = ExecutionReceipt(
                    jobID: JobID(cid), assignmentCID: cid, originatorDID: payer, executorDID: subject, attempt: 1,
                    moduleCID: cid, inputCIDs: [:], outcome: .exited(code: 0), resourceUsage: ResourceUsage(fuel: 1),
                    price: TokenAmount(1),
                    engine: EngineDescription(name: "sim", version: "1", configurationDigest: "00"),
                    determinism: .deterministic, executionStartedAt: now, executionEndedAt: now)
                var evidence = ReputationEvidence(receipt: receipt, receiptCID: cid, isChecked: false, takenAt: now)
                if payer == subject, evidence != nil { books.violated("somebody's own receipt is evidence") }
                evidence?.pay = ProvedPay(
                    issuerDID: town.issuerDIDs[nodes[index].issuer], amount: EconomyTerms.vouchedAmount,
                    unit: EconomyTerms.unit, proofCID: cid)
                if let evidence { all.append(evidence) }
            }
        }
        for listener in audiences[index] where hasHearsay { nodes[listener].judge(all, as: .elsewhere) }
        if nodes[index].strategy == .selfDealer, round == 0 { payItself(index) }
    }

    /// Nobody pays itself: such an order is none.
    private mutating func payItself(_ index: Int) {
        let (node, issuer) = (nodes[index], nodes[index].issuer)
        let order = PaymentOrder(
            issuerDID: town.issuerDIDs[issuer], charterCID: town.charters[issuer].bodyCID, debtorDID: node.did,
            creditorDID: node.did, amount: TokenAmount(1), unit: EconomyTerms.unit,
            nonce: [UInt8](repeating: 7, count: 16), validUntil: now.advanced(milliseconds: 60_000))
        guard let signed = try? SignedObject.sign(order, with: node.identity) else { return }
        refuse(.transferred(order: signed.bytes), at: issuer, lines: [order.debtorLine], "a payment to oneself")
    }

    /// What a slanderer tells about a right result: nothing bad is evidence without a proof.
    mutating func slander(_ receipt: SignedObject<ExecutionReceipt>, by index: Int) {
        guard hasHearsay else { return }
        let lie = ReputationEvidence(
            subject: receipt.body.executorDID, payer: nodes[index].did, assignmentCID: receipt.body.assignmentCID,
            receiptCID: receipt.cid, verdict: .abandoned, at: now)
        for listener in nodes[index].neighbours {
            let before = nodes[listener].executors
            nodes[listener].judge([lie], as: .elsewhere)
            if nodes[listener].executors != before { books.violated("somebody's bad word is evidence") }
        }
    }

    /// An officer alone changes nothing; its sock is admitted like any newcomer, and gives it all its credit.
    private mutating func embezzle(_ index: Int) throws {
        let (node, issuer, sock) = (nodes[index], nodes[index].issuer, town.socks[index][0])
        let alone = try town.order(
            .limit(
                line: lineOf(sock), owed: TokenAmount(1_000_000), owing: TokenAmount(1_000_000), issuer: false),
            in: books[issuer], at: issuer, by: [node.identity])
        refuse(alone, at: issuer, lines: [lineOf(sock)], "an order of one officer")
        try admit(sock, for: index)
        let order = try SignedObject.sign(
            PaymentOrder(
                issuerDID: town.issuerDIDs[issuer], charterCID: town.charters[issuer].bodyCID, debtorDID: sock.did,
                creditorDID: node.did, amount: TokenAmount(EconomyTerms.newcomerOwedMax), unit: EconomyTerms.unit,
                nonce: Array(CID.hashing(Array("sock \(index)".utf8), codec: .raw).bytes.suffix(16)),
                validUntil: now.advanced(milliseconds: 60_000)), with: sock)
        let lines = [order.body.debtorLine, order.body.creditorLine]
        say(.transferred(order: order.bytes), at: issuer, lines: lines)
        let again = try SignedObject.sign(
            PaymentOrder(
                issuerDID: order.body.issuerDID, charterCID: order.body.charterCID, debtorDID: sock.did,
                creditorDID: node.did, amount: TokenAmount(1), unit: EconomyTerms.unit,
                nonce: [UInt8](repeating: 9, count: 16), validUntil: order.body.validUntil), with: sock)
        refuse(.transferred(order: again.bytes), at: issuer, lines: lines, "more than a line has")
    }

    /// The same attempt for a second hold, and a hold at an issuer where it has no line.
    mutating func spendAgain(_ assignment: Assignment, from index: Int, to executor: Int) throws {
        let own = nodes[index].issuer
        var again = assignment
        again.bidCID = CID.hashing(assignment.bidCID.bytes, codec: .dagCBOR)
        let second = try order(again, from: index, to: executor, at: own)
        refuse(
            .holdGranted(order: second.bytes), at: own, hold: second.bodyCID,
            lines: [second.body.debtorLine, second.body.creditorLine], "two holds of an attempt")
        let other = (own + 1) % EconomyTerms.honestIssuers
        let foreign = try order(again, from: index, to: executor, at: other)
        refuse(
            .holdGranted(order: foreign.bytes), at: other, hold: foreign.bodyCID,
            lines: [foreign.body.debtorLine, foreign.body.creditorLine], "a hold out of a line that there is not")
    }

    /// Two heads of one size prove the rogue issuer's lie, and officers of the others freeze its lines.
    private mutating func prove() throws {
        let issuer = town.issuers[EconomyTown.rogue]
        let notes = try ["one", "two"].compactMap { history in
            try Checkpoint(
                origin: Issuer.logName(of: issuer.did),
                head: TreeHead(size: books[EconomyTown.rogue].count, root: .leaf(Array(history.utf8)))
            )?.signed(with: issuer)
        }
        guard notes.count == 2, IssuerFault.twoHistories(notes[0], notes[1]).holds(against: issuer.publicKey) else {
            return books.violated("two histories are no proof")
        }
        isProved = true
        for other in 0..<EconomyTerms.honestIssuers {
            let line = town.line(ofIssuer: EconomyTown.rogue)
            let event = try town.order(.freeze(line: line, frozen: true), in: books[other], at: other)
            if let refusal = say(event, at: other, lines: [line]) { books.violated("no freeze: \(refusal)") }
        }
    }
}
