import Credit
import IPLD
import LibP2P
import MeshTypes
import Multiformats

/// A question and its answer, as they go over streams of a protocol of their own.
protocol AskedQuestion: Codable, Sendable {
    /// What answers it.
    associatedtype Answer: Codable, Sendable
    /// The protocol.
    static var protocolID: String { get }
    /// What it is about, in one word, for those who hear of faults.
    static var topic: String { get }
    /// The most bytes of a question.
    static var bytesMax: Int { get }
    /// The most bytes of an answer.
    static var answerBytesMax: Int { get }
}

extension CreditQuestion: AskedQuestion {
    typealias Answer = CreditAnswer
    static var protocolID: String { MeshTopics.credit }
    static var topic: String { "credit" }
    static var answerBytesMax: Int { CreditAnswer.bytesMax }
}

extension ArbiterQuestion: AskedQuestion {
    typealias Answer = ArbiterAnswer
    static var protocolID: String { MeshTopics.arbiter }
    static var topic: String { "arbiter" }
    static var answerBytesMax: Int { ArbiterAnswer.bytesMax }
}

extension ReplicaQuestion: AskedQuestion {
    typealias Answer = ReplicaAnswer
    static var protocolID: String { MeshTopics.replica }
    static var topic: String { "replica" }
    static var answerBytesMax: Int { ReplicaAnswer.bytesMax }
}

extension WitnessQuestion: AskedQuestion {
    typealias Answer = WitnessReply
    static var protocolID: String { MeshTopics.witness }
    static var topic: String { "witness" }
    static var answerBytesMax: Int { WitnessReply.bytesMax }
}

/// Questions to issuers (PROTOCOL.md, "Questions to an issuer").
typealias CreditExchange = QuestionExchange<CreditQuestion>
/// Questions to arbiters (PROTOCOL.md, "Results left with an arbiter").
typealias ArbiterExchange = QuestionExchange<ArbiterQuestion>
/// Questions of issuers to their witnesses (PROTOCOL.md, "Replicas of a book").
typealias ReplicaExchange = QuestionExchange<ReplicaQuestion>
/// Questions to witnesses of charters (PROTOCOL.md, "Witnesses of a charter").
typealias WitnessExchange = QuestionExchange<WitnessQuestion>

/// How long questions and answers may take.
enum QuestionTimes {
    /// How long a peer may take to answer, including connecting, in milliseconds.
    static let answerMilliseconds: Int64 = 15_000
    /// How long a peer may take to send its question, in milliseconds.
    static let questionMilliseconds: Int64 = 5_000
}

/// Asks peers, and answers them: one question and one answer per stream.
struct QuestionExchange<Question: AskedQuestion>: Sendable {
    private let exchange: RequestResponse

    init(host: any StreamHost) {
        var limits = RequestResponse.Limits()
        limits.requestBytesMax = Question.bytesMax
        limits.responseBytesMax = Question.answerBytesMax
        limits.exchangeMilliseconds = QuestionTimes.answerMilliseconds
        limits.arrivalMilliseconds = QuestionTimes.questionMilliseconds
        exchange = RequestResponse(host: host, protocolID: Question.protocolID, limits: limits)
    }

    /// Why there is no answer.
    enum Failure: Error {
        /// The peer could not be asked, or gave none: a clause. The question may have reached it.
        case none(String)
        /// The question is longer than it may be.
        case tooLong
        /// What it gave does not read.
        case malformed
    }

    /// Asks a peer.
    func ask(_ question: Question, of peer: PeerID) async throws(Failure) -> Question.Answer {
        guard let bytes = try? DAGCBOREncoder().encode(question), bytes.count <= Question.bytesMax else {
            throw .tooLong
        }
        let answer: [UInt8]
        do {
            answer = try await exchange.request(bytes, to: peer)
        } catch {
            throw .none("\(error)")
        }
        guard let read = try? DAGCBORDecoder().decode(Question.Answer.self, from: answer) else { throw .malformed }
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
        answer: @escaping @Sendable (PeerID, Question) async -> Question.Answer
    ) async {
        await exchange.serve(admitting: admits) { peer, fault in
            await blame(peer, "\(Question.topic): \(fault)")
        } _: { peer, bytes in
            guard let question = try? DAGCBORDecoder().decode(Question.self, from: bytes) else {
                await blame(peer, "\(Question.topic): a question that does not read")
                return .refuse
            }
            guard let encoded = try? DAGCBOREncoder().encode(await answer(peer, question)),
                encoded.count <= Question.answerBytesMax
            else { return .refuse }
            return .respond(encoded)
        }
    }
}
