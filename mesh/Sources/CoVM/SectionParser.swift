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
            case 13: throw .unsupported(feature: "exception handling")
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
            guard form == 0x60 else { throw .unsupported(feature: "garbage-collected types") }
            let parameters = try valueTypes(&reader)
            types.append(.init(parameters: parameters, results: try valueTypes(&reader)))
        }
        try reader.expectEnd(of: "type")
    }

    private func valueTypes(_ reader: inout ModuleReader) throws(ModuleRefusal) -> [ModuleInspection.ValueType] {
        // 1,000 is the limit of the JavaScript embedding, which every toolchain respects.
        let count = try bounded(try reader.count(), "parameters or results of a function", 1_000)
        var list: [ModuleInspection.ValueType] = []
        for _ in 0..<count { list.append(try valueType(&reader)) }
        return list
    }

    private func valueType(_ reader: inout ModuleReader) throws(ModuleRefusal) -> ModuleInspection.ValueType {
        let offset = reader.offset
        let type = try reader.byte()
        switch type {
        case 0x7B...0x7F, 0x6F, 0x70: return type
        case 0x63...0x6E, 0x71...0x74: throw .unsupported(feature: "typed references")
        default: throw .malformed(offset: offset, what: "an unknown value type \(type)")
        }
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
            case 3:
                entry.kind = "global"
                _ = try valueType(&reader)
                try reader.skip(1)
            case 4: throw .unsupported(feature: "exception handling")
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
            result.initialTableElements += UInt64(try tableElements(&reader))
        }
        try reader.expectEnd(of: "table")
    }

    private func tableElements(_ reader: inout ModuleReader) throws(ModuleRefusal) -> UInt32 {
        let type = try reader.byte()
        guard type == 0x70 || type == 0x6F else { throw .unsupported(feature: "typed references") }
        return try limitsMinimum(&reader, of: "table")
    }

    private mutating func memorySection(_ reader: inout ModuleReader) throws(ModuleRefusal) {
        memories = try reader.count()
        guard memories <= 1 else { throw .unsupported(feature: "more than one memory") }
        if memories == 1 { result.initialMemoryBytes = UInt64(try memoryPages(&reader)) << 16 }
        try reader.expectEnd(of: "memory")
    }

    private func memoryPages(_ reader: inout ModuleReader) throws(ModuleRefusal) -> UInt32 {
        let offset = reader.offset
        let pages = try limitsMinimum(&reader, of: "memory")
        guard pages <= 1 << 16 else { throw .malformed(offset: offset, what: "a memory of more than 4 GiB") }
        return pages
    }

    private func limitsMinimum(_ reader: inout ModuleReader, of what: String) throws(ModuleRefusal) -> UInt32 {
        let flags = try reader.byte()
        if flags & 0x02 != 0 { throw .unsupported(feature: "shared memory") }
        if flags & 0x04 != 0 { throw .unsupported(feature: "a 64-bit \(what)") }
        guard flags <= 1 else { throw .unsupported(feature: "custom page sizes") }
        let minimum = try reader.unsigned32()
        if flags == 1 { _ = try reader.unsigned32() }
        return minimum
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
}
