/// A value of a definition as it was written, with its line: what a reader of YAML or JSON hands over.
package struct DefinitionNode: Hashable, Sendable {
    /// The value itself.
    package indirect enum Content: Hashable, Sendable {
        /// A text or a number; `isPlain` if it stands without quotes.
        case scalar(String, isPlain: Bool)
        /// Values in order.
        case list([DefinitionNode])
        /// Values by their names, in order.
        case map([Entry])
    }

    /// A value with its name.
    package struct Entry: Hashable, Sendable {
        /// The name.
        package var name: String
        /// What stands under it.
        package var node: DefinitionNode

        package init(name: String, node: DefinitionNode) {
            self.name = name
            self.node = node
        }
    }

    /// The value.
    package var content: Content
    /// Where it begins, counted from 1; 0 if nobody knows.
    package var line: Int

    package init(_ content: Content, line: Int = 0) {
        self.content = content
        self.line = line
    }
}

/// What is wrong with a definition: where, what, and what to do.
package struct DefinitionFault: Error, Hashable, Sendable {
    /// The place in the definition, such as `stages[2].stdin`; empty for the whole.
    package var path: String
    /// The line of the file, counted from 1; nil if it is not known.
    package var line: Int?
    /// What is wrong, as one sentence.
    package var message: String
    /// What to do, as one sentence.
    package var remedy: String

    package init(_ path: String, _ message: String, remedy: String, line: Int? = nil) {
        self.path = path
        self.message = message
        self.remedy = remedy
        self.line = line
    }
}

extension DefinitionFault: CustomStringConvertible {
    /// The place, what is wrong, and what to do.
    package var description: String {
        let place = [line.map { "line \($0)" }, path.isEmpty ? nil : path].compactMap(\.self).joined(separator: ", ")
        return (place.isEmpty ? "" : place + ": ") + message + " " + remedy
    }
}
