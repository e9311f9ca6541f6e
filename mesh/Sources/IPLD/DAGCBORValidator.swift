import Multiformats

/// One pass over bytes that checks whether they are one canonical DAG-CBOR value.
///
/// It keeps one frame per open container and nothing else, so its memory is bounded by the depth limit, whatever the
/// lengths in the input say.
struct DAGCBORValidator {
    private struct Frame {
        let isMap: Bool
        /// Items to come: values of a list, keys and values of a map.
        var remaining: UInt64
        /// Where the last key of a map was, first byte of its head to its end.
        var lastKey: Range<Int>?
    }

    private let bytes: [UInt8]
    private let limits: DAGCBOR.Limits
    private var index = 0
    private var frames: [Frame] = []

    init(_ bytes: [UInt8], limits: DAGCBOR.Limits) {
        self.bytes = bytes
        self.limits = limits
    }

    mutating func validate() throws(DAGCBORError) {
        if bytes.count > limits.bytesMax { throw .tooLarge(bytesMax: limits.bytesMax) }
        try item()
        while let last = frames.indices.last {
            if frames[last].remaining == 0 {
                frames.removeLast()
                continue
            }
            frames[last].remaining -= 1
            if frames[last].isMap && frames[last].remaining & 1 == 1 {
                try key(frame: last)
            } else {
                try item()
            }
        }
        if index != bytes.count { throw .trailingBytes(offset: index) }
    }

    private mutating func item() throws(DAGCBORError) {
        let start = index
        guard start < bytes.count else { throw .truncated(offset: start) }
        let first = bytes[start]
        switch CBORMajor(rawValue: first & 0xE0) {
        case .unsigned:
            if try argument() > limits.integerMax {
                throw .integerTooLarge(integerMax: limits.integerMax, offset: start)
            }
        case .negative:
            if try argument() > UInt64(Int64.max) { throw .integerOutOfRange(offset: start) }
        case .byteString:
            try skip(try argument(), of: start)
        case .text:
            try text(start)
        case .list:
            let count = try argument()
            if count > UInt64(bytes.count - index) { throw .truncated(offset: start) }
            try push(Frame(isMap: false, remaining: count), at: start)
        case .map:
            let count = try argument()
            // Every entry takes at least two bytes, which also keeps the doubling from overflowing.
            if count > UInt64((bytes.count - index) / 2) { throw .truncated(offset: start) }
            try push(Frame(isMap: true, remaining: count * 2), at: start)
        case .tag:
            try link(start)
        case .simple, nil:
            try simple(first, start)
        }
    }

    private mutating func push(_ frame: Frame, at start: Int) throws(DAGCBORError) {
        if frames.count >= limits.depthMax { throw .tooDeep(depthMax: limits.depthMax, offset: start) }
        frames.append(frame)
    }

    private mutating func key(frame: Int) throws(DAGCBORError) {
        let start = index
        guard start < bytes.count else { throw .truncated(offset: start) }
        guard bytes[start] & 0xE0 == CBORMajor.text.rawValue else { throw .keyNotText(offset: start) }
        try text(start)
        let range = start..<index
        if let last = frames[frame].lastKey { try checkOrder(last, range) }
        frames[frame].lastKey = range
    }

    /// Whole encoded keys compare like the keys do by length and then bytes, since the head holds the length.
    private func checkOrder(_ left: Range<Int>, _ right: Range<Int>) throws(DAGCBORError) {
        let common = min(left.count, right.count)
        for offset in 0..<common {
            let (first, second) = (bytes[left.lowerBound + offset], bytes[right.lowerBound + offset])
            if first < second { return }
            if first > second { throw .keysNotSorted(offset: right.lowerBound) }
        }
        // Encoded texts are prefix-free, so here they are equal.
        throw .duplicateKey(offset: right.lowerBound)
    }

    private mutating func text(_ start: Int) throws(DAGCBORError) {
        let count = try argument()
        let contentStart = index
        try skip(count, of: start)
        if !UTF8Check.isValid(bytes, contentStart..<index) { throw .invalidUTF8(offset: start) }
    }

    private mutating func skip(_ count: UInt64, of start: Int) throws(DAGCBORError) {
        if count > UInt64(bytes.count - index) { throw .truncated(offset: start) }
        index += Int(count)
    }

    private mutating func link(_ start: Int) throws(DAGCBORError) {
        let tag = try argument()
        if tag != 42 { throw .unsupportedTag(tag, offset: start) }
        guard index < bytes.count else { throw .truncated(offset: start) }
        guard bytes[index] & 0xE0 == CBORMajor.byteString.rawValue else { throw .malformedLink(offset: start) }
        let count = try argument()
        let contentStart = index
        try skip(count, of: start)
        guard count > 1, bytes[contentStart] == 0 else { throw .malformedLink(offset: start) }
        if isUsualCID(contentStart + 1) { return }
        guard (try? CID(bytes: Array(bytes[(contentStart + 1)..<index]))) != nil else {
            throw .malformedLink(offset: start)
        }
    }

    /// Version 1, a codec of one byte, SHA-256 of 32 bytes: recognized without creating a value.
    private func isUsualCID(_ start: Int) -> Bool {
        index - start == 36 && bytes[start] == 1 && bytes[start + 1] < 0x80 && bytes[start + 2] == 0x12
            && bytes[start + 3] == 0x20
    }

    private mutating func simple(_ first: UInt8, _ start: Int) throws(DAGCBORError) {
        switch first {
        case CBORWriter.falseByte, CBORWriter.trueByte, CBORWriter.nullByte:
            index += 1
        case CBORWriter.float64Byte:
            index += 1
            try skip(8, of: start)
            // An exponent of all ones is NaN or an infinity.
            let exponent = UInt16(bytes[start + 1] & 0x7F) << 4 | UInt16(bytes[start + 2] >> 4)
            if exponent == 0x7FF { throw .notFinite(offset: start) }
        case 0xF9, 0xFA:
            throw .shortFloat(offset: start)
        case 0xFF:
            throw .indefiniteLength(offset: start)
        case 0xFC, 0xFD, 0xFE:
            throw .reservedInformation(offset: start)
        default:
            throw .unsupportedSimpleValue(offset: start)
        }
    }

    /// The number in an item's head; moves past the head.
    private mutating func argument() throws(DAGCBORError) -> UInt64 {
        let start = index
        let information = bytes[start] & 0x1F
        index += 1
        if information < 24 { return UInt64(information) }
        if information == 31 { throw .indefiniteLength(offset: start) }
        if information > 27 { throw .reservedInformation(offset: start) }
        let count = 1 << Int(information - 24)
        guard bytes.count - index >= count else { throw .truncated(offset: start) }
        var value: UInt64 = 0
        for byte in bytes[index..<(index + count)] { value = value << 8 | UInt64(byte) }
        index += count
        let smallest: UInt64 = count == 1 ? 24 : 1 << UInt64(count * 4)
        if value < smallest { throw .notShortest(offset: start) }
        return value
    }
}
