/// Reads the sections of a module into a ``ModuleInspection``.
///
/// It keeps the types of functions, to check imports and the entry point, and no bodies.
struct SectionParser {
    private let limits: ModuleLimits
    private var result = ModuleInspection()
    private var types: [ModuleInspection.FunctionType] = []
    // Type indices of imported functions, then of the module's own: the function index space.
    private var functions: [Int] = []
    private var ownFunctions = 0
    private var memories = 0
    private var tables = 0

    init(limits: ModuleLimits) {
        self.limits = limits
    }

    mutating func parse(_ module: [UInt8]) throws(ModuleRefusal) -> ModuleInspection {
        result.moduleBytes = module.count
        guard module.starts(with: [0x00, 0x61, 0x73, 0x6D]) else { throw .notAModule }
        guard module.count >= 8 else { throw .truncated(offset: module.count) }
        if module[6] == 1, module[7] == 0 { throw .component }
        guard module[4...7].elementsEqual([1, 0, 0, 0]) else { throw .notAModule }
        guard module.count <= limits.moduleBytes else {
            throw .tooLarge(bytes: module.count, limit: limits.moduleBytes)
        }
        var reader = ModuleReader(module)
        try reader.skip(8)
        var seen: Set<UInt8> = []
        var bodies = 0
        while !reader.isAtEnd {
            let start = reader.offset
            let id = try reader.byte()
            let count = try reader.count()
            var section = try reader.slice(count)
            if id == 0 { continue }
            guard seen.insert(id).inserted else {
                throw .malformed(offset: start, what: "section \(id) comes twice")
            }
            switch id {
            case 1: try typeSection(&section)
            case 2: try importSection(&section)
            case 3: try functionSection(&section)
            case 4: try tableSection(&section)
            case 5: try memorySection(&section)
            case 7: try exportSection(&section)
            case 10: bodies = try codeSection(&section)
            case 13: try tagSection(&section)
            case 6, 8, 9, 11, 12: break
            default: throw .malformed(offset: start, what: "an unknown section \(id)")
            }
        }
        guard bodies == ownFunctions else {
            throw .malformed(offset: module.count, what: "\(ownFunctions) functions but \(bodies) bodies")
        }
        return result
    }

    private func bounded(_ count: Int, _ what: String, _ limit: Int) throws(ModuleRefusal) -> Int {
        guard count <= limit else { throw .tooMany(what: what, count: count, limit: limit) }
        return count
    }

    private mutating func typeSection(_ reader: inout ModuleReader) throws(ModuleRefusal) {
        for _ in 0..<(try bounded(try reader.count(), "types", limits.typesMax)) {
            let form = try reader.byte()
            guard form == 0x60 else { throw .unsupported(feature: Self.feature(ofType: form)) }
            let parameters = try valueTypes(&reader)
            types.append(.init(parameters: parameters, results: try valueTypes(&reader)))
        }
        try reader.expectEnd(of: "type")
    }

    /// What a type that is no function's belongs to.
    private static func feature(ofType form: UInt8) -> ModuleFeature {
        switch form {
        case 0x5D: .stackSwitching
        case 0x65: .sharedMemory
        default: .garbageCollection
        }
    }

    private mutating func valueTypes(_ reader: inout ModuleReader) throws(ModuleRefusal) -> [ModuleInspection.ValueType]
    {
        // 1,000 is the limit of the JavaScript embedding, which every toolchain respects.
        let count = try bounded(try reader.count(), "parameters or results of a function", 1_000)
        var list: [ModuleInspection.ValueType] = []
        for _ in 0..<count { list.append(try valueType(&reader)) }
        return list
    }

