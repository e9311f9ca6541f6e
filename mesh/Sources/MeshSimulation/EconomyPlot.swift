/// Pictures of what strategies earned, as SVG: the same figures give the same bytes.
package struct EconomyPlot: Sendable {
    private static let (left, right, top, step, width) = (170.0, 30.0, 50.0, 26.0, 900.0)
    private let statistics: EconomyStatistics
    /// What stands below: the command.
    private let command: String

    package init(_ statistics: EconomyStatistics, command: String) {
        (self.statistics, self.command) = (statistics, command)
    }

    private static func escaped(_ text: String) -> String {
        text.split(separator: "&", omittingEmptySubsequences: false).joined(separator: "&amp;")
            .split(separator: "<", omittingEmptySubsequences: false).joined(separator: "&lt;")
    }

    private static func text(_ x: Double, _ y: Double, _ text: String, anchor: String = "start") -> String {
        """
        <text x="\(EconomyText.number(x, places: 1))" y="\(EconomyText.number(y, places: 1))" \
        text-anchor="\(anchor)">\(escaped(text))</text>
        """
    }

    private static func line(_ x: Double, _ y: Double, _ toX: Double, _ toY: Double, _ colour: String) -> String {
        let numbers = [x, y, toX, toY].map { EconomyText.number($0, places: 1) }
        return """
            <line x1="\(numbers[0])" y1="\(numbers[1])" x2="\(numbers[2])" y2="\(numbers[3])" stroke="\(colour)"/>
            """
    }

    /// Round numbers between two, at most ten.
    static func ticks(_ low: Double, _ high: Double) -> [Double] {
        var size = 1.0
        let factors = [2.0, 2.5, 2.0]
        var turn = 0
        while (high - low) / size > 10 {
            size *= factors[turn % 3]
            turn += 1
        }
        return stride(from: (low / size).rounded(.up) * size, through: high, by: size).map(\.self)
    }

    private func frame(_ title: String, _ low: Double, _ high: Double, _ rows: (Int, (Double) -> Double) -> [String])
        -> String
    {
        let all = statistics.rows
        let height = Self.top + Double(all.count) * Self.step + 60
        let span = Self.width - Self.left - Self.right
        let x: (Double) -> Double = { Self.left + ($0 - low) / max(1, high - low) * span }
        var lines = [
            """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(Int(Self.width))" height="\(Int(height))" \
            font-family="sans-serif" font-size="12">
            """,
            "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>",
            Self.text(10, 20, title),
        ]
        let bottom = Self.top + Double(all.count) * Self.step
        for tick in Self.ticks(low, high) {
            lines.append(Self.line(x(tick), Self.top - 10, x(tick), bottom, tick == 0 ? "#000000" : "#dddddd"))
            lines.append(Self.text(x(tick), bottom + 16, EconomyText.number(tick, places: 0), anchor: "middle"))
        }
        for (place, row) in all.enumerated() {
            let y = Self.top + (Double(place) + 0.5) * Self.step
            lines.append(Self.text(Self.left - 10, y + 4, row.strategy.rawValue, anchor: "end"))
            lines += rows(place, x)
        }
        lines.append(Self.text(10, height - 12, command))
        return (lines + ["</svg>"]).joined(separator: "\n") + "\n"
    }

    /// The mean that each has more than honest nodes, with the interval in which it is with 95 % of each side.
    package var means: String {
        let all = statistics.rows
        let low = min(0, all.map { 2 * $0.mean - $0.meanMax }.min() ?? 0)
        let high = max(0, all.map(\.meanMax).max() ?? 0)
        let title = "What a node of each strategy gains beside an honest one: mean of \(statistics.seeds) seeds"
        return frame(title, low - 20, high + 20) { place, x in
            let (row, y) = (all[place], Self.top + (Double(place) + 0.5) * Self.step)
            let colour = row.verdict == .more ? "#c03030" : row.verdict == .less ? "#2f6f4f" : "#777777"
            let (from, to) = (x(min(0, row.mean)), x(max(0, row.mean)))
            let numbers = [from, y - 7, max(0.5, to - from)].map { EconomyText.number($0, places: 1) }
            return [
                """
                <rect x="\(numbers[0])" y="\(numbers[1])" width="\(numbers[2])" height="14" fill="\(colour)" \
                fill-opacity="0.6"/>
                """,
                Self.line(x(2 * row.mean - row.meanMax), y, x(row.meanMax), y, "#000000"),
            ]
        }
    }

    /// The same of each seed, a dot.
    package var seeds: String {
        let all = statistics.rows
        let low = min(0, all.flatMap(\.differences).min() ?? 0)
        let high = max(0, all.flatMap(\.differences).max() ?? 0)
        return frame("The same in each seed", low - 20, high + 20) { place, x in
            let y = Self.top + (Double(place) + 0.5) * Self.step
            return all[place].differences.enumerated().map { seed, value in
                let shifted = y + Double(seed % 9) * 1.6 - 6.4
                return """
                    <circle cx="\(EconomyText.number(x(value), places: 1))" \
                    cy="\(EconomyText.number(shifted, places: 1))" r="1.6" fill="#30508f" fill-opacity="0.5"/>
                    """
            }
        }
    }
}
