import Foundation
import Hummingbird
import Multiformats
import NodeAPI

/// Which jobs to list, as the query of a URL: written by the client, read by the server.
enum JobQueryItems {
    /// The query's text, every value encoded.
    static func text(_ query: JobQuery) -> String {
        var items = [("limit", String(query.limit))]
        if let after = query.after { items.append(("after", after.text)) }
        if let role = query.role { items.append(("role", role.rawValue)) }
        if !query.statuses.isEmpty { items.append(("status", query.statuses.map(\.name).joined(separator: ","))) }
        if let since = query.since { items.append(("since", String(since))) }
        if let label = query.label { items.append(("label", label)) }
        if let named = query.named { items.append(("named", named)) }
        return items.map { "\($0)=\(encoded($1))" }.joined(separator: "&")
    }

    /// What the document says of them.
    static let parameters: [APIOperation.Parameter] = [
        .init("after", .cid), .init("role", .oneOf(JobSide.allCases.map(\.rawValue))),
        .init("status", .someOf(JobStatusName.all)), .init("since", .number(0...Int64.max)), .init("label", .text),
        .init("named", .text),
    ]

    /// A text as a part of a query.
    static func encoded(_ text: String) -> String {
        text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
    }

    /// The query of a request.
    static func query(_ request: Request, limit: Int) throws -> JobQuery {
        func text(_ name: String) -> String? { request.uri.queryParameters[Substring(name)].map(String.init) }
        var query = JobQuery(limit: limit, label: text("label"), named: text("named"))
        if let after = text("after") {
            guard let cid = try? CID(parsing: after) else { throw invalid("after must be a job's ID.") }
            query.after = cid
        }
        if let role = text("role") {
            guard let side = JobSide(rawValue: role) else {
                throw invalid("role must be \(JobSide.allCases.map(\.rawValue).joined(separator: " or ")).")
            }
            query.role = side
        }
        query.statuses =
            try text("status").map { names in
                try names.split(separator: ",").map { name in
                    guard let status = JobStatusName(String(name)) else {
                        throw invalid("status must be one of \(JobStatusName.all.joined(separator: ", ")).")
                    }
                    return status
                }
            } ?? []
        if let since = text("since") {
            guard let date = UInt64(since) else {
                throw invalid("since must be a date in milliseconds since the Unix epoch.")
            }
            query.since = date
        }
        return query
    }

    private static func invalid(_ sentence: String) -> NodeServiceError { NodeServiceError(.invalidRequest, sentence) }
}
