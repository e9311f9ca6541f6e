import Multiformats

/// The output of one encoding, shared by the containers that `Encodable` types write to.
///
/// It is a class because Swift's `Encoder` hands out containers by value that must all write to one place. Items go
/// straight into the output; a frame per unfinished value remembers where its entries are, and sorts them into
/// canonical order when the value is finished.
final class CBOREncodingState {
    enum Kind {
        case undecided
        case single
        case list
        case map
    }

    /// A nested container or super encoder: it may be written to until its parent is finished, so it has its own
    /// output, which is inserted then.
    private struct Deferred {
        let offset: Int
        let key: String?
        let state: CBOREncodingState
    }

    private struct Frame {
        var kind = Kind.undecided
        let start: Int
        let firstEntry: Int
        var count = 0
        var deferred: [Deferred] = []
        /// Opening a container cannot throw, so an error waits here for the first write, or for the end.
        var refusal: EncodingError?
    }

    private(set) var writer = CBORWriter()
    private var frames: [Frame] = []
    /// Key and value of the entries of all open maps, those of inner maps after those of outer ones.
    private var entries: [Range<Int>] = []
    private var depth: Int
    private let depthMax: Int

    init(depth: Int, depthMax: Int) {
        self.depth = depth
        self.depthMax = depthMax
    }

    // MARK: Values

    func encode<Value: Encodable>(_ value: Value) throws {
        // The types are compared before the cast, because a cast of an empty array to another element type succeeds.
        if Value.self == String.self, let text = value as? String {
            writer.text(text)
        } else if Value.self == [UInt8].self, let bytes = value as? [UInt8] {
            writer.byteString(bytes[...])
        } else if Value.self == CID.self, let cid = value as? CID {
            writer.link(cid)
        } else {
            let frame = push()
            try value.encode(to: CBOREncoding(state: self, frame: frame))
            try finish(frame)
        }
    }

    func float(_ value: Double) throws {
        if !value.isFinite { throw Self.invalid(value, "DAG-CBOR has no NaN and no infinity") }
        writer.float(value)
    }

    /// Opens the frame of a value that will be written later, and returns its encoder.
    private func child(key: String?, in frame: Int) -> CBOREncoding {
        let state = CBOREncodingState(depth: depth, depthMax: depthMax)
        frames[frame].deferred.append(Deferred(offset: writer.bytes.count, key: key, state: state))
        return CBOREncoding(state: state, frame: state.push())
    }

    private func push() -> Int {
        frames.append(Frame(start: writer.bytes.count, firstEntry: entries.count))
        return frames.count - 1
    }

    // MARK: Containers

    /// Makes the value of a frame a container, or continues the container it is.
    func begin(_ kind: Kind, in frame: Int) {
        let current = frames[frame].kind
        if current == kind && kind != .single { return }
        if current != .undecided {
            frames[frame].refusal = Self.invalid(kind, "two containers of different kinds for one value")
            return
        }
        frames[frame].kind = kind
        if kind == .single { return }
        if depth >= depthMax { frames[frame].refusal = Self.invalid(kind, "more than \(depthMax) nested containers") }
        depth += 1
        _ = writer.placeholder()
    }

    /// Adds an entry to the map of a frame.
    func entry(_ key: String, in frame: Int, _ write: (CBOREncodingState) throws -> Void) throws {
        try checkMayWrite(frame)
        let start = writer.bytes.count
        writer.text(key)
        try write(self)
        entries.append(start..<writer.bytes.count)
    }

    /// Adds an element to the list of a frame.
    func element(in frame: Int, _ write: (CBOREncodingState) throws -> Void) throws {
        try checkMayWrite(frame)
        try write(self)
        frames[frame].count += 1
    }

    /// Writes the only item of a frame.
    func single(in frame: Int, _ write: (CBOREncodingState) throws -> Void) throws {
        try checkMayWrite(frame)
        if writer.bytes.count != frames[frame].start {
            throw Self.invalid(frame, "two values in a single-value container")
        }
        try write(self)
    }

    func deferredEntry(_ key: String, in frame: Int) -> CBOREncoding { child(key: key, in: frame) }

