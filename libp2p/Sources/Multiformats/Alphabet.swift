/// The characters of a base, and the value of each.
struct Alphabet: Sendable {
    let characters: [UInt8]
    private let values: [UInt8]

    /// `foldsCase` also reads letters of the other case, as multibase requires for base 16, 32 and 36.
    init(_ text: String, foldsCase: Bool = false) {
        characters = Array(text.utf8)
        var values = [UInt8](repeating: 0xFF, count: 256)
        for (value, character) in characters.enumerated() {
            values[Int(character)] = UInt8(value)
            guard foldsCase else { continue }
            let isLetter = (0x41...0x5A).contains(character & 0xDF)
            values[Int(isLetter ? character ^ 0x20 : character)] = UInt8(value)
        }
        self.values = values
    }

    /// The value of a character; `nil` when it is not in the alphabet.
    func value(of character: UInt8) -> UInt8? {
        let value = values[Int(character)]
        return value == 0xFF ? nil : value
    }
}
