/// Bitcoin's base 58 without a prefix: the text of PeerIDs and of CIDs of version 0.
public enum Base58 {
    /// The text of bytes.
    public static func encode(_ bytes: [UInt8]) -> String {
        Multibase.encodeWithoutPrefix(bytes, .base58btc)
    }

    /// The bytes of a text of at most 1,024 characters; an empty text gives none.
    public static func decode(_ text: String) throws(MultibaseError) -> [UInt8] {
        try Multibase.decodeWithoutPrefix(text, .base58btc)
    }
}
