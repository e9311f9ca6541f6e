import Credit
import IPLD
import Multiformats

/// What the nodes of an issuer scenario tell each other, as DAG-CBOR.
enum IssuerMessage: Hashable, Sendable, Codable {
    /// Somebody hands an event to an issuer, and again until there is an answer.
    case ask(number: UInt64, event: BookEvent)
    /// The issuer took it, or refuses it for good; with the certificate of a hold, or of the one that it got below.
    case answer(number: UInt64, refusal: String?, certificate: [UInt8]?)
    /// An originator has a job run, for a certificate.
    case work(assignment: [UInt8], certificate: [UInt8])
    /// An executor gives its result to the originator, or leaves it with the arbiter.
    case result(receipt: [UInt8], bid: CID)
    /// Who was given a result says so.
    case delivered(statement: [UInt8])
    /// An issuer has a claim to a hold of an originator.
    case notice(claim: [UInt8])
    /// An originator asks the arbiter what a claim is worth.
    case disputed(claim: [UInt8])
    /// The arbiter says it.
    case decided(decision: [UInt8])
    /// Something is left with a witness for an issuer.
    case lodge(object: [UInt8], issuer: Int)
    /// The witness says so.
    case lodged(object: CID, issuer: Int, statement: [UInt8])
    /// An issuer asks a witness what it has since a date.
    case reportWanted(from: UInt64)
    /// The witness's report, with the objects and when it was given them.
    case report(report: [UInt8], objects: [[UInt8]], statements: [[UInt8]])
    /// An issuer asks another how a hold there ended.
    case outcomeWanted(hold: CID)
    /// It is over, and nothing was paid.
    case unpaid(hold: CID)
    /// The head of an issuer's log, from it or from who heard of it.
    case head(note: [UInt8], issuer: Int)

    static let protocolID = "/sim/issuers"

    /// The message of bytes.
    init?(_ bytes: [UInt8]) {
        guard let message = try? DAGCBORDecoder().decode(IssuerMessage.self, from: bytes) else { return nil }
        self = message
    }

    /// The bytes.
    var bytes: [UInt8] {
        guard let bytes = try? DAGCBOREncoder().encode(self) else {
            preconditionFailure("a message of blocks can be written")
        }
        return bytes
    }
}
