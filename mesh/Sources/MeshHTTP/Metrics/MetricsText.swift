/// One metric with all its series. Source: https://prometheus.io/docs/concepts/data_model/
struct MetricFamily: Sendable {
    /// What its values may do.
    enum Kind: String, Sendable {
        /// They only grow, and begin at zero with the node.
        case counter
        /// They come and go.
        case gauge
    }

    /// One value, and what tells it from the others of its metric.
    struct Series: Sendable {
        /// The values of the metric's labels, in their order.
        let labels: [String]
        let value: Double

        init(_ labels: [String] = [], _ value: Double) {
            self.labels = labels
            self.value = value
        }
    }

    let name: String
    let kind: Kind
    /// One sentence for people.
    let help: String
    /// The names of its labels.
    var labels: [String] = []
    var series: [Series] = []
}

/// Metrics as Prometheus reads them. Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (0.0.4)
enum MetricsText {
    /// The media type.
    static let type = "text/plain; version=0.0.4; charset=utf-8"

    /// The text of metrics, each with what it is; one without series has no lines.
    static func text(_ families: [MetricFamily]) -> String {
        var text = ""
        for family in families where !family.series.isEmpty {
            text += "# HELP \(family.name) \(escaped(family.help))\n# TYPE \(family.name) \(family.kind.rawValue)\n"
            for series in family.series {
                let pairs = zip(family.labels, series.labels).map { "\($0)=\"\(escaped($1, quotes: true))\"" }
                let labels = pairs.isEmpty ? "" : "{\(pairs.joined(separator: ","))}"
                text += "\(family.name)\(labels) \(number(series.value))\n"
            }
        }
        return text
    }

    /// Without what would end a line or a value.
    private static func escaped(_ text: String, quotes: Bool = false) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    /// Whole numbers without a fraction, as far as they are exact.
    private static func number(_ value: Double) -> String {
        Int64(exactly: value).map { String($0) } ?? String(value)
    }
}
