import Foundation
import NodeAPI
import Workflows
import Yams

/// A definition of a workflow in a file: YAML, or JSON, which reads as YAML.
struct DefinitionFile {
    /// The file; `-` is standard input.
    let path: String
    private let limits = WorkflowLimits()

    init(_ path: String) { self.path = path }

    /// The definition, read and checked whole.
    func definition() throws -> WorkflowDefinition {
        let bytes = try LocalFile.read(path, bytesMax: limits.definitionBytesMax)
        do throws(DefinitionFault) {
            return try DefinitionReader(limits: limits).definition(try tree(bytes))
        } catch {
            throw NodeServiceError(.invalidRequest, "\(path): \(error.place)\(error.message)", hint: error.remedy)
        }
    }

    /// The values in the file with their lines.
    func tree(_ bytes: [UInt8]) throws(DefinitionFault) -> DefinitionNode {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw DefinitionFault("", "The file is no text in UTF-8.", remedy: "Write it as YAML or JSON.")
        }
        if let line = Self.anchor(in: text) {
            throw DefinitionFault(
                "", "Anchors (&name) are not taken: a few lines of them may stand for billions of values.",
                remedy: "Write the value itself, or quote the text.", line: line)
        }
        let node: Node?
        do {
            node = try Yams.compose(yaml: text)
        } catch {
            throw DefinitionFault(
                "", "The file cannot be read: \(Self.words(of: error)).", remedy: "Write it as YAML or JSON.")
        }
        guard let node else {
            throw DefinitionFault("", "The file is empty.", remedy: "docs/workflows.md shows what belongs into it.")
        }
        var left = limits.nodesMax
        return try converted(node, depth: 0, &left)
    }

    private func converted(_ node: Node, depth: Int, _ left: inout Int) throws(DefinitionFault) -> DefinitionNode {
        let line = node.mark?.line ?? 0
        left -= 1
        guard left >= 0, depth <= limits.depthMax else {
            throw DefinitionFault(
                "",
                "The file has more than \(limits.nodesMax) values, or more than \(limits.depthMax) within each other.",
                remedy: "Make it smaller.", line: line)
        }
        switch node {
        case .scalar(let scalar):
            return DefinitionNode(
                .scalar(scalar.string, isPlain: scalar.style == .plain || scalar.style == .any), line: line)
        case .sequence(let sequence):
            var nodes: [DefinitionNode] = []
            for node in sequence { nodes.append(try converted(node, depth: depth + 1, &left)) }
            return DefinitionNode(.list(nodes), line: line)
        case .mapping(let mapping):
            var entries: [DefinitionNode.Entry] = []
            for (key, value) in mapping {
                guard case .scalar(let name) = key else {
                    throw DefinitionFault("", "A name must be a text.", remedy: "Write NAME: VALUE.", line: line)
                }
                entries.append(
                    DefinitionNode.Entry(name: name.string, node: try converted(value, depth: depth + 1, &left)))
            }
            return DefinitionNode(.map(entries), line: line)
        case .alias:
            throw DefinitionFault("", "An alias leads nowhere.", remedy: "Write the value itself.", line: line)
        }
    }

    /// The line of the first anchor, which is read before anything is resolved: a word with `&` before it, outside
    /// quotes and comments.
    private static func anchor(in text: String) -> Int? {
        var (line, quote, last, isComment, isEscaped) = (1, UInt8(0), UInt8(ascii: "\n"), false, false)
        var bytes = text.utf8.makeIterator()
        var next = bytes.next()
        while let byte = next {
            next = bytes.next()
            defer { last = byte }
            if byte == UInt8(ascii: "\n") {
                line += 1
                isComment = false
            }
            if isComment { continue }
            if quote != 0 {
                if byte == quote, !isEscaped { quote = 0 }
                isEscaped = quote == UInt8(ascii: "\"") && byte == UInt8(ascii: "\\") && !isEscaped
                continue
            }
            guard " \t\n[{,:-?".utf8.contains(last) else { continue }
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "'"): quote = byte
            case UInt8(ascii: "#"): isComment = true
            case UInt8(ascii: "&"): if let next, !" \t\n&".utf8.contains(next) { return line }
            default: break
            }
        }
        return nil
    }

    /// The most characters of what the reader of YAML says.
    private static let wordsMax = 300

    /// What the reader of YAML found, on one line.
    private static func words(of error: any Error) -> String {
        let lines = "\(error)".split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
        let words = lines.filter { !$0.allSatisfy { "^ ".contains($0) } }.joined(separator: "; ")
        // It repeats the line, however long that is.
        return words.count > wordsMax ? words.prefix(wordsMax) + "…" : words
    }
}

extension DefinitionFault {
    /// Where it is, as a sentence begins with it.
    fileprivate var place: String {
        let words = [line.map { "line \($0)" }, path.isEmpty ? nil : path].compactMap(\.self)
        return words.isEmpty ? "" : words.joined(separator: ", ") + ": "
    }
}
