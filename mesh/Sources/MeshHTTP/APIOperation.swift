import Hummingbird
import NIOCore

/// What an answer is made with: the connection that it goes to.
struct ConnectionContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }
}

/// One operation of the API: a method of a path, and who may use it.
struct APIOperation: Sendable {
    /// Who may use an operation over TCP.
    enum Access: Hashable, Sendable {
        /// Whoever reaches the node.
        case anyone
        /// Whoever has a token or a session.
        case read
        /// Whoever has a token or a session that may change things.
        case change
        /// Nobody: it is only on the socket, which none but the owner can open.
        case socketOnly
    }

    /// A parameter of a path or a query.
    struct Parameter: Sendable {
        /// What its text may be.
        enum Form: Sendable {
            case cid
            case flag
            case text
            case number(ClosedRange<Int64>)
            case oneOf([String])
            /// Some of these, with commas between them.
            case someOf([String])
        }

        let name: String
        let form: Form
        /// Whether the operation needs it in its query.
        let isRequired: Bool

        init(_ name: String, _ form: Form, isRequired: Bool = false) {
            self.name = name
            self.form = form
            self.isRequired = isRequired
        }
    }

    /// A body, as a type that reads it or a media type.
    enum Content: Sendable {
        case json(any (Decodable & Sendable).Type)
        /// One object per line.
        case lines(any (Decodable & Sendable).Type)
        case bytes(String)

        /// Whether nothing is something: a file may be empty.
        var mayBeEmpty: Bool { if case .bytes("application/octet-stream") = self { true } else { false } }
    }

    /// What a request may ask of an answer whose bytes do not change.
    enum Conditions: Sendable {
        case none
        /// To come only if the caller lacks it (`If-None-Match`).
        case tag
        /// That, and to be only a part (`Range`, `If-Range`).
        case tagAndRange
    }

    /// What the document says of an operation.
    struct About: Sendable {
        let summary: String
        let query: [Parameter]
        /// Headers that mean something to it.
        var headers: [Parameter] = []
        var conditions = Conditions.none
        let body: Content?
        let answer: Content?
        let status: Int
    }

    typealias Handler = @Sendable (Request, ConnectionContext) async throws -> Response

    let method: HTTPRequest.Method
    /// The path; a part that begins with a colon stands for any one part.
    let path: String
    let access: Access
    let about: About
    let handler: Handler

    /// The method's name.
    var verb: String { method.rawValue }
}

/// The operations of the API, each told once: for the router, for the gate, and for the document.
struct APITable: Sendable {
    private(set) var operations: [APIOperation] = []

    mutating func get(
        _ path: String, _ summary: String, for access: APIOperation.Access = .read,
        query: [APIOperation.Parameter] = [], conditions: APIOperation.Conditions = .none,
        answer: APIOperation.Content? = nil, _ handler: @escaping APIOperation.Handler
    ) {
        let about = APIOperation.About(
            summary: summary, query: query, conditions: conditions, body: nil, answer: answer, status: 200)
        operations.append(APIOperation(method: .get, path: path, access: access, about: about, handler: handler))
    }

    mutating func post(
        _ path: String, _ summary: String, for access: APIOperation.Access = .change,
        query: [APIOperation.Parameter] = [], headers: [APIOperation.Parameter] = [], body: APIOperation.Content? = nil,
        answer: APIOperation.Content? = nil, status: Int = 200, _ handler: @escaping APIOperation.Handler
    ) {
        let about = APIOperation.About(
            summary: summary, query: query, headers: headers, body: body, answer: answer, status: status)
        operations.append(APIOperation(method: .post, path: path, access: access, about: about, handler: handler))
    }

    mutating func delete(
        _ path: String, _ summary: String, for access: APIOperation.Access = .change,
        query: [APIOperation.Parameter] = [], answer: APIOperation.Content? = nil,
        _ handler: @escaping APIOperation.Handler
    ) {
        let about = APIOperation.About(summary: summary, query: query, body: nil, answer: answer, status: 200)
        operations.append(APIOperation(method: .delete, path: path, access: access, about: about, handler: handler))
    }

    /// Without what is only on the socket.
    var overTCP: APITable {
        var table = self
        table.operations.removeAll { $0.access == .socketOnly }
        return table
    }

    /// The methods that there are for a path of a request, which the router takes as literally as it can.
    func methods(at path: String) -> [HTTPRequest.Method] {
        let parts = path.split(separator: "/")
        let fitting = operations.filter { operation in
            let own = operation.path.split(separator: "/")
            return own.count == parts.count && zip(own, parts).allSatisfy { $0.hasPrefix(":") || $0 == $1 }
        }
        let literal = fitting.first { !$0.path.contains(":") }
        return fitting.filter { literal == nil || $0.path == literal?.path }.map(\.method)
    }

    /// Has a router answer by the table, each request after `admitting` let it; its turn ends once its handler is done,
    /// or, where that reads a file as its reader takes it, once all of that is written.
    func add(
        to router: Router<ConnectionContext>,
        admitting admit: @escaping @Sendable (Request, APIOperation) throws -> AnswerTally.Turn? = { _, _ in nil }
    ) {
        for operation in operations {
            router.on(RouterPath(operation.path), method: operation.method) { request, context in
                let turn = try admit(request, operation)
                defer { withExtendedLifetime(turn) {} }
                try operation.checkQuery(of: request)
                var response = try await operation.handler(request, context)
                if let turn, operation.about.conditions == .tagAndRange { response.body = response.body.keeping(turn) }
                return response
            }
        }
    }
}
