package import MeshTypes
package import Multiformats
package import SignedObjects

/// A debtor's order to its issuer to pay somebody: now, or once a hold's terms are met. The CID of its body names it,
/// since a body may have many signatures.
package struct PaymentOrder: Hashable, CreditObject {
    /// Whose book it is for.
    package var issuerDID: DID
    /// The CID of the body of that book's charter.
    package var charterCID: CID
    /// Who pays: by its own line, or that of the first giver of a token.
    package var debtorDID: DID
    /// Who is paid: a member of the same issuer, or the issuer of the executor.
    package var creditorDID: DID
    /// What is paid, or held, at most, in the unit of the creditor's line.
    package var amount: TokenAmount
    /// That unit.
    package var unit: CreditUnit
    /// What it costs the debtor, where its line has another unit.
    package var rate: CreditRate?
    /// What the payment waits for; absent if it is to be made now.
    package var hold: HoldTerms?
    /// The token by which the debtor has it held at another's cost: the CID of its body.
    package var tokenCID: CID?
    /// 16 random bytes, which make equal orders different.
    package var nonce: [UInt8]
    /// Until when the issuer may take it.
    package var validUntil: UnixMilliseconds

    package init(
        issuerDID: DID, charterCID: CID, debtorDID: DID, creditorDID: DID, amount: TokenAmount, unit: CreditUnit,
        rate: CreditRate? = nil, hold: HoldTerms? = nil, tokenCID: CID? = nil, nonce: [UInt8],
        validUntil: UnixMilliseconds
    ) {
        self.issuerDID = issuerDID
        self.charterCID = charterCID
        self.debtorDID = debtorDID
        self.creditorDID = creditorDID
        self.amount = amount
        self.unit = unit
        self.rate = rate
        self.hold = hold
        self.tokenCID = tokenCID
        self.nonce = nonce
        self.validUntil = validUntil
    }

    /// The type name that is signed.
    package static let typeName = "PaymentOrder"
    package static let bytesMax = 2_048
    /// The debtor signs.
    package var signerDID: DID { debtorDID }

    /// The debtor's line, which gives unless a token does.
    package var debtorLine: LineID { LineID(debtorDID, rate?.unit ?? unit) }
    /// The line that gets.
    package var creditorLine: LineID { LineID(creditorDID, unit) }
    /// What the debtor gives; `nil` if no line could hold it.
    package var debit: UInt64? { rate.map { $0.debit(for: amount.units) } ?? amount.units }

    /// The terms of the hold that the issuer orders at the executor's issuer for this one; `nil` if it holds nothing.
    package func downstreamTerms(marginMilliseconds margin: UInt64) -> HoldTerms? {
        guard let hold else { return nil }
        let budget = hold.disputeBudget.units
        let most = rate.map { $0.credit(for: budget) ?? .max } ?? budget
        return hold.downstream(marginMilliseconds: margin, disputeBudget: TokenAmount(min(most, amount.units)))
    }

    /// The order by which the issuer of this one has the same held at the issuer of the executor; `nil` if it holds
    /// nothing. It is the same whenever it is made, so that it is one hold.
    ///
    /// - Parameters:
    ///   - id: the CID of this order's body.
    ///   - charter: the charter of the executor's issuer.
    package func below(
        _ id: CID, marginMilliseconds margin: UInt64, under charter: SignedObject<IssuerCharter>
    ) -> PaymentOrder? {
        guard charter.did == creditorDID, let terms = downstreamTerms(marginMilliseconds: margin) else { return nil }
        return PaymentOrder(
            issuerDID: creditorDID, charterCID: charter.bodyCID, debtorDID: issuerDID, creditorDID: terms.executorDID,
            amount: amount, unit: unit, hold: terms, nonce: Array(id.bytes.suffix(16)), validUntil: validUntil)
    }

    package var fieldOutOfBounds: String? {
        if issuerDID == debtorDID { return "debtor_did" }
        if creditorDID == debtorDID || creditorDID == issuerDID { return "creditor_did" }
        if amount == .zero || amount > CreditLine.limitMax { return "amount" }
        if !unit.isPossible { return "unit" }
        if let rate, !rate.isPossible || rate.unit == unit || debit == nil { return "rate" }
        if nonce.count != 16 { return "nonce" }
        guard let hold else { return tokenCID == nil ? nil : "token_cid" }
        if let field = hold.fieldOutOfBounds { return field }
        // An issuer that pays or is paid for others is a party to the hold, and so is this one beside it.
        let isAcross = debtorDID != hold.originatorDID || creditorDID != hold.executorDID
        let parties = [debtorDID, creditorDID] + (isAcross ? [issuerDID] : [])
        return parties.contains(hold.arbiterDID) ? "arbiter_did" : nil
    }

    enum CodingKeys: String, CodingKey {
        case issuerDID = "issuer_did"
        case charterCID = "charter_cid"
        case debtorDID = "debtor_did"
        case creditorDID = "creditor_did"
        case amount
        case unit
        case rate
        case hold
        case tokenCID = "token_cid"
        case nonce
        case validUntil = "valid_until"
    }
}
