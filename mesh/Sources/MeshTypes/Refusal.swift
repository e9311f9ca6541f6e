package import SignedObjects

/// Why a message changed nothing: a code for programs, a text for people. On the wire it is `code` and `reason`.
///
/// Its code decides who is to blame and whether to ask again.
///
/// Where a bid was lost, it also names the winner: `winner_did` and `winner_price`.
package struct Refusal: Hashable, Sendable {
    /// What programs go by.
    package var code: RefusalCode
    /// One sentence without a full stop, for people.
    package var text: String
    /// Who has the job instead, where a bid was lost and its originator says so.
    package var lostTo: BidWinner?

    /// A refusal of this version.
    package init(_ name: RefusalName, _ text: String) {
        self.init(code: .known(name), text: text)
    }

    /// A refusal as it arrived.
    package init(code: RefusalCode, text: String) {
        self.code = code
        self.text = text
    }

    /// What it says about the sender of the message.
    package var blame: RefusalBlame { code.blame }
}

/// The bidder to whom a bid was lost.
package struct BidWinner: Hashable, Sendable, Codable {
    /// Who has the job.
    package var did: DID
    /// The most that it may charge.
    package var price: TokenAmount

    package init(did: DID, price: TokenAmount) {
        self.did = did
        self.price = price
    }

    /// The winner that two optional fields of a message name; nil if one is missing.
    init?(_ did: DID?, _ price: TokenAmount?) {
        guard let did, let price else { return nil }
        self.init(did: did, price: price)
    }
}

/// What a refusal says about the sender of the message.
package enum RefusalBlame: Hashable, Sendable {
    /// Nothing: the sender came late, lost a race, or met a limit.
    case none
    /// It asked about something unknown here: a fault only if it does so again and again.
    case unknownSubject
    /// It forged something, or broke the protocol.
    case sender
}

/// The code of a refusal: one that this version knows, or another that a peer sent.
package enum RefusalCode: Hashable, Sendable {
    /// One of this version.
    case known(RefusalName)
    /// One of another version, as it was sent.
    case unknown(String)

    /// The code of a text.
    package init(_ text: String) {
        self = RefusalName(rawValue: text).map { .known($0) } ?? .unknown(text)
    }

    /// The text on the wire and in the journal.
    package var text: String {
        switch self {
        case .known(let name): name.rawValue
        case .unknown(let text): text
        }
    }

    /// The code made safe for a terminal and a journal, whoever sent it.
    package var sanitized: RefusalCode {
        switch self {
        case .known: self
        case .unknown(let text):
            RefusalCode(PlainText.sanitized(text, bytesMax: MeshProtocolMessage.Limits().nameBytesMax))
        }
    }

    /// What it says about the sender of the message.
    package var blame: RefusalBlame {
        switch self {
        case .known(let name): name.blame
        case .unknown: .none
        }
    }
}

extension RefusalCode: CustomStringConvertible {
    /// The text of the code.
    package var description: String { text }
}

extension RefusalCode: Codable {
    /// Reads the text.
    package init(from decoder: any Decoder) throws {
        self.init(try decoder.singleValueContainer().decode(String.self))
    }

    /// Writes the text.
    package func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        try value.encode(text)
    }
}

