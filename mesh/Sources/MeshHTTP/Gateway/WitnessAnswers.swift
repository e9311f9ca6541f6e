import Hummingbird
import NIOCore
import NodeAPI

/// Answers what logs and their readers ask of a witness. Source: c2sp.org/tlog-witness.
struct WitnessAnswers: Sendable {
    /// Where `add-checkpoint` is.
    static let submissionPath = "/witness/add-checkpoint"
    private static let prefix = "/witness/"
    private static let suffix = "/checkpoint"

    let witness: any LogWitness
    let bodyBytesMax: Int

    /// The answer to a request; nil if it is not for a witness. It takes its place among the answers once its body is
    /// here, so that a slow one keeps nobody else from theirs.
    func answer(_ request: Request, in tally: GatewayTally, of placesMax: Int) async -> Response? {
        guard let path = request.head.path, path.hasPrefix(Self.prefix) else { return nil }
        if path == Self.submissionPath {
            guard request.method == .post else { return Self.refusal(405, "A checkpoint is handed in with POST.") }
            guard request.headers[.transferEncoding] == nil, let told = request.headers[.contentLength],
                let length = Int(told)
            else { return Self.refusal(411, "A checkpoint with its proof comes with its length.") }
            guard length <= bodyBytesMax else {
                return Self.refusal(413, "A checkpoint with its proof has at most \(bodyBytesMax) bytes.")
            }
            guard let body = try? await request.body.collect(upTo: bodyBytesMax), body.readableBytes == length else {
                return Self.refusal(400, "The checkpoint with its proof did not come whole.")
            }
            guard let place = tally.place(of: placesMax) else { return Self.refusal(503, Self.isFull) }
            defer { withExtendedLifetime(place) {} }
            return Self.response(await witness.addCheckpoint(Array(body.readableBytesView)))
        }
        let hash = path.dropFirst(Self.prefix.count).dropLast(Self.suffix.count)
        guard path.hasSuffix(Self.suffix), hash.utf8.count == 64 else {
            return Self.refusal(404, "A witness has add-checkpoint, and HASH/checkpoint.")
        }
        guard request.method == .get else { return Self.refusal(405, "A checkpoint is read with GET.") }
        guard let place = tally.place(of: placesMax) else { return Self.refusal(503, Self.isFull) }
        defer { withExtendedLifetime(place) {} }
        return Self.response(await witness.witnessedCheckpoint(ofOriginHash: String(hash)))
    }

    private static let isFull = "Too much is being answered just now."

    private static func refusal(_ status: Int, _ sentence: String) -> Response {
        response(WitnessAnswer(status, Array((sentence + "\n").utf8)))
    }

    private static func response(_ answer: WitnessAnswer) -> Response {
        var headers: HTTPFields = [
            .contentType: answer.type, .cacheControl: "no-store", .xContentTypeOptions: "nosniff",
            .contentLength: String(answer.body.count),
        ]
        if answer.status == 405 { headers[.allow] = "GET, POST" }
        if answer.status == 503 { headers[.retryAfter] = "5" }
        return Response(
            status: .init(code: answer.status), headers: headers,
            body: .init(byteBuffer: ByteBuffer(bytes: answer.body)))
    }
}
