import MeshTypes

/// A definition as a picture: its stages in columns, each right of what it needs.
package struct WorkflowGraph: Sendable {
    /// A box of the picture.
    struct Box {
        var id: String
        /// What stands in it, one a line.
        var lines: [String]
        var column: Int
        /// The boxes that it reads from, or whose exit code it looks at.
        var needs: [(id: String, isCondition: Bool)]
    }

    /// The measures of the picture, in pixels.
    private enum Measure {
        static let letter = 7
        static let line = 18
        static let padding = 10
        static let gap = 48
        static let margin = 16
    }

    private let boxes: [Box]

    /// - Throws: a fault of the definition.
    package init(_ definition: WorkflowDefinition) throws(DefinitionFault) {
        if let fault = DefinitionRules().fault(in: definition) { throw fault }
        let order = try StageOrder(definition.stages)
        var boxes = definition.inputs.map { input in
            Box(
                id: "inputs.\(input.key)", lines: [input.key, input.value.isFolder ? "folder" : "file"], column: 0,
                needs: [])
        }
        for index in order.indices {
            let stage = definition.stages[index]
            boxes.append(
                Box(
                    id: stage.id, lines: Self.words(of: stage), column: 1 + order.depths[index],
                    needs: Self.needs(of: stage)))
        }
        let last = 2 + (order.depths.max() ?? 0)
        for output in definition.outputs {
            boxes.append(
                Box(
                    id: "outputs.\(output.key)", lines: [output.key, "output"], column: last,
                    needs: [(id: Self.id(of: output.value), isCondition: false)]))
        }
        self.boxes = boxes
    }

    private static func words(of stage: StageDefinition) -> [String] {
        var lines = [stage.id, stage.module.split(separator: "/").last.map(String.init) ?? stage.module]
        switch stage.forEach {
        case .folder(let source): lines.append("for each of \(source.text)")
        case .list(let items): lines.append("for each of \(items.count)")
        case .range(let first, let last): lines.append("for each of \(first)…\(last)")
        case nil: break
        }
        for condition in stage.when {
            let codes = condition.exitCodes.map(String.init).joined(separator: ", ")
            lines.append("when \(condition.stage) exits \(codes)")
        }
        return lines.map { $0.count > 40 ? String($0.prefix(39)) + "…" : $0 }
    }

    private static func id(of source: WorkflowSource) -> String {
        switch source {
        case .input(let name): "inputs.\(name)"
        case .output(let stage, _): stage
        case .item: ""
        }
    }

    private static func needs(of stage: StageDefinition) -> [(id: String, isCondition: Bool)] {
        var needs: [(id: String, isCondition: Bool)] = []
        for (_, source) in stage.sources where source != .item {
            let id = id(of: source)
            if !needs.contains(where: { $0.id == id }) { needs.append((id, false)) }
        }
        for condition in stage.when where !needs.contains(where: { $0.id == condition.stage }) {
            needs.append((condition.stage, true))
        }
        return needs
    }

    /// The picture as lines of text: each box with what it needs, a step further in for each column.
    package var text: String {
        boxes.map { box in
            let indent = String(repeating: "  ", count: box.column)
            let needs = box.needs.map { ($0.isCondition ? "?" : "") + $0.id }
            let arrow = needs.isEmpty ? "" : "  <- " + needs.joined(separator: ", ")
            return indent + box.lines.joined(separator: "  ") + arrow + "\n"
        }.joined()
    }

    /// The picture as SVG.
    package var svg: String {
        let widths = (0...(boxes.map(\.column).max() ?? 0)).map { column in
            let longest = boxes.filter { $0.column == column }.flatMap(\.lines).map(\.count).max() ?? 0
            return longest == 0 ? 0 : longest * Measure.letter + 2 * Measure.padding
        }
        var lefts: [Int] = []
        var left = Measure.margin
        for width in widths {
            lefts.append(left)
            left += width == 0 ? 0 : width + Measure.gap
        }
        var tops = widths.map { _ in Measure.margin }
        var places: [String: (x: Int, y: Int, width: Int, height: Int)] = [:]
        for box in boxes {
            let height = box.lines.count * Measure.line + Measure.padding
            places[box.id] = (lefts[box.column], tops[box.column], widths[box.column], height)
            tops[box.column] += height + Measure.padding * 2
        }
        let (width, height) = (left - Measure.gap + Measure.margin, (tops.max() ?? 0) + Measure.margin)
        var drawn = """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(height)" \
            viewBox="0 0 \(width) \(height)" font-family="monospace" font-size="12">

            """
        for box in boxes {
            guard let to = places[box.id] else { continue }
            for need in box.needs {
                guard let from = places[need.id] else { continue }
                drawn += Self.line(from: from, to: to, isDashed: need.isCondition)
            }
        }
        for box in boxes { drawn += places[box.id].map { Self.box(box, $0) } ?? "" }
        return drawn + "</svg>\n"
    }

    private static func line(
        from: (x: Int, y: Int, width: Int, height: Int), to: (x: Int, y: Int, width: Int, height: Int), isDashed: Bool
    ) -> String {
        let (startX, startY) = (from.x + from.width, from.y + from.height / 2)
        let (endX, endY) = (to.x, to.y + to.height / 2)
        let middle = (startX + endX) / 2
        let dashes = isDashed ? " stroke-dasharray=\"4 3\"" : ""
        return """
            <path d="M\(startX) \(startY) C\(middle) \(startY) \(middle) \(endY) \(endX) \(endY)" fill="none" \
            stroke="#667"\(dashes)/>
            <circle cx="\(endX)" cy="\(endY)" r="3" fill="#667"/>

            """
    }

    private static func box(_ box: Box, _ place: (x: Int, y: Int, width: Int, height: Int)) -> String {
        var drawn = """
            <rect x="\(place.x)" y="\(place.y)" width="\(place.width)" height="\(place.height)" rx="4" \
            fill="\(box.id.contains(".") ? "#fff" : "#eef3fb")" stroke="#446"/>

            """
        for (index, line) in box.lines.enumerated() {
            let y = place.y + Measure.padding / 2 + index * Measure.line + 13
            drawn += """
                <text x="\(place.x + Measure.padding)" y="\(y)"\(index == 0 ? " font-weight=\"bold\"" : "")>\
                \(escaped(line))</text>

                """
        }
        return drawn
    }

    private static func escaped(_ text: String) -> String {
        text.map { letter in
            switch letter {
            case "&": "&amp;"
            case "<": "&lt;"
            case ">": "&gt;"
            case "\"": "&quot;"
            default: letter.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F } ? " " : String(letter)
            }
        }.joined()
    }
}
