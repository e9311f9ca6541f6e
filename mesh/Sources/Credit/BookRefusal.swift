package import MeshTypes
package import Multiformats
package import SignedObjects

/// Why a book does not take an event.
package enum BookRefusal: Error, Hashable, Sendable {
    /// An object of issuers does not read.
    case malformed(CreditObjectError)
    /// A settlement, a receipt or an assignment does not read.
    case evidence(SignedObjectError)
    /// An object is for another issuer, or a book is opened twice.
    case otherBook
    /// There is no such line.
    case noLine
    /// The line may give no new orders.
    case frozen
    /// The debtor's line has less left than the amount.
    case insufficient(spendable: UInt64)
    /// The creditor's line has less room than the amount.
    case noRoom(room: UInt64)
    /// The order's time is over, or it is valid for longer than a day.
    case outOfDate
    /// The entry would be too large to be read again.
    case tooLarge(bytesMax: Int)
    /// The order's rate costs the debtor less than the officers' rate, which this is; none where there is none.
    case rateTooLow(least: CreditRate?)
    /// Who changes by the rate, and back by this one, has more than before.
    case rateGains(CreditRate)
    /// The charter does not name the arbiter.
    case unknownArbiter
    /// Both lines are those of other issuers.
    case twoHops
    /// The issuer could not order a hold of its own for this one: this field would be out of bounds.
    case noDownstream(field: String)
    /// One of the limits that bound how many there may be.
    case tooMany(IssuerBook.Quota)
    /// The order allows less than this for the hold.
    case feeTooLow(fee: UInt64)
    /// The terms offer less than this for a dispute.
    case budgetTooLow(budget: UInt64)
    /// The terms ask for more than this of who loses a dispute.
    case budgetTooHigh(most: UInt64)
    /// The order waits for terms where it must not, or has none where it must.
    case notThisKind
    /// The line gives or gets for somebody else, and is not that of an issuer; or it is, and the job is its own.
    case notItsOwn
    /// The attempt has a hold already.
    case attemptHeld
    /// The tokens do not pay for the hold.
    case token(TokenFault)
    /// The issuer has not caught up with its witnesses, and grants nothing until then.
    case notCaughtUp
    /// The book knows no such hold.
    case unknownHold
    /// The hold is over.
    case holdEnded
    /// The hold is not in a state for this: claimed already, not claimed, or not disputed.
    case notNow
    /// The object is signed by somebody else than it has to be.
    case wrongSigner
    /// Receipt, assignment or statement belong to something else.
    case notOfThisHold
    /// The receipt's price is not what its terms give.
    case wrongPrice
    /// Less is paid than is due, which is for a dispute, or more.
    case notDue(due: UInt64)
    /// Nothing is due for such a receipt.
    case nothingDue
    /// The result was not delivered in time.
    case notDelivered
    /// It comes too late.
    case late
    /// What time alone decides is not due yet, or not before the issuer has caught up.
    case notYet
    /// An order has the number of another one, a lower one, or one that is far above.
    case orderNumber(last: UInt64)
    /// Fewer officers approve than have to.
    case notApproved(given: UInt64)
    /// The owner of the line does not approve.
    case notCountersigned
    /// The line owes, or reserves, more than the new limits allow.
    case exposed
    /// The line owes less than is to be written off.
    case debtSmaller(debt: UInt64)
    /// The entry is no payment that could be undone, or was undone.
    case notReversible
    /// The account was moved to another key.
    case moved
    /// The key has a line there, so no account is moved to it.
    case hasLine
    /// The line is that of another issuer, which is known there by its key.
    case issuersLine
    /// The key has a part in a hold of the account that is moved to it.
    case partyToHold
    /// The time is closed already, or longer ago than the book remembers.
    case periodOver
    /// The accounts had other balances at that date.
    case otherBalance
    /// The book winds down: it holds nothing more, opens no line and raises no limit.
    case windsDown
    /// The book winds down first, and then ends.
    case windsDownFirst
    /// So many holds are not over, and the book does not end before.
    case holdsLeft(Int)
    /// Lines are not at zero, and the time for that is not over.
    case balancesLeft
    /// The book has ended.
    case ended
    /// The reports show nothing new.
    case nothingNew
    /// A report names an object that is neither in the book nor refused by it.
    case notTaken(CID)
    /// A member is shown an order twice.
    case bookedBefore
    /// A member is shown an entry that concerns nobody's line.
    case entryOfNobody
}