    /// A value type; one that goes on with the index of a type is returned without it.
    private mutating func valueType(_ reader: inout ModuleReader) throws(ModuleRefusal) -> ModuleInspection.ValueType {
        let offset = reader.offset
        let type = try reader.byte()
        switch type {
        case 0x7C...0x7F: return type
        case 0x7B: result.features.insert(.simd)
        case _ where HeapType.isTyped(type):
            // A type index has its highest bit clear, as a number of one or more bytes.
            if let next = reader.peek(), let feature = HeapType.feature(next) { try use(feature) }
            result.features.insert(.functionReferences)
            try reader.skipNumber()
        default:
            guard let feature = HeapType.feature(type) else {
                throw .malformed(offset: offset, what: "an unknown value type \(type)")
            }
            try use(feature)
        }
        return type
    }

    private mutating func use(_ feature: ModuleFeature) throws(ModuleRefusal) {
        if feature.isOff { throw .unsupported(feature: feature) }
        result.features.insert(feature)
    }

    private func functionType(_ index: Int, _ offset: Int) throws(ModuleRefusal) -> ModuleInspection.FunctionType {
        guard index < types.count else { throw .malformed(offset: offset, what: "type \(index) does not exist") }
        return types[index]
    }

    private mutating func importSection(_ reader: inout ModuleReader) throws(ModuleRefusal) {
        for _ in 0..<(try bounded(try reader.count(), "imports", limits.importsMax)) {
            let module = try reader.name(bytesMax: limits.nameBytesMax)
            let name = try reader.name(bytesMax: limits.nameBytesMax)
            let offset = reader.offset
            var entry = ModuleInspection.Import(module: module, name: name, functionType: nil, kind: "function")
            switch try reader.byte() {
            case 0:
                let index = try reader.count()
                entry.functionType = try functionType(index, offset)
                functions.append(index)
            case 1:
                entry.kind = "table"
                _ = try tableElements(&reader)
            case 2:
                entry.kind = "memory"
                _ = try memoryPages(&reader)
                memories += 1
            case 3:
                entry.kind = "global"
                _ = try valueType(&reader)
                try reader.skip(1)
            case 4:
                entry.kind = "tag"
                try tag(&reader)
            case 0x7E, 0x7F: throw .unsupported(feature: .compactImports)
            case let kind: throw .malformed(offset: offset, what: "an unknown kind of import \(kind)")
            }
            result.imports.append(entry)
        }
        try reader.expectEnd(of: "import")
    }

    private mutating func functionSection(_ reader: inout ModuleReader) throws(ModuleRefusal) {
        ownFunctions = try bounded(try reader.count(), ModuleRefusal.functions, limits.functionsMax)
        for _ in 0..<ownFunctions {
            let offset = reader.offset
            let index = try reader.count()
            _ = try functionType(index, offset)
            functions.append(index)
        }
        result.functionCount = ownFunctions
        try reader.expectEnd(of: "function")
    }

    private mutating func tableSection(_ reader: inout ModuleReader) throws(ModuleRefusal) {
        tables = try bounded(try reader.count(), "tables", limits.tablesMax)
        for _ in 0..<tables {
            let hasInitializer = reader.peek() == 0x40
            if hasInitializer { try reader.skip(2) }
            result.initialTableElements += UInt64(try tableElements(&reader))
            if hasInitializer {
                result.features.insert(.functionReferences)
                var expression = InstructionReader(reader)
                try reader.skip(try expression.expressionEnd() - reader.offset)
            }
        }
        try reader.expectEnd(of: "table")
    }

    private mutating func tableElements(_ reader: inout ModuleReader) throws(ModuleRefusal) -> UInt32 {
        let type = try valueType(&reader)
        // A table of functions is as old as WebAssembly.
        if type == 0x6F { result.features.insert(.referenceTypes) }
        return try limitsMinimum(&reader, wide: .table64)
    }

    private mutating func memorySection(_ reader: inout ModuleReader) throws(ModuleRefusal) {
        let own = try reader.count()
        memories = try bounded(memories.addingReportingOverflow(own).partialValue, "memories", limits.memoriesMax)
        if memories > 1 { result.features.insert(.multipleMemories) }
        for _ in 0..<own { result.initialMemoryBytes += UInt64(try memoryPages(&reader)) << 16 }
        try reader.expectEnd(of: "memory")
    }

