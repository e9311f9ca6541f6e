/// The forms in which the gateway gives what it serves, and how a request chooses one.
///
/// Source: https://specs.ipfs.tech/http-gateways/trustless-gateway/#request-headers
enum GatewayFormat: Hashable {
    /// One block, as it is.
    case raw
    /// An archive of version 1, depth first, each block once.
    case car

    static let rawType = "application/vnd.ipld.raw"
    static let carType = "application/vnd.ipld.car"

    /// The form that a query's `format` names.
    init(named name: String) throws(GatewayRefusal) {
        switch name {
        case "raw": self = .raw
        case "car": self = .car
        default:
            throw GatewayRefusal(
                .notAcceptable, "This gateway has no format \(Self.quoted(name)). \(GatewayRefusal.howToAsk)")
        }
    }

    /// The form that an `Accept` header likes best of those that there are, or of one of them; nil if it names none.
    ///
    /// Only what it names counts: `*/*` asks for a file or a page, and there is none here.
    init?(accepting header: String, only: GatewayFormat? = nil) throws(GatewayRefusal) {
        var best: (format: GatewayFormat, quality: Int)?
        var fault: GatewayRefusal?
        for range in header.split(separator: ",") {
            let parts = range.split(separator: ";", omittingEmptySubsequences: false).map(Self.trimmed)
            let format: GatewayFormat
            switch parts[0].lowercased() {
            case Self.rawType: format = .raw
            case Self.carType: format = .car
            default: continue
            }
            if let only, only != format { continue }
            do throws(GatewayRefusal) {
                let quality = try Self.quality(parts.dropFirst(), of: format)
                if quality > best?.quality ?? 0 { best = (format, quality) }
            } catch {
                fault = fault ?? error
            }
        }
        if let best {
            self = best.format
        } else if let fault {
            throw fault
        } else {
            return nil
        }
    }

    /// How well a media range is liked, in thousandths; throws if there is no answer with its parameters.
    private static func quality(
        _ parameters: ArraySlice<String>, of format: GatewayFormat
    ) throws(GatewayRefusal) -> Int {
        var quality = 1_000
        for parameter in parameters where !parameter.isEmpty {
            let pair = parameter.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(trimmed)
            let value = pair.count == 2 ? pair[1].trimming("\"") : ""
            if pair[0].lowercased() == "q" {
                guard let number = Double(value), (0...1).contains(number) else {
                    throw GatewayRefusal(.badRequest, "The quality \(quoted(value)) in Accept is none.")
                }
                quality = Int(number * 1_000)
            } else if format == .car {
                try check(pair[0].lowercased(), value)
            }
        }
        return quality
    }

    /// Checks a parameter of an archive, from `Accept` or a query; throws if no archive here is like that.
    static func check(_ name: String, _ value: String) throws(GatewayRefusal) {
        switch (name, value) {
        case ("version", "1"), ("order", "dfs"), ("order", "unk"), ("order", ""), ("dups", "n"), ("dups", ""): return
        case ("version", _): throw GatewayRefusal(.notAcceptable, "Archives here are of version 1.")
        case ("order", _): throw GatewayRefusal(.notAcceptable, "Archives here have order=dfs.")
        case ("dups", _): throw GatewayRefusal(.notAcceptable, "Archives here have each block once (dups=n).")
        default: return
        }
    }

    /// A text of a stranger's for a sentence: printable, and not long.
    static func quoted(_ text: String) -> String {
        let safe = text.unicodeScalars.prefix(64).map { (0x20...0x7E).contains($0.value) ? Character($0) : "?" }
        return "\"\(String(safe))\""
    }

    private static func trimmed(_ text: Substring) -> String { String(text).trimming(" \t") }
}

extension String {
    /// Without these characters at its ends.
    fileprivate func trimming(_ characters: String) -> String {
        var rest = self[...]
        while let first = rest.first, characters.contains(first) { rest = rest.dropFirst() }
        while let last = rest.last, characters.contains(last) { rest = rest.dropLast() }
        return String(rest)
    }
}
