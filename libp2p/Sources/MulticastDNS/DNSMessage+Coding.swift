extension DNSMessage {
    private static let classInternet: UInt16 = 1
    private static let classAny: UInt16 = 255
    /// The bit that asks for an answer to the sender alone, or says that a record replaces others.
    private static let topBit: UInt16 = 0x8000
    private static let responseFlags: UInt16 = 0x8400

    /// Reads a message; takes time linear in its bytes and in the limits.
    package init(decoding bytes: [UInt8]) throws(DNSMessageError) {
        guard bytes.count <= Limits.messageBytesMax else { throw .tooMuch }
        var reader = DNSReader(bytes)
        _ = try reader.number()
        let flags = try reader.number()
        // Other operations and errors are ignored (RFC 6762, 18.3 and 18.11).
        guard flags & 0x780F == 0 else { throw .notUnderstood }
        self.init(isResponse: flags & 0x8000 != 0)
        var counts: [Int] = []
        for _ in 0..<4 { counts.append(Int(try reader.number())) }
        guard counts[0] <= Limits.questionsMax, counts[1] + counts[2] + counts[3] <= Limits.recordsMax else {
            throw .tooMuch
        }
        for _ in 0..<counts[0] {
            let name = try reader.name()
            let kind = Kind(rawValue: try reader.number())
            let asked = try reader.number() & ~Self.topBit
            guard let kind, asked == Self.classInternet || asked == Self.classAny else { continue }
            questions.append(Question(name, kind))
        }
        for _ in 0..<counts[1] { if let record = try Self.record(&reader) { answers.append(record) } }
        for _ in 0..<counts[2] { _ = try Self.record(&reader) }
        for _ in 0..<counts[3] { if let record = try Self.record(&reader) { additions.append(record) } }
    }

    private static func record(_ reader: inout DNSReader) throws(DNSMessageError) -> Record? {
        let name = try reader.name()
        let kind = Kind(rawValue: try reader.number())
        let ofClass = try reader.number()
        let lifeSeconds = UInt32(try reader.number()) << 16 | UInt32(try reader.number())
        let length = Int(try reader.number())
        let end = try reader.end(after: length)
        defer { reader.position = end }
        guard ofClass & ~topBit == classInternet, let kind, kind != .any else { return nil }
        let content: Content
        switch kind {
        case .ip4: content = .ip4(try reader.bytes(end - reader.position))
        case .ip6: content = .ip6(try reader.bytes(end - reader.position))
        case .pointer: content = .pointer(try reader.name())
        case .texts: content = .texts(try reader.texts(until: end))
        case .service:
            _ = (try reader.number(), try reader.number())
            content = .service(port: try reader.number(), host: try reader.name())
        case .any: return nil
        }
        switch content {
        case .ip4(let bytes) where bytes.count != 4: throw .badRecord
        case .ip6(let bytes) where bytes.count != 16: throw .badRecord
        default: break
        }
        guard reader.position == end else { throw .badRecord }
        return Record(name, content, lifeSeconds: lifeSeconds, isUnique: ofClass & topBit != 0)
    }

    /// The bytes of the message.
    package func encoded() -> [UInt8] {
        var writer = DNSWriter()
        for number in [
            0, isResponse ? Self.responseFlags : 0, UInt16(clamping: questions.count),
            UInt16(clamping: answers.count), 0, UInt16(clamping: additions.count),
        ] { writer.number(number) }
        for question in questions {
            writer.name(question.name)
            writer.number(question.kind.rawValue)
            writer.number(Self.classInternet)
        }
        for record in answers + additions { Self.write(record, to: &writer) }
        return writer.bytes
    }

    private static func write(_ record: Record, to writer: inout DNSWriter) {
        writer.name(record.name)
        writer.number(record.kind.rawValue)
        writer.number(classInternet | (record.isUnique ? topBit : 0))
        writer.number(UInt16(record.lifeSeconds >> 16))
        writer.number(UInt16(record.lifeSeconds & 0xFFFF))
        writer.withLength { writer in
            switch record.content {
            case .ip4(let bytes), .ip6(let bytes): writer.bytes += bytes
            case .pointer(let name): writer.name(name)
            case .texts(let texts):
                for text in texts.prefix(Limits.textsMax) {
                    let text = text.prefix(Limits.textBytesMax)
                    writer.bytes += [UInt8(text.count)] + text
                }
                // A record without any text has one that is empty (RFC 6763, 6.1).
                if texts.isEmpty { writer.bytes.append(0) }
            case .service(let port, let host):
                writer.number(0)
                writer.number(0)
                writer.number(port)
                writer.name(host)
            }
        }
    }
}

