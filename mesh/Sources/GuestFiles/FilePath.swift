/// A path of the guest, cut at its slashes.
struct FilePath: Hashable, Sendable {
    enum Component: Hashable, Sendable {
        case dot
        case dotDot
        /// Not checked for its length: that counts only once the walk comes to it.
        case name([UInt8])
    }

    /// From the first on.
    let components: [Component]
    /// Whether it ends with a slash, so that it names a directory.
    let endsWithSlash: Bool

    private static let slash = UInt8(ascii: "/")
    private static let dot = UInt8(ascii: ".")

    /// A path relative to a descriptor. One that begins at the root leads out of the descriptor's tree: wasi-libc has
    /// cut off what the descriptor is known as.
    init(relative bytes: [UInt8], bytesMax: Int) throws(FileStop) {
        if bytes.isEmpty { throw .errno(.noEntry) }
        if bytes.count >= bytesMax { throw .errno(.nameTooLong) }
        if bytes.contains(0) { throw .errno(.invalid) }
        if bytes[0] == Self.slash { throw .errno(.notPermitted) }
        self.init(cutting: bytes)
    }

    private init(cutting bytes: [UInt8]) {
        components = bytes.split(separator: Self.slash).map { part in
            if part.elementsEqual([Self.dot]) { return .dot }
            return part.elementsEqual([Self.dot, Self.dot]) ? .dotDot : .name(Array(part))
        }
        endsWithSlash = bytes.last == Self.slash
    }

    /// The names of a path from the root; nil if it is none, or holds `.`, `..`, an improper name or too many.
    static func names(fromRoot bytes: [UInt8], limits: GuestFileSystem.Limits) -> [FileName]? {
        guard bytes.first == slash, bytes.count < limits.pathBytesMax else { return nil }
        var names: [FileName] = []
        for component in FilePath(cutting: bytes).components {
            guard case .name(let part) = component, let name = try? FileName(part) else { return nil }
            names.append(name)
        }
        return names.count <= limits.depthMax ? names : nil
    }
}
