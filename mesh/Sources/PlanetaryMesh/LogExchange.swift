import IPLD
import LibP2P
import MeshTypes
import Multiformats
import Receipts

/// Ranges of logs between nodes, one question and one answer per stream of `/icn/mesh/log/1.0.0` (PROTOCOL.md, "Logs of
/// others").
struct LogExchange: Sendable {
    /// How long a peer may take to answer, including connecting, in milliseconds.
    static let answerMilliseconds: Int64 = 10_000
    /// How long a peer may take to send its question, in milliseconds.
    static let questionMilliseconds: Int64 = 5_000

    private let exchange: RequestResponse

    init(host: any StreamHost) {
        var limits = RequestResponse.Limits()
        limits.requestBytesMax = LogRangeRequest.bytesMax
        limits.responseBytesMax = LogRange.bytesMax
        limits.exchangeMilliseconds = Self.answerMilliseconds
        limits.arrivalMilliseconds = Self.questionMilliseconds
        exchange = RequestResponse(host: host, protocolID: MeshTopics.logs, limits: limits)
    }

    /// Why there is no range.
    enum Failure: Error {
        /// The peer gave none, or could not be asked.
        case none(String)
        /// What it gave does not read.
        case malformed
    }

    /// Asks a peer for a range.
    func range(_ request: LogRangeRequest, from peer: PeerID) async throws(Failure) -> LogRange {
        let answer: [UInt8]
        do {
            answer = try await exchange.request(try DAGCBOREncoder().encode(request), to: peer)
        } catch {
            throw .none((error as? RequestError).map { "\($0)" } ?? "the question cannot be written")
        }
        guard let range = try? DAGCBORDecoder().decode(LogRange.self, from: answer) else { throw .malformed }
        return range
    }

    /// Answers the questions of peers.
    ///
    /// - Parameters:
    ///   - admits: whether to read a peer's question at all.
    ///   - blame: receives a peer that sent something else than a question.
    ///   - answer: the range; nil if there is none for this peer now.
    func serve(
        admitting admits: @escaping @Sendable (PeerID) async -> Bool,
        blame: @escaping @Sendable (PeerID, String) async -> Void,
        answer: @escaping @Sendable (PeerID, LogRangeRequest) async -> LogRange?
    ) async {
        await exchange.serve(admitting: admits) { peer, fault in
            await blame(peer, "log: \(fault)")
        } _: { peer, bytes in
            guard let request = try? DAGCBORDecoder().decode(LogRangeRequest.self, from: bytes) else {
                await blame(peer, "log: a question that does not read")
                return .refuse
            }
            guard let range = await answer(peer, request), let encoded = try? DAGCBOREncoder().encode(range),
                encoded.count <= LogRange.bytesMax
            else { return .refuse }
            return .respond(encoded)
        }
    }
}
