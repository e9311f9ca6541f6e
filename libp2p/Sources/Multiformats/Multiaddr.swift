/// A network address that names the protocol of each layer, such as `/ip4/127.0.0.1/tcp/4001/p2p/12D3…`.
///
/// It refuses addresses with protocols that this project does not speak; readers of a peer's list leave those out.
/// Source: https://github.com/multiformats/multiaddr
public struct Multiaddr: Hashable, Sendable, CustomStringConvertible, Codable {
    /// The longest address that is read, in bytes.
    public static let bytesMax = 1024
    /// The most components that are read.
    public static let componentsMax = 16

    /// The protocols, outermost first.
    public let components: [Component]
    /// The binary form.
    public let bytes: [UInt8]

    /// An address from components that the program made itself.
    ///
    /// Stops the process on a value that the binary form or the text cannot carry (an IPv4 address that is not 4 bytes,
    /// a host name with a slash). Parse input from outside with the other initializers.
    public init(_ components: [Component]) {
        for (index, component) in components.enumerated() {
            precondition(component.isValid, "a multiaddr component \(component.name) of an impossible value")
            if case .unix = component {
                precondition(index == components.count - 1, "a multiaddr component after unix")
            }
        }
        self = Multiaddr(checked: components)
    }

    /// Reads the binary form.
    public init(bytes: [UInt8]) throws(MultiaddrError) {
        var reader = try MultiaddrByteReader(bytes)
        var components: [Component] = []
        while let component = try reader.next() {
            if components.count == Self.componentsMax { throw .tooManyComponents(componentsMax: Self.componentsMax) }
            components.append(component)
        }
        self.components = components
        self.bytes = bytes
    }

    /// The address of a text.
    public init(parsing text: String) throws(MultiaddrError) {
        var reader = try MultiaddrTextReader(text)
        var components: [Component] = []
        while let component = try reader.next() {
            if components.count == Self.componentsMax { throw .tooManyComponents(componentsMax: Self.componentsMax) }
            components.append(component)
        }
        self = Multiaddr(checked: components)
        if bytes.count > Self.bytesMax { throw .tooLong(bytesMax: Self.bytesMax) }
    }

    private init(checked components: [Component]) {
        self.components = components
        var bytes: [UInt8] = []
        bytes.reserveCapacity(64)
        for component in components { component.append(to: &bytes) }
        self.bytes = bytes
    }

    /// The peer at the far end: the last component, if it is a `p2p`.
    public var peerID: PeerID? {
        if case .p2p(let peerID)? = components.last { return peerID }
        return nil
    }

    /// This address with a given peer: replaces a `p2p` at the end, or adds one.
    public func withPeerID(_ peerID: PeerID) -> Multiaddr {
        Multiaddr(checked: withoutPeerID().components + [.p2p(peerID)])
    }

    /// This address without a `p2p` at its end.
    public func withoutPeerID() -> Multiaddr {
        peerID == nil ? self : Multiaddr(checked: components.dropLast())
    }

    /// The text form.
    public var text: String {
        var text = ""
        for component in components {
            text += "/" + component.name
            if let value = component.valueText { text += "/" + value }
        }
        return text
    }

    /// The text form.
    public var description: String { text }

    /// Whether two addresses have the same binary form.
    public static func == (left: Multiaddr, right: Multiaddr) -> Bool {
        left.bytes == right.bytes
    }

    /// Hashes the binary form.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(bytes)
    }

    /// Reads the text.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        do {
            self = try Multiaddr(parsing: text)
        } catch {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a multiaddr: \(error)")
        }
    }

    /// Writes the text.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