    private func memoryPages(_ reader: inout ModuleReader) throws(ModuleRefusal) -> UInt32 {
        let offset = reader.offset
        let pages = try limitsMinimum(&reader, wide: .memory64)
        guard pages <= 1 << 16 else { throw .malformed(offset: offset, what: "a memory of more than 4 GiB") }
        return pages
    }

    private func limitsMinimum(
        _ reader: inout ModuleReader, wide: ModuleFeature
    ) throws(ModuleRefusal) -> UInt32 {
        let offset = reader.offset
        let flags = try reader.byte()
        guard flags < 0x10 else { throw .malformed(offset: offset, what: "unknown limits \(flags)") }
        if flags & 0x02 != 0 { throw .unsupported(feature: .sharedMemory) }
        if flags & 0x04 != 0 { throw .unsupported(feature: wide) }
        if flags & 0x08 != 0 { throw .unsupported(feature: .customPageSizes) }
        let minimum = try reader.unsigned32()
        if flags == 1 { _ = try reader.unsigned32() }
        return minimum
    }

    private mutating func tagSection(_ reader: inout ModuleReader) throws(ModuleRefusal) {
        for _ in 0..<(try bounded(try reader.count(), "tags", limits.typesMax)) { try tag(&reader) }
        try reader.expectEnd(of: "tag")
    }

    /// The attribute of a tag, which is zero, and its type.
    private mutating func tag(_ reader: inout ModuleReader) throws(ModuleRefusal) {
        let offset = reader.offset
        guard try reader.byte() == 0 else { throw .malformed(offset: offset, what: "an unknown kind of tag") }
        _ = try functionType(try reader.count(), offset)
        // Which encoding of exceptions it is for, only its code says.
        result.features.insert(.exceptions)
    }

    private mutating func exportSection(_ reader: inout ModuleReader) throws(ModuleRefusal) {
        var exported: [(name: String, type: ModuleInspection.FunctionType)] = []
        for _ in 0..<(try bounded(try reader.count(), "exports", limits.exportsMax)) {
            let name = try reader.name(bytesMax: limits.nameBytesMax)
            let offset = reader.offset
            let kind = try reader.byte()
            let index = try reader.count()
            guard kind == 0 else { continue }
            guard index < functions.count else {
                throw .malformed(offset: offset, what: "export of function \(index), which does not exist")
            }
            exported.append((name, types[functions[index]]))
        }
        result.exportedFunctions = exported
        try reader.expectEnd(of: "export")
    }

    private mutating func codeSection(_ reader: inout ModuleReader) throws(ModuleRefusal) -> Int {
        let count = try bounded(try reader.count(), ModuleRefusal.functions, limits.functionsMax)
        for index in 0..<count {
            let size = try reader.count()
            guard size <= limits.functionBodyBytesMax else {
                throw .functionTooLarge(
                    index: functions.count - ownFunctions + index, bytes: size, limit: limits.functionBodyBytesMax)
            }
            result.largestFunctionBodyBytes = max(result.largestFunctionBodyBytes, size)
            try reader.skip(size)
        }
        try reader.expectEnd(of: "code")
        return count
    }

    /// The features that the code of a module uses, up to the first one that is switched off; nothing of what cannot be
    /// read.
    static func featuresOfCode(_ module: [UInt8]) -> Set<ModuleFeature> {
        var features: Set<ModuleFeature> = []
        do throws(ModuleRefusal) {
            var reader = ModuleReader(module)
            try reader.skip(8)
            while !reader.isAtEnd {
                let id = try reader.byte()
                var section = try reader.slice(try reader.count())
                guard id == 10 else { continue }
                for _ in 0..<(try section.count()) {
                    var body = InstructionReader(try section.slice(try section.count()))
                    let off = body.readBody()
                    features.formUnion(body.features)
                    if let off { return features.union([off]) }
                }
            }
        } catch {
            // What is malformed has no features.
        }
        return features
    }
}
