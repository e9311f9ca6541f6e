/// Why a text is not multibase or base58.
public enum MultibaseError: Error, Hashable, Sendable {
    /// The text is empty: it has no prefix.
    case empty
    /// No base of this implementation has this prefix.
    case unknownBase(prefix: UInt8)
    /// The byte at this offset of the UTF-8 text is not in the base's alphabet.
    case invalidCharacter(offset: Int)
    /// No byte string has an encoding of this many characters.
    case invalidLength(characters: Int)
    /// The bits after the last whole byte are not zero: another spelling of the same bytes exists.
    case nonZeroTrailingBits
    /// Padding is missing, too short or too long.
    case wrongPadding
    /// The text is longer than is read.
    case tooLong(charactersMax: Int)
}

extension MultibaseError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .empty: "it is empty"
        case .unknownBase(let prefix): "its first character, of code \(prefix), stands for no known base"
        case .invalidCharacter(let offset): "character \(offset + 1) does not belong there"
        case .invalidLength(let characters): "\(characters) characters are no whole number of bytes"
        case .nonZeroTrailingBits: "its last character does not belong there"
        case .wrongPadding: "its end is padded wrongly"
        case .tooLong(let charactersMax): "it has more than \(charactersMax) characters"
        }
    }
}