    func deferredElement(in frame: Int) -> CBOREncoding {
        frames[frame].count += 1
        return child(key: nil, in: frame)
    }

    func count(in frame: Int) -> Int { frames[frame].count }

    // Access for the containers' closures.
    func write(_ body: (inout CBORWriter) -> Void) { body(&writer) }

    private func checkMayWrite(_ frame: Int) throws {
        if frame != frames.count - 1 {
            throw Self.invalid(frame, "a container was written to after its value was finished")
        }
        if let refusal = frames[frame].refusal { throw refusal }
    }

    // MARK: Finishing

    private func finish(_ index: Int) throws {
        let frame = frames[index]
        if let refusal = frame.refusal { throw refusal }
        switch frame.kind {
        case .undecided:
            // A type that encodes nothing has no members: an empty map.
            writer.head(.map, 0)
        case .single:
            if writer.bytes.count == frame.start { throw Self.invalid(index, "an empty single-value container") }
        case .list:
            try splice(frame)
            writer.fill(frame.start, .list, frame.count)
            depth -= 1
        case .map:
            try appendDeferredEntries(frame)
            let count = entries.count - frame.firstEntry
            try sortEntries(frame)
            entries.removeLast(count)
            writer.fill(frame.start, .map, count)
            depth -= 1
        }
        frames.removeLast()
    }

    /// The output of a deferred value.
    private func finishedBytes() throws -> [UInt8] {
        try finish(0)
        return writer.bytes
    }

    private func appendDeferredEntries(_ frame: Frame) throws {
        for deferred in frame.deferred {
            let start = writer.bytes.count
            writer.text(deferred.key ?? "super")
            writer.encoded(try deferred.state.finishedBytes()[...])
            entries.append(start..<writer.bytes.count)
        }
    }

    /// Inserts the deferred elements of a list in their places.
    private func splice(_ frame: Frame) throws {
        if frame.deferred.isEmpty { return }
        var content = CBORWriter()
        var position = frame.start + 1
        for deferred in frame.deferred {
            content.encoded(writer.bytes[position..<deferred.offset])
            content.encoded(try deferred.state.finishedBytes()[...])
            position = deferred.offset
        }
        content.encoded(writer.bytes[position...])
        writer.replace(from: frame.start + 1, with: content.bytes)
    }

    /// Encoded keys compare like the keys by length and then bytes, because an item's head holds its length; entries
    /// start with their keys, and the keys of two entries differ before either key ends.
    private func sortEntries(_ frame: Frame) throws {
        let bytes = writer.bytes
        var own = Array(entries[frame.firstEntry...])
        if zip(own, own.dropFirst()).allSatisfy({ Self.compare(bytes, $0, $1) < 0 }) { return }
        own.sort { Self.compare(bytes, $0, $1) < 0 }
        for (left, right) in zip(own, own.dropFirst()) where Self.compare(bytes, left, right) == 0 {
            throw Self.invalid(left, "a key was encoded twice")
        }
        var content: [UInt8] = []
        content.reserveCapacity(bytes.count - frame.start)
        for entry in own { content.append(contentsOf: bytes[entry]) }
        writer.replace(from: frame.start + 1, with: content)
    }

    /// Compares the keys at the start of two entries: negative, zero or positive.
    private static func compare(_ bytes: [UInt8], _ left: Range<Int>, _ right: Range<Int>) -> Int {
        var leftKey = CBORCursor(bytes: bytes, index: left.lowerBound)
        var rightKey = CBORCursor(bytes: bytes, index: right.lowerBound)
        let leftCount = Int(leftKey.head())
        let rightCount = Int(rightKey.head())
        if leftCount != rightCount { return leftCount - rightCount }
        for offset in 0..<leftCount {
            let difference = Int(bytes[leftKey.index + offset]) - Int(bytes[rightKey.index + offset])
            if difference != 0 { return difference }
        }
        return 0
    }

    static func invalid(_ value: Any, _ reason: String) -> EncodingError {
        .invalidValue(value, EncodingError.Context(codingPath: [], debugDescription: reason))
    }
}
