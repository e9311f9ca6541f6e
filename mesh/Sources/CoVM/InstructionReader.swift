/// Steps over instructions and notes the features that they belong to.
///
/// It knows the length of every instruction and checks nothing else: the engine validates. It stops at the first
/// instruction of a feature that is switched off, and at bytes that are no instruction, because nobody knows how long
/// those are.
struct InstructionReader {
    private(set) var features: Set<ModuleFeature> = []
    private var reader: ModuleReader

    init(_ reader: ModuleReader) {
        self.reader = reader
    }

    /// Reads the locals and instructions of one function body; returns the feature that is off, if there is one.
    mutating func readBody() -> ModuleFeature? {
        do {
            for _ in 0..<(try reader.count()) {
                _ = try reader.count()
                try valueType()
            }
            while !reader.isAtEnd {
                if let off = try instruction() { return off }
            }
        } catch {
            // The engine has the better words for what is malformed.
        }
        return nil
    }

    /// Reads a constant expression to its end; returns where it ends, or `nil` if it cannot be read.
    mutating func expressionEnd() throws(ModuleRefusal) -> Int {
        // Constant expressions do not nest.
        while reader.peek() != 0x0B {
            if let off = try instruction() { throw .unsupported(feature: off) }
        }
        try reader.skip(1)
        return reader.offset
    }

    // MARK: Parts

    private mutating func valueType() throws(ModuleRefusal) {
        if try HeapType.isTyped(reader.byte()) { try reader.skipNumber() }
    }

    private mutating func blockType() throws(ModuleRefusal) {
        let first = reader.peek()
        if first == 0x63 || first == 0x64 {
            features.insert(.functionReferences)
            try reader.skip(1)
        }
        try reader.skipNumber()
    }

    private mutating func skipNumbers(_ count: Int) throws(ModuleRefusal) {
        for _ in 0..<count { try reader.skipNumber() }
    }

    private mutating func memoryArgument() throws(ModuleRefusal) {
        if try reader.unsigned32() & 0x40 != 0 {
            features.insert(.multipleMemories)
            try reader.skipNumber()
        }
        try reader.skipNumber()
    }

    private mutating func vector(_ item: (inout Self) throws(ModuleRefusal) -> Void) throws(ModuleRefusal) {
        for _ in 0..<(try reader.count()) { try item(&self) }
    }

    // MARK: Instructions

    private mutating func instruction() throws(ModuleRefusal) -> ModuleFeature? {
        let code = try reader.byte()
        switch code {
        case 0x00, 0x01, 0x05, 0x0B, 0x0F, 0x1A, 0x1B, 0x45...0xC4, 0xD1: break
        case 0x02, 0x03, 0x04: try blockType()
        case 0x06, 0x07, 0x09, 0x18, 0x19: return .legacyExceptions
        case 0x08: try use(.exceptions, numbers: 1)
        case 0x0A: try use(.exceptions, numbers: 0)
        case 0x0C, 0x0D, 0x10, 0x20...0x24, 0x3F, 0x40, 0x41, 0x42: try reader.skipNumber()
        case 0x0E:
            try vector { reader throws(ModuleRefusal) in try reader.reader.skipNumber() }
            try reader.skipNumber()
        case 0x11: try skipNumbers(2)
        case 0x12: try use(.tailCalls, numbers: 1)
        case 0x13: try use(.tailCalls, numbers: 2)
        case 0x14: try use(.functionReferences, numbers: 1)
        case 0x15:
            features.insert(.tailCalls)
            try use(.functionReferences, numbers: 1)
        case 0x1C:
            features.insert(.referenceTypes)
            try vector { reader throws(ModuleRefusal) in try reader.valueType() }
        case 0x1F: try tryTable()
        case 0x25, 0x26, 0xD2: try use(.referenceTypes, numbers: 1)
        case 0xD0: return try nullReference()
        case 0x28...0x3E: try memoryArgument()
        case 0x43: try reader.skip(4)
        case 0x44: try reader.skip(8)
        case 0xD3: return .garbageCollection
        case 0xD4: features.insert(.functionReferences)
        case 0xD5, 0xD6: try use(.functionReferences, numbers: 1)
        case 0xE0...0xE6: return .stackSwitching
        case 0xFB: return .garbageCollection
        case 0xFC: return try prefixed()
        case 0xFD: try vectorInstruction()
        case 0xFE: try atomic()
        default: throw .malformed(offset: reader.offset, what: "an unknown instruction \(code)")
        }
        return nil
    }

    private mutating func use(_ feature: ModuleFeature, numbers: Int) throws(ModuleRefusal) {
        features.insert(feature)
        try skipNumbers(numbers)
    }

    private mutating func tryTable() throws(ModuleRefusal) {
        features.insert(.exceptions)
        try blockType()
        try vector { reader throws(ModuleRefusal) in
            let kind = try reader.reader.byte()
            try reader.skipNumbers(kind < 2 ? 2 : 1)
        }
    }

    private mutating func nullReference() throws(ModuleRefusal) -> ModuleFeature? {
        features.insert(.referenceTypes)
        guard let type = reader.peek() else { return nil }
        if let off = HeapType.feature(type), off.isOff { return off }
        try reader.skipNumber()
        return nil
    }

    /// Instructions behind 0xFC: saturating conversions, bulk operations, wide arithmetic.
    private mutating func prefixed() throws(ModuleRefusal) -> ModuleFeature? {
        switch try reader.unsigned32() {
        case 0...7: break
        case 8, 10, 12, 14: try use(.bulkMemory, numbers: 2)
        case 9, 11, 13: try use(.bulkMemory, numbers: 1)
        case 15...17: try use(.referenceTypes, numbers: 1)
        case 19...22: return .wideArithmetic
        default: throw .malformed(offset: reader.offset, what: "an unknown instruction")
        }
        return nil
    }

    /// Instructions behind 0xFE: a fence with one byte, the others with an address.
    private mutating func atomic() throws(ModuleRefusal) {
        features.insert(.atomics)
        if try reader.unsigned32() == 3 { try reader.skip(1) } else { try memoryArgument() }
    }

    /// Instructions behind 0xFD.
    private mutating func vectorInstruction() throws(ModuleRefusal) {
        let code = try reader.unsigned32()
        features.insert(code >= 0x100 ? .relaxedSIMD : .simd)
        switch code {
        case 0...11, 92, 93: try memoryArgument()
        case 12, 13: try reader.skip(16)
        case 21...34: try reader.skip(1)
        case 84...91:
            try memoryArgument()
            try reader.skip(1)
        default: break
        }
    }
}

/// The bytes that stand for reference types.
enum HeapType {
    /// Whether a value type goes on with a heap type: a reference, nullable or not.
    static func isTyped(_ type: UInt8) -> Bool { type == 0x63 || type == 0x64 }

    /// The feature that a heap type, or the value type of the same byte, belongs to; `nil` for bytes that are none.
    static func feature(_ type: UInt8) -> ModuleFeature? {
        switch type {
        case 0x70, 0x6F: .referenceTypes
        case 0x69, 0x74: .exceptions
        case 0x6A...0x6E, 0x71...0x73: .garbageCollection
        case 0x68, 0x75: .stackSwitching
        case 0x65: .sharedMemory
        default: nil
        }
    }
}
