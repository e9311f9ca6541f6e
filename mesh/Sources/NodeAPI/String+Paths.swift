/// The parts of a path, by its text alone. Foundation's own for NSString end the process where a path is one character
/// long and no slash.
extension String {
    /// The path of the folder that a path's last part is in; empty if the path has one part, `/` in the root.
    package var parentFolder: String {
        let whole = Self.trimmed(self[...])
        guard let slash = whole.lastIndex(of: "/") else { return "" }
        let parent = Self.trimmed(whole[..<slash])
        return parent.isEmpty ? "/" : String(parent)
    }

    /// What follows the last dot of a path's last part; empty if nothing does, or nothing comes before the dot.
    package var fileEnding: String {
        let whole = Self.trimmed(self[...])
        let name = whole.lastIndex(of: "/").map { whole[whole.index(after: $0)...] } ?? whole
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return "" }
        return String(name[name.index(after: dot)...])
    }

    /// Without the slashes at its end.
    private static func trimmed(_ path: Substring) -> Substring {
        var path = path
        while path.count > 1, path.last == "/" { path.removeLast() }
        return path
    }
}
