import Foundation

/// An answer of a server, as its bytes came over a connection.
package struct WebAnswer: Sendable {
    /// Its status code.
    package let status: Int
    /// By names in small letters.
    package let headers: [String: String]
    /// What came behind them, put together if it came in chunks.
    package let body: [UInt8]
    /// Whether the end came that its headers announce.
    package let isWhole: Bool

    /// What a connection brought that is closed after one answer.
    package init?(_ bytes: [UInt8], isHead: Bool = false) {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        guard let status = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else { return nil }
        self.status = status
        headers = Dictionary(
            lines.dropFirst().map { line in
                let parts = line.split(separator: ":", maxSplits: 1)
                return (parts[0].lowercased(), parts.count > 1 ? String(parts[1].drop { $0 == " " }) : "")
            }, uniquingKeysWith: { "\($0)|\($1)" })
        var rest = bytes[end.upperBound...]
        guard headers["transfer-encoding"] == "chunked", !isHead else {
            let left = Array(rest)
            body = left
            isWhole = isHead || headers["content-length"].map { Int($0) == left.count } ?? true
            return
        }
        var body: [UInt8] = []
        var isWhole = false
        while let line = rest.firstRange(of: [13, 10]),
            let count = Int(String(decoding: rest[..<line.lowerBound], as: UTF8.self), radix: 16)
        {
            rest = rest[line.upperBound...]
            isWhole = count == 0 && rest.elementsEqual([13, 10])
            if count == 0 || rest.count < count + 2 { break }
            body += rest.prefix(count)
            rest = rest.dropFirst(count + 2)
        }
        self.body = body
        self.isWhole = isWhole
    }
}