/// Reads the parts of a message, none of them beyond its end.
private struct DNSReader {
    private let all: [UInt8]
    private var labelsRead = 0
    var position = 0

    init(_ bytes: [UInt8]) { all = bytes }

    mutating func bytes(_ count: Int) throws(DNSMessageError) -> [UInt8] {
        guard count >= 0, count <= all.count - position else { throw .truncated }
        defer { position += count }
        return Array(all[position..<position + count])
    }

    mutating func byte() throws(DNSMessageError) -> UInt8 {
        guard position < all.count else { throw .truncated }
        defer { position += 1 }
        return all[position]
    }

    mutating func number() throws(DNSMessageError) -> UInt16 { UInt16(try byte()) << 8 | UInt16(try byte()) }

    func end(after count: Int) throws(DNSMessageError) -> Int {
        guard count <= all.count - position else { throw .truncated }
        return position + count
    }

    /// Each text is a byte with its length and as many bytes; empty ones say nothing.
    mutating func texts(until end: Int) throws(DNSMessageError) -> [[UInt8]] {
        var texts: [[UInt8]] = []
        while position < end {
            guard texts.count < DNSMessage.Limits.textsMax else { throw .tooMuch }
            let count = Int(try byte())
            guard count <= end - position else { throw .badRecord }
            let text = try bytes(count)
            if !text.isEmpty { texts.append(text) }
        }
        return texts
    }

    /// A name may end with a pointer at an earlier one, which may do so, too: each at one before it, so that it ends.
    mutating func name() throws(DNSMessageError) -> DNSName {
        var labels: [[UInt8]] = []
        var (after, pointers, length, bound) = (Int?.none, 0, 1, position)
        while true {
            let first = try byte()
            switch first {
            case 0:
                if let after { position = after }
                guard let name = DNSName(labels: labels) else { throw .badName }
                return name
            case 1...63:
                length += Int(first) + 1
                labelsRead += 1
                guard length <= DNSName.bytesMax else { throw .tooMuch }
                guard labelsRead <= DNSMessage.Limits.labelsMax else { throw .tooManyLabels }
                labels.append(try bytes(Int(first)))
            case 0xC0...:
                let target = Int(first & 0x3F) << 8 | Int(try byte())
                pointers += 1
                guard target < bound, pointers <= DNSMessage.Limits.pointersMax else { throw .badName }
                after = after ?? position
                (bound, position) = (target, target)
            default: throw .badName
            }
        }
    }
}

/// Writes the parts of a message; a name that was written before, or the end of one, is pointed at.
private struct DNSWriter {
    var bytes: [UInt8] = []
    private var places: [[[UInt8]]: UInt16] = [:]

    mutating func number(_ value: UInt16) { bytes += [UInt8(value >> 8), UInt8(value & 0xFF)] }

    mutating func name(_ name: DNSName) {
        for index in name.labels.indices {
            let rest = Array(name.labels[index...])
            if let place = places[rest] { return number(0xC000 | place) }
            if bytes.count < 0x4000 { places[rest] = UInt16(bytes.count) }
            bytes += [UInt8(name.labels[index].count)] + name.labels[index]
        }
        bytes.append(0)
    }

    mutating func withLength(_ body: (inout DNSWriter) -> Void) {
        let place = bytes.count
        number(0)
        body(&self)
        let count = UInt16(clamping: bytes.count - place - 2)
        (bytes[place], bytes[place + 1]) = (UInt8(count >> 8), UInt8(count & 0xFF))
    }
}
