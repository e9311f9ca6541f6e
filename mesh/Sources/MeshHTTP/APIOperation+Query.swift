import Hummingbird
import Multiformats
import NodeAPI

extension APIOperation {
    /// Refuses what the document does not allow in a query: a parameter that the operation has not, one that is there
    /// twice, a value of another form.
    func checkQuery(of request: Request) throws(NodeServiceError) {
        var seen: Set<Substring> = []
        for (name, value) in request.uri.queryParameters {
            guard let parameter = about.query.first(where: { $0.name == name }) else {
                let names = about.query.map(\.name)
                throw NodeServiceError(
                    .invalidRequest, "This route has no parameter \"\(String(name).cut(bytesMax: 64))\".",
                    hint: names.isEmpty ? nil : "It has \(names.joined(separator: ", ")).")
            }
            guard seen.insert(name).inserted else {
                throw NodeServiceError(.invalidRequest, "\(name) is there twice.")
            }
            if let rule = parameter.form.rule(brokenBy: value) {
                throw NodeServiceError(.invalidRequest, "\(name) must be \(rule).")
            }
        }
        if let missing = about.query.first(where: { $0.isRequired && !seen.contains(Substring($0.name)) }) {
            throw NodeServiceError(.invalidRequest, "\(missing.name) is missing.")
        }
    }
}

extension APIOperation.Parameter.Form {
    /// What a value has to be, where it is something else.
    fileprivate func rule(brokenBy value: Substring) -> String? {
        switch self {
        case .text: nil
        case .someOf(let names):
            value.split(separator: ",", omittingEmptySubsequences: false).allSatisfy { names.contains(String($0)) }
                ? nil : "one of \(names.joined(separator: ", ")), or some of them with commas between"
        case .flag: value == "true" || value == "false" ? nil : "true or false"
        case .cid: (try? CID(parsing: String(value))) == nil ? "a CID" : nil
        case .oneOf(let names):
            names.contains(String(value)) ? nil : names.joined(separator: " or ")
        case .number(let range):
            Self.number(value).map(range.contains) == true
                ? nil : "a number from \(range.lowerBound) to \(range.upperBound)"
        }
    }

    /// The number of a text of digits alone, as the document means them.
    private static func number(_ text: Substring) -> Int64? {
        text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? Int64(text) : nil
    }
}
