/// The guest's memory, as a host function reaches it: every access is checked.
package protocol GuestBytes: SendableMetatype {
    /// A copy of the bytes in a range; nil if it is not inside the memory.
    func bytes(at pointer: UInt32, count: UInt32) -> [UInt8]?
    /// Whether a range is inside the memory.
    func holds(_ pointer: UInt32, count: UInt32) -> Bool
    /// Copies bytes into the memory; false if they do not fit.
    mutating func write(_ bytes: [UInt8], at pointer: UInt32) -> Bool
}

/// One call of a function of preview 1: its arguments, the guest's memory, and the world.
struct PreviewCall<Memory: GuestBytes> {
    /// The arguments as the guest gave them; an `i32` has zeros above.
    let arguments: [UInt64]
    let limits: GuestFileSystem.Limits
    let world: GuestWorld
    var memory: Memory
    /// What went to a stream.
    var output: StreamWrite?
    /// Bytes that were read.
    var bytesRead = 0

    func word(_ index: Int) -> UInt32 { UInt32(truncatingIfNeeded: arguments[index]) }
    func long(_ index: Int) -> UInt64 { arguments[index] }

    /// An argument of 8 or 16 bits; EINVAL if it has more.
    func small<Value: FixedWidthInteger & UnsignedInteger>(_ index: Int, _: Value.Type) throws(FileStop) -> Value {
        guard let value = Value(exactly: word(index)) else { throw .errno(.invalid) }
        return value
    }

    // MARK: Memory

    /// Throws EFAULT unless the memory has room for a result, so that nothing changes that cannot be told.
    func require(_ index: Int, bytes count: Int) throws(FileStop) {
        guard let count = UInt32(exactly: count), memory.holds(word(index), count: count) else {
            throw .errno(.fault)
        }
    }

    mutating func answer(_ bytes: [UInt8], at index: Int) throws(FileStop) {
        guard memory.write(bytes, at: word(index)) else { throw .errno(.fault) }
    }

    mutating func answer(_ value: some FixedWidthInteger, at index: Int) throws(FileStop) {
        try answer(Self.encoded(value), at: index)
    }

    /// The bytes of an integer, lowest first.
    static func encoded<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
        (0..<Value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> Value($0 * 8)) }
    }

    /// A path or target: its pointer and then its length.
    func text(_ index: Int) throws(FileStop) -> [UInt8] {
        let count = word(index + 1)
        guard count <= limits.pathBytesMax else { throw .errno(.nameTooLong) }
        guard let bytes = memory.bytes(at: word(index), count: count) else { throw .errno(.fault) }
        return bytes
    }

    /// A place: a descriptor, and a path elsewhere.
    func place(_ descriptor: Int, path: Int, lookup: Int? = nil) throws(FileStop) -> GuestFileSystem.Place {
        var followsLink = false
        if let lookup {
            guard word(lookup) <= 1 else { throw .errno(.invalid) }
            followsLink = word(lookup) == 1
        }
        return GuestFileSystem.Place(word(descriptor), try text(path), followsLink: followsLink)
    }

    /// The buffers whose list begins at an argument with its count after it, cut to what one call transfers; EFAULT if
    /// one of them is not inside the memory.
    func buffers(_ index: Int) throws(FileStop) -> [(pointer: UInt32, count: UInt32)] {
        let count = word(index + 1)
        guard count <= limits.vectorsMax else { throw .errno(.invalid) }
        guard let list = memory.bytes(at: word(index), count: count * 8) else { throw .errno(.fault) }
        var left = UInt32(limits.transferBytesMax)
        var buffers: [(pointer: UInt32, count: UInt32)] = []
        for start in stride(from: 0, to: list.count, by: 8) where left > 0 {
            let pointer = Self.word(list, start)
            let count = min(left, Self.word(list, start + 4))
            guard memory.holds(pointer, count: count) else { throw .errno(.fault) }
            left -= count
            buffers.append((pointer, count))
        }
        return buffers
    }

    private static func word(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        bytes[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Puts what was read into the buffers.
    mutating func scatter(
        _ bytes: [UInt8], _ buffers: [(pointer: UInt32, count: UInt32)]
    ) throws(FileStop) {
        var offset = 0
        for (pointer, count) in buffers where offset < bytes.count {
            let end = min(bytes.count, offset + Int(count))
            guard memory.write(Array(bytes[offset..<end]), at: pointer) else { throw .errno(.fault) }
            offset = end
        }
    }

    /// What the buffers hold, to be written.
    func gather(_ buffers: [(pointer: UInt32, count: UInt32)]) throws(FileStop) -> [UInt8] {
        var bytes: [UInt8] = []
        for (pointer, count) in buffers {
            guard let part = memory.bytes(at: pointer, count: count) else { throw .errno(.fault) }
            bytes += part
        }
        return bytes
    }
}
