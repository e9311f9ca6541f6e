import Credit
import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects

/// What an officer proposes, read field by field: one that its action has not is refused.
struct ProposalFields {
    private let proposal: OfficerProposal
    private let unit: CreditUnit
    /// The fields that were not read.
    private var rest: OfficerProposal

    private init(_ proposal: OfficerProposal, _ unit: CreditUnit) {
        (self.proposal, self.unit, rest) = (proposal, unit, proposal)
        rest.note = nil
    }

    /// The action of a proposal about lines in a unit.
    static func action(
        _ proposal: OfficerProposal, unit: CreditUnit
    ) throws(NodeServiceError) -> OfficerOrder.Action {
        var fields = ProposalFields(proposal, unit)
        let action = try fields.action()
        guard fields.rest == OfficerProposal(issuer: proposal.issuer, action: proposal.action),
            proposal.note == nil || action.note != nil
        else {
            throw NodeServiceError(
                .invalidRequest, "The action \(proposal.action.rawValue) has other fields than these.",
                hint: "GET /openapi.json and docs/issuers.md say which.")
        }
        return action
    }

    private mutating func action() throws(NodeServiceError) -> OfficerOrder.Action {
        let note = proposal.note ?? ""
        switch proposal.action {
        case .limit:
            let isIssuer = proposal.isIssuer ?? false
            rest.isIssuer = nil
            return .limit(
                line: try line(), owed: TokenAmount(try read(\.owed, "owed")),
                owing: TokenAmount(try read(\.owing, "owing")), issuer: isIssuer)
        case .freeze: return .freeze(line: try line(), frozen: true)
        case .unfreeze: return .freeze(line: try line(), frozen: false)
        case .reverse: return .reverse(entry: try read(\.entry, "entry"), reason: note)
        case .writeOff: return .writeOff(line: try line(), amount: try amount(), reason: note)
        case .deposit: return .deposit(line: try line(), amount: try amount(), reference: note)
        case .withdraw: return .withdraw(line: try line(), amount: try amount(), reference: note)
        case .appoint: return .auditor(did: try did(\.did, "did"), appointed: true)
        case .dismiss: return .auditor(did: try did(\.did, "did"), appointed: false)
        case .move: return .move(line: try line(), to: try did(\.to, "to"), reason: note)
        case .close:
            return .close(until: UnixMilliseconds(try read(\.until, "until")), balance: try balance())
        case .windDown:
            let successor = proposal.successor == nil ? nil : try did(\.successor, "successor")
            return .windDown(successor: successor, reason: note)
        case .end: return .end(reason: note)
        }
    }

    /// A field that the action needs.
    private mutating func read<Value>(
        _ path: WritableKeyPath<OfficerProposal, Value?>, _ field: String
    ) throws(NodeServiceError) -> Value {
        rest[keyPath: path] = nil
        guard let value = proposal[keyPath: path] else {
            throw NodeServiceError(.invalidRequest, "The action \(proposal.action.rawValue) needs \(field).")
        }
        return value
    }

    private mutating func did(
        _ path: WritableKeyPath<OfficerProposal, String?>, _ field: String
    ) throws(NodeServiceError) -> DID {
        try MemberDesk.did(try read(path, field), field == "did" ? "member" : field)
    }

    private mutating func line() throws(NodeServiceError) -> LineID { LineID(try did(\.did, "did"), unit) }

    private mutating func amount() throws(NodeServiceError) -> TokenAmount {
        TokenAmount(try read(\.amount, "amount"))
    }

    private mutating func balance() throws(NodeServiceError) -> CID {
        let text = try read(\.balance, "balance")
        do {
            return try CID(parsing: text)
        } catch {
            throw NodeServiceError(
                .invalidRequest, "The trial balance is not named by a CID.",
                hint: "mesh issuer balance --before DATE prints it.")
        }
    }
}