/// All codes that this version sends, and those it uses itself about an answer.
package enum RefusalName: String, Hashable, Sendable, CaseIterable {
    // MARK: Messages
    /// The message is not of this version.
    case unknownVariant = "unknown_variant"
    /// An integer is larger than any in a message.
    case numberTooLarge = "number_too_large"
    /// The message is unreadable.
    case malformed
    /// The message may not be sent directly.
    case notDirect = "not_direct"
    /// The answer does not fit the message.
    case badReply = "bad_reply"

    // MARK: What is not known
    /// The job is unknown here, or closed.
    case jobUnknown = "job_unknown"
    /// No such bid was made here.
    case bidUnknown = "bid_unknown"
    /// No such assignment was made or accepted here.
    case assignmentUnknown = "assignment_unknown"
    /// No such receipt was signed here.
    case receiptUnknown = "receipt_unknown"

    // MARK: Forgery
    /// A signed object does not verify.
    case notVerified = "not_verified"
    /// A field that repeats the chain of evidence differs from it.
    case chainMismatch = "chain_mismatch"
    /// Status and outcome contradict each other.
    case statusMismatch = "status_mismatch"
    /// The price is not the amount due.
    case priceMismatch = "price_mismatch"
    /// The assignment is another executor's.
    case wrongExecutor = "wrong_executor"
    /// The subject is another peer's.
    case wrongPeer = "wrong_peer"

    // MARK: Bids
    /// The bid asks more than the job may cost.
    case priceTooHigh = "price_too_high"
    /// The bidder's reputation is below the policy's.
    case reputationTooLow = "reputation_too_low"
    /// The bidder is elsewhere, or does not say where.
    case regionNotAccepted = "region_not_accepted"
    /// The bidder lacks a feature.
    case featureMissing = "feature_missing"
    /// The bidder has too little of a resource.
    case resourceMissing = "resource_missing"
    /// The policy allows only others.
    case bidderNotAllowed = "bidder_not_allowed"
    /// The policy denies the bidder.
    case bidderDenied = "bidder_denied"
    /// The bidder had this job before and did not deliver.
    case bidderFailedBefore = "bidder_failed_before"
    /// The bidder promises the result too late.
    case deadlineTooLate = "deadline_too_late"
    /// The bid has expired.
    case bidExpired = "bid_expired"
    /// The terms contradict themselves.
    case termsInvalid = "terms_invalid"
    /// The bid wants to be paid in another way than the job is.
    case paymentNotAccepted = "payment_not_accepted"
    /// The bidding is over.
    case biddingClosed = "bidding_closed"
    /// The job's bids are committed first, and this one was not.
    case bidNotCommitted = "bid_not_committed"
    /// The bidder, or the job, has too many bids.
    case tooManyBids = "too_many_bids"
    /// Another bid was better.
    case otherBidTaken = "other_bid_taken"
    /// The job is not open for bids here.
    case jobNotOpen = "job_not_open"

    // MARK: Assignments
    /// The bid is not this node's.
    case notOwnBid = "not_own_bid"
    /// The terms are not those of the bid.
    case termsChanged = "terms_changed"
    /// The bid has expired.
    case expired
    /// No hold comes with the assignment of a job that is paid by credit.
    case holdMissing = "hold_missing"
    /// The hold that comes with the assignment is no pay for it.
    case holdNotAccepted = "hold_not_accepted"
    /// The executor is a member of no issuer by which the job is paid, or trusts none.
    case noIssuer = "no_issuer"
    /// The module is more than the executor compiles or holds.
    case moduleBeyondLimits = "module_beyond_limits"
    /// The module crashed the executor's engine lately.
    case moduleCrashed = "module_crashed"
    /// All slots and the queue are full.
    case atCapacity = "at_capacity"
    /// The executor takes no jobs now.
    case notAccepting = "not_accepting"
    /// The job breaks the rules.
    case jobRefused = "job_refused"
    /// Another attempt of the job was made here.
    case otherAttemptHere = "other_attempt_here"
    /// The assignment was given to another executor.
    case assignmentSuperseded = "assignment_superseded"
    /// The job has ended.
    case jobOver = "job_over"

    // MARK: Answers to an originator that asks why there is no bid
    /// The job asks for more than the executor offers.
    case limitTooLarge = "limit_too_large"
    /// The executor has no room for new work on its disk.
    case noRoom = "no_room"
    /// The executor could not get the manifest.
    case manifestUnavailable = "manifest_unavailable"
    /// The executor makes no offer now, for a reason that it keeps to itself.
    case noOffer = "no_offer"
    /// More questions than one peer may ask.
    case tooManyQuestions = "too_many_questions"

    // MARK: Receipts and settlements
    /// A direct notice must carry the receipt.
    case receiptMissing = "receipt_missing"
    /// Another receipt of the assignment came first.
    case secondReceipt = "second_receipt"
    /// The run used more fuel, memory or output than the job allows.
    case overLimit = "over_limit"
    /// The run ends before it begins.
    case datesOutOfOrder = "dates_out_of_order"
    /// A list is longer than it may be.
    case tooMany = "too_many"
    /// A CID does not have the form of the objects' CIDs.
    case cidNotAccepted = "cid_not_accepted"
    /// The node already recorded as many receipts after the result as it may.
    case tooManyLate = "too_many_late"
    /// The ledger does not accept the settlement.
    case notBookable = "not_bookable"

    /// What it says about the sender of the message.
    package var blame: RefusalBlame {
        switch self {
        case .malformed, .notDirect, .notVerified, .chainMismatch, .statusMismatch, .priceMismatch, .wrongExecutor:
            .sender
        case .bidUnknown, .assignmentUnknown, .receiptUnknown: .unknownSubject
        default: .none
        }
    }
}