extension BookRefusal {
    /// Whether the same may be taken later, as other holds end, days pass and the issuer catches up.
    package var isPassing: Bool {
        switch self {
        case .insufficient, .noRoom, .tooMany, .notCaughtUp, .notYet, .token(.spent), .holdsLeft, .balancesLeft: true
        default: false
        }
    }
}

extension BookRefusal: CustomStringConvertible {
    /// One sentence without a full stop, with amounts in the smallest part of their unit.
    package var description: String { text { "\($0)" } }

    /// The same for people, with amounts in the unit of the book.
    package func text(in unit: CreditUnit) -> String { text { TokenAmount($0).counted(in: unit) } }

    private func text(_ amount: (UInt64) -> String) -> String {
        switch self {
        case .malformed(let error): "an object does not read: \(error)"
        case .evidence(let error): "the evidence does not read: \(error)"
        case .otherBook: "it is for another book"
        case .noLine: "there is no such credit line"
        case .frozen: "the credit line is frozen"
        case .insufficient(let spendable): "the debtor has \(amount(spendable)) left"
        // Whoever pays learns no more about another's line.
        case .noRoom: "the creditor's line has no room for so much"
        case .outOfDate: "the order's time is over, or longer than a day"
        case .tooMany(let quota): "there are as many as there may be: \(quota.rawValue)"
        case .feeTooLow(let fee): "the hold costs \(amount(fee)), which the order does not allow"
        case .tooLarge(let bytesMax): "its entry would have more than \(bytesMax) bytes"
        case .rateTooLow(let least?): "the debtor pays at least \(least.debit) for \(least.credit)"
        case .rateTooLow(nil): "there is no rate between these units"
        case .rateGains(let back): "with \(back.debit) for \(back.credit) the other way it would make money"
        case .unknownArbiter: "the charter names other arbiters"
        case .twoHops: "a hold goes from or to another issuer, not both"
        case .noDownstream(let field): "the terms leave no room for a hold at the executor's issuer: \(field)"
        case .budgetTooHigh(let most): "a dispute may cost \(amount(most)) at most"
        case .budgetTooLow(let budget): "a dispute has to have \(amount(budget))"
        case .notThisKind: "the order is of the other kind: now, or held"
        case .notItsOwn: "only the line of an issuer gives or gets for others, and for others alone"
        case .token(let fault): fault.text(amount)
        case .attemptHeld: "the attempt has a hold already"
        case .notCaughtUp: "the issuer has not caught up with its witnesses"
        case .unknownHold: "the book knows no such hold"
        case .holdEnded: "the hold is over"
        case .notNow: "the hold is not in a state for this"
        case .wrongSigner: "somebody else has to sign it"
        case .notOfThisHold: "it belongs to something else"
        case .wrongPrice: "the receipt's price is not what its terms give"
        case .notDue(let due): "\(amount(due)) is due, not this; less is for a dispute"
        case .nothingDue: "nothing is due for such a receipt"
        case .notDelivered: "the result was not delivered in time"
        case .late: "it comes too late"
        case .notYet: "it is not due yet"
        case .orderNumber(let last): "its number is not above \(last), or far above"
        case .notApproved(let given): "\(given) officers approve, which is too few"
        case .notCountersigned: "the owner of the line does not approve"
        case .exposed: "the line owes or reserves more than that"
        case .debtSmaller(let debt): "the line owes \(amount(debt)), and no more is written off"
        case .notReversible: "that entry is no payment that can be undone"
        case .moved: "the account was moved to another key"
        case .hasLine: "the key has a credit line already"
        case .issuersLine: "the credit line is another issuer's"
        case .partyToHold: "the key has a part in a hold of that account"
        case .periodOver: "that time is closed, or longer ago than the book remembers"
        case .otherBalance: "the accounts had other balances at that date"
        case .windsDown: "the book winds down, and takes on nothing new"
        case .windsDownFirst: "the book winds down before it ends"
        case .holdsLeft(let count): "\(count) holds are not over"
        case .balancesLeft: "lines are not at zero, and the time for that is not over"
        case .ended: "the book has ended"
        case .nothingNew: "the reports show nothing new"
        case .bookedBefore: "its order was booked before"
        case .entryOfNobody: "it is shown as this node's, and concerns nobody's line"
        case .notTaken(let object): "a witness has \(object), which the book has not taken"
        }
    }
}
