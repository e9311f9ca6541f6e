import Credit
import IPLD
import LibP2P
import MeshTypes
import Multiformats

/// Questions to issuers, one question and one answer per stream of `/icn/mesh/credit/1.0.0` (PROTOCOL.md, "Questions to
/// an issuer").
struct CreditExchange: Sendable {
    /// How long an issuer may take to answer, including connecting, in milliseconds.
    static let answerMilliseconds: Int64 = 15_000
    /// How long a peer may take to send its question, in milliseconds.
    static let questionMilliseconds: Int64 = 5_000

    private let exchange: RequestResponse

    init(host: any StreamHost) {
        var limits = RequestResponse.Limits()
        limits.requestBytesMax = CreditQuestion.bytesMax
        limits.responseBytesMax = CreditAnswer.bytesMax
        limits.exchangeMilliseconds = Self.answerMilliseconds
        limits.arrivalMilliseconds = Self.questionMilliseconds
        exchange = RequestResponse(host: host, protocolID: MeshTopics.credit, limits: limits)
    }

    /// Why there is no answer.
    enum Failure: Error {
        /// The issuer could not be asked, or gave none: a clause. The question may have reached it.
        case none(String)
        /// The question is longer than it may be.
        case tooLong
        /// What it gave does not read.
        case malformed
    }

    /// Asks an issuer.
    func ask(_ question: CreditQuestion, of peer: PeerID) async throws(Failure) -> CreditAnswer {
        guard let bytes = try? DAGCBOREncoder().encode(question), bytes.count <= CreditQuestion.bytesMax else {
            throw .tooLong
        }
        let answer: [UInt8]
        do {
            answer = try await exchange.request(bytes, to: peer)
        } catch {
            throw .none("\(error)")
        }
        guard let read = try? DAGCBORDecoder().decode(CreditAnswer.self, from: answer) else { throw .malformed }
        return read
    }

    /// Answers the questions of peers.
    ///
    /// - Parameters:
    ///   - admits: whether to read a peer's question at all.
    ///   - blame: receives a peer that sent something else than a question.
    ///   - answer: the answer.
    func serve(
        admitting admits: @escaping @Sendable (PeerID) async -> Bool,
        blame: @escaping @Sendable (PeerID, String) async -> Void,
        answer: @escaping @Sendable (PeerID, CreditQuestion) async -> CreditAnswer
    ) async {
        await exchange.serve(admitting: admits) { peer, fault in
            await blame(peer, "credit: \(fault)")
        } _: { peer, bytes in
            guard let question = try? DAGCBORDecoder().decode(CreditQuestion.self, from: bytes) else {
                await blame(peer, "credit: a question that does not read")
                return .refuse
            }
            guard let encoded = try? DAGCBOREncoder().encode(await answer(peer, question)),
                encoded.count <= CreditAnswer.bytesMax
            else { return .refuse }
            return .respond(encoded)
        }
    }
}
