/// A number that a job calls a function with, or that the function returns (PROTOCOL.md, "A call with numbers").
///
/// A value has one spelling, in bytes and as text: floats are carried by their bits, and there is one NaN.
package struct WasmNumber: Hashable, Sendable, Codable {
    /// The number types of WebAssembly, by their names there.
    package enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        /// An integer of 32 bits.
        case i32
        /// An integer of 64 bits.
        case i64
        /// A float of 32 bits.
        case f32
        /// A float of 64 bits.
        case f64
    }

    /// Its type.
    package let type: Kind
    /// An integer's value, or a float's bits, both as a signed number of the type's width.
    package let bits: Int64

    /// An integer of 32 bits.
    package init(_ value: Int32) { (type, bits) = (.i32, Int64(value)) }

    /// An integer of 64 bits.
    package init(_ value: Int64) { (type, bits) = (.i64, value) }

    /// A float of 32 bits; every NaN becomes the one that there is.
    package init(_ value: Float) {
        let pattern = value.isNaN ? Self.nan32 : value.bitPattern
        (type, bits) = (.f32, Int64(Int32(bitPattern: pattern)))
    }

    /// A float of 64 bits; every NaN becomes the one that there is.
    package init(_ value: Double) {
        (type, bits) = (.f64, Int64(bitPattern: value.isNaN ? Self.nan64 : value.bitPattern))
    }

    /// What an originator gave, which `isWellFormed` may refuse.
    init(type: Kind, bits: Int64) { (self.type, self.bits) = (type, bits) }

    private static let nan32: UInt32 = 0x7FC0_0000
    private static let nan64: UInt64 = 0x7FF8_0000_0000_0000

    /// Whether the bits fit the type, and a NaN is the one that there is.
    package var isWellFormed: Bool {
        switch type {
        case .i32: Int32(exactly: bits) != nil
        case .i64: true
        case .f32: Int32(exactly: bits) != nil && WasmNumber(float) == self
        case .f64: WasmNumber(double) == self
        }
    }

    /// The bits as an `i32`; of a wider number its lowest ones.
    package var int32: Int32 { Int32(truncatingIfNeeded: bits) }
    /// The bits as an `f32`.
    package var float: Float { Float(bitPattern: UInt32(truncatingIfNeeded: bits)) }
    /// The bits as an `f64`.
    package var double: Double { Double(bitPattern: UInt64(bitPattern: bits)) }
}

extension WasmNumber {
    /// Why a text is no number of a type.
    package enum TextFault: Error, Hashable, CustomStringConvertible {
        /// It is no number.
        case notANumber
        /// It is one, and the type does not hold it.
        case outOfRange

        /// What the text is instead.
        package var description: String {
            switch self {
            case .notANumber: "no number of the type"
            case .outOfRange: "out of the type's range"
            }
        }
    }

    /// Reads a number as WebAssembly's text format writes it: integers decimal or with `0x`, signed or unsigned; floats
    /// decimal or with `0x`, or `inf` and `nan`.
    package init(_ text: String, as type: Kind) throws(TextFault) {
        switch type {
        case .i32: self.init(Int32(truncatingIfNeeded: try Self.integer(text, min: Int64(Int32.min), max: 1 << 32 - 1)))
        case .i64: self.init(try Self.integer(text, min: .min, max: .max))
        case .f32: self.init(try Self.float(text) as Float)
        case .f64: self.init(try Self.float(text) as Double)
        }
    }

    private static func integer(_ text: String, min: Int64, max: UInt64) throws(TextFault) -> Int64 {
        let isNegative = text.hasPrefix("-")
        let unsigned = isNegative || text.hasPrefix("+") ? text.dropFirst() : text[...]
        let isHex = unsigned.hasPrefix("0x") || unsigned.hasPrefix("0X")
        let digits = isHex ? unsigned.dropFirst(2) : unsigned
        let isDigit: (Character) -> Bool = { $0.isASCII && (isHex ? $0.isHexDigit : $0.isNumber) }
        guard !digits.isEmpty, digits.allSatisfy(isDigit) else { throw .notANumber }
        guard let magnitude = UInt64(digits, radix: isHex ? 16 : 10) else { throw .outOfRange }
        guard isNegative ? magnitude <= min.magnitude : magnitude <= max else { throw .outOfRange }
        let value = Int64(bitPattern: magnitude)
        return isNegative ? 0 &- value : value
    }

    private static func float<Value: BinaryFloatingPoint & LosslessStringConvertible>(
        _ text: String
    ) throws(TextFault) -> Value {
        guard let value = Value(text) else { throw .notANumber }
        guard !value.isInfinite || text.lowercased().contains("inf") else { throw .outOfRange }
        return value
    }

    /// The only spelling: integers signed and decimal; floats in the shortest digits that read back as the same number
    /// of their type, of these the closest, laid out as ECMAScript lays out numbers; `-0`, `inf`, `-inf` and `nan`.
    package var text: String {
        switch type {
        case .i32, .i64: String(bits)
        case .f32: Self.text(float, "\(float)")
        case .f64: Self.text(double, "\(double)")
        }
    }

    private static func text<Value: BinaryFloatingPoint>(_ value: Value, _ shortest: String) -> String {
        if value.isNaN { return "nan" }
        let sign = value.sign == .minus ? "-" : ""
        if value.isInfinite { return sign + "inf" }
        if value.isZero { return sign + "0" }
        // The standard library writes the digits that are meant, in a layout of its own.
        let parts = shortest.split(separator: "e")
        let mantissa = parts[0].drop { $0 == "-" }.split(separator: ".")
        let exponent = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
        let written = mantissa.joined()
        let digits = written.drop { $0 == "0" }
        let point = mantissa[0].count + exponent - (written.count - digits.count)
        return sign + laidOut(String(digits.reversed().drop { $0 == "0" }.reversed()), point: point)
    }

    /// Digits with a point after the first `point` of them (ECMA-262, Number::toString).
    private static func laidOut(_ digits: String, point: Int) -> String {
        func zeros(_ count: Int) -> String { String(repeating: "0", count: count) }
        switch point {
        case digits.count...21: return digits + zeros(point - digits.count)
        case 1...21: return "\(digits.prefix(point)).\(digits.dropFirst(point))"
        case -5...0: return "0." + zeros(-point) + digits
        default:
            let fraction = digits.count > 1 ? ".\(digits.dropFirst())" : ""
            return "\(digits.prefix(1))\(fraction)e\(point > 0 ? "+" : "-")\((point - 1).magnitude)"
        }
    }
}

/// A job's call of an exported function with numbers (PROTOCOL.md, "A call with numbers").
package enum NumberCall {
    /// What an executor that runs such jobs has among its features; such a job requires it.
    package static let feature = "invoke-v1"
    /// The name of the output that the function's results become.
    package static let resultName = "result"

    /// Bounds of a call.
    package enum Limits {
        /// Parameters of a function that can be called so.
        package static let parametersMax = 64
        /// Its results.
        package static let resultsMax = 64
    }

    /// The bytes of the output: every number on a line of its own.
    package static func output(_ results: [WasmNumber]) -> [UInt8] {
        Array(results.map { $0.text + "\n" }.joined().utf8)
    }
}
