/// Why bytes or a text are not a multiaddr.
public enum MultiaddrError: Error, Hashable, Sendable {
    /// There is no component.
    case empty
    /// The text does not start with a slash.
    case noLeadingSlash
    /// The address is longer than is read.
    case tooLong(bytesMax: Int)
    /// More components than are read.
    case tooManyComponents(componentsMax: Int)
    /// No protocol of this implementation has this name; with the component's position.
    case unknownProtocolName(component: Int)
    /// No protocol of this implementation has this code.
    case unknownProtocolCode(UInt64)
    /// The protocol needs a value and the address ends.
    case missingValue(String)
    /// The value of the protocol named here is malformed.
    case invalidValue(String)
    /// A protocol code or a length is not a varint.
    case malformedVarint(VarintError)
    /// The bytes end inside a component.
    case truncated
}

extension MultiaddrError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .empty: "it is empty"
        case .noLeadingSlash: "it does not begin with a slash"
        case .tooLong(let bytesMax): "it has more than \(bytesMax) bytes"
        case .tooManyComponents(let componentsMax): "it has more than \(componentsMax) parts"
        case .unknownProtocolName(let component): "its part \(component + 1) is not a known protocol"
        case .unknownProtocolCode(let code): "the protocol code \(code) is unknown"
        case .missingValue(let name): "the value of \(name) is missing"
        case .invalidValue(let name): "the value of \(name) is not valid"
        case .malformedVarint(let error): "\(error)"
        case .truncated: "it ends too early"
        }
    }
}
