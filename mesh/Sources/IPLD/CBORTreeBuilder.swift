import Multiformats

/// Builds the tree of values of a validated document with its own stack instead of recursion.
enum CBORTreeBuilder {
    private struct Frame {
        let isMap: Bool
        var remaining: Int
        var key = ""
        var list: [IPLDValue] = []
        var entries: [IPLDMap.Entry] = []
    }

    static func build(_ bytes: [UInt8], at offset: Int) -> IPLDValue {
        var cursor = CBORCursor(bytes: bytes, index: offset)
        var frames: [Frame] = []
        while true {
            if let last = frames.indices.last, frames[last].isMap, frames[last].remaining > 0 {
                frames[last].key = String(decoding: cursor.content(), as: UTF8.self)
            }
            var finished: IPLDValue?
            if let frame = opened(&cursor) {
                frames.append(frame)
            } else {
                finished = scalar(&cursor)
            }
            // A finished value goes into the container around it, which may finish that too.
            while true {
                if let value = finished {
                    guard let last = frames.indices.last else { return value }
                    add(value, to: &frames[last])
                    finished = nil
                }
                guard let last = frames.last, last.remaining == 0 else { break }
                frames.removeLast()
                finished = last.isMap ? .map(IPLDMap(sorted: last.entries)) : .list(last.list)
            }
        }
    }

    private static func add(_ value: IPLDValue, to frame: inout Frame) {
        frame.remaining -= 1
        if frame.isMap {
            frame.entries.append(IPLDMap.Entry(key: frame.key, value: value))
        } else {
            frame.list.append(value)
        }
    }

    private static func opened(_ cursor: inout CBORCursor) -> Frame? {
        switch CBORMajor(rawValue: cursor.major) {
        case .list: Frame(isMap: false, remaining: Int(cursor.head()))
        case .map: Frame(isMap: true, remaining: Int(cursor.head()))
        default: nil
        }
    }

    private static func scalar(_ cursor: inout CBORCursor) -> IPLDValue {
        let first = cursor.bytes[cursor.index]
        switch CBORMajor(rawValue: first & 0xE0) {
        case .unsigned: return .unsigned(cursor.head())
        case .negative: return .negative(~Int64(bitPattern: cursor.head()))
        case .byteString: return .bytes(Array(cursor.content()))
        case .text: return .string(String(decoding: cursor.content(), as: UTF8.self))
        case .tag: return cursor.link().map { .link($0) } ?? .null
        case .list, .map, .simple, nil:
            if first == CBORWriter.float64Byte {
                cursor.index += 1
                let bits = cursor.bytes[cursor.index..<(cursor.index + 8)].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
                cursor.index += 8
                return .float(Double(bitPattern: bits))
            }
            cursor.index += 1
            if first == CBORWriter.nullByte { return .null }
            return .bool(first == CBORWriter.trueByte)
        }
    }
}
