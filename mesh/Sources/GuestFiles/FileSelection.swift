/// Which files to collect: a file or folder by its path, or all that a pattern fits.
///
/// A path of parts with wildcards (`NamePattern`) and `**`, which stands for any number of folders and, at the end,
/// for everything below. What is collected has the folder above the first wildcard as its root: `out/**` gives what is
/// in `out`. A folder that fits is collected with all that is in it; links are collected as they are, and never
/// followed.
package struct FileSelection: Hashable, Sendable {
    /// Bytes of a pattern.
    package static let bytesMax = 1_024

    enum Part: Hashable, Sendable {
        case anyFolders
        case name(NamePattern)
    }

    /// From the root to the first part with a wildcard.
    let root: [FileName]
    /// The parts from there on; none where the root itself is meant.
    let parts: [Part]
    /// The pattern as it was read, from the root.
    package let pattern: [UInt8]

    /// Reads a pattern; one that does not begin with `/` is relative to the working folder.
    package init(_ pattern: [UInt8], workingFolder: [UInt8]?) throws(Fault) {
        guard !pattern.isEmpty else { throw .empty }
        guard pattern.count <= Self.bytesMax else { throw .tooLong }
        guard !pattern.contains(0) else { throw .zeroByte }
        var path = pattern
        if path[0] != UInt8(ascii: "/") {
            guard let workingFolder else { throw .noWorkingFolder }
            path = workingFolder + [UInt8(ascii: "/")] + path
        }
        var root: [FileName] = []
        var parts: [Part] = []
        for part in path.split(separator: UInt8(ascii: "/")) {
            if part.elementsEqual("**".utf8) {
                if parts.last != .anyFolders { parts.append(.anyFolders) }
            } else if parts.isEmpty, !NamePattern.isPattern(part) {
                do throws(FileName.Fault) {
                    root.append(try FileName(Array(part)))
                } catch {
                    throw error == .dots ? .dots : .tooLong
                }
            } else {
                if part.elementsEqual(".".utf8) || part.elementsEqual("..".utf8) { throw .dots }
                parts.append(.name(try NamePattern(part)))
            }
        }
        self.root = root
        self.parts = parts
        self.pattern = path
    }

    /// Why a pattern is none.
    package enum Fault: Error, Hashable, Sendable, CustomStringConvertible {
        /// No bytes at all.
        case empty
        /// More than `FileSelection.bytesMax` bytes, or a name that is too long.
        case tooLong
        /// A NUL.
        case zeroByte
        /// `.` or `..`: a pattern goes downward only.
        case dots
        /// A `[` without its `]`.
        case openBracket
        /// A range whose end is before its start.
        case emptyRange
        /// A `\` with nothing after it.
        case endsInBackslash
        /// Relative, and the run has no working folder.
        case noWorkingFolder

        /// What is wrong, as the end of a sentence about the pattern.
        package var description: String {
            switch self {
            case .empty: "is empty"
            case .tooLong:
                "has more than \(FileSelection.bytesMax) bytes, or a name of more than \(FileName.bytesMax)"
            case .zeroByte: "holds a zero byte"
            case .dots: "has . or .. in it, and must lead downward only"
            case .openBracket: "has a [ without its ]"
            case .emptyRange: "has a range in brackets whose end comes before its start"
            case .endsInBackslash: "ends in a backslash"
            case .noWorkingFolder: "does not begin with /, and the job has no working folder"
            }
        }
    }

    /// The parts that may come next at the root: more than one where `**` may stand for nothing.
    var start: Set<Int> { closed([0]) }

    /// The parts that may come next after a name, by those that might have been it.
    func next(after name: FileName, _ current: Set<Int>) -> Set<Int> {
        var next: Set<Int> = []
        for index in current where index < parts.count {
            switch parts[index] {
            case .anyFolders: next.insert(index)
            case .name(let pattern): if pattern.matches(name) { next.insert(index + 1) }
            }
        }
        return closed(next)
    }

    /// Whether all parts are used up.
    func isMatched(_ current: Set<Int>) -> Bool { current.contains(parts.count) }

    private func closed(_ current: Set<Int>) -> Set<Int> {
        var closed = current
        for index in current where index < parts.count && parts[index] == .anyFolders { closed.insert(index + 1) }
        return closed
    }
}
