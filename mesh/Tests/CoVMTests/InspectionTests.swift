import Determinism
import MeshTypes
import Testing

@testable import CoVM

@Suite("The inspection of a module")
struct InspectionTests {
    private static let head: [UInt8] = [0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00]

    @Test("lists imports, exports and sizes")
    func lists() throws {
        let module = try Guests.assemble(Guests.chance)
        let inspection = try ModuleInspection(module)
        #expect(inspection.imports.map(\.name) == ["fd_write", "random_get", "clock_time_get"])
        #expect(inspection.imports.allSatisfy { $0.module == "wasi_snapshot_preview1" && $0.kind == "function" })
        #expect(inspection.exportedFunctions.map(\.name) == ["_start"])
        #expect(inspection.initialMemoryBytes == 65_536)
        #expect(inspection.functionCount == 1)
        #expect(inspection.moduleBytes == module.count)
        #expect(inspection.largestFunctionBodyBytes > 50)
    }

    struct Hostile: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var bytes: [UInt8]
        var refusal: ModuleRefusal
    }

    static let hostile: [Hostile] = [
        Hostile(testDescription: "nothing", bytes: [], refusal: .notAModule),
        Hostile(testDescription: "text", bytes: Array("#!/bin/sh\n".utf8), refusal: .notAModule),
        Hostile(testDescription: "half a head", bytes: Array(head.prefix(6)), refusal: .truncated(offset: 6)),
        Hostile(testDescription: "version 2", bytes: [0, 0x61, 0x73, 0x6D, 2, 0, 0, 0], refusal: .notAModule),
        Hostile(testDescription: "a component", bytes: [0, 0x61, 0x73, 0x6D, 0x0D, 0, 1, 0], refusal: .component),
        Hostile(testDescription: "section without size", bytes: head + [1], refusal: .truncated(offset: 9)),
        Hostile(
            testDescription: "section of 4 GiB", bytes: head + [1, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0],
            refusal: .truncated(offset: 15)),
        Hostile(
            testDescription: "number of six bytes", bytes: head + [1, 0x80, 0x80, 0x80, 0x80, 0x80, 0],
            refusal: .malformed(offset: 14, what: "a number of more than 32 bits")),
        Hostile(
            testDescription: "number of 35 bits", bytes: head + [1, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
            refusal: .malformed(offset: 14, what: "a number of more than 32 bits")),
        Hostile(
            testDescription: "four billion types", bytes: head + [1, 5, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F],
            refusal: .tooMany(what: "types", count: 4_294_967_295, limit: 10_000)),
        Hostile(
            testDescription: "four billion functions", bytes: head + [3, 5, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F],
            refusal: .tooMany(what: "functions", count: 4_294_967_295, limit: 20_000)),
        Hostile(
            testDescription: "four billion imports", bytes: head + [2, 5, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F],
            refusal: .tooMany(what: "imports", count: 4_294_967_295, limit: 1_000)),
        Hostile(
            testDescription: "four billion exports", bytes: head + [7, 5, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F],
            refusal: .tooMany(what: "exports", count: 4_294_967_295, limit: 10_000)),
        Hostile(
            testDescription: "17 tables", bytes: head + [4, 1, 17],
            refusal: .tooMany(what: "tables", count: 17, limit: 16)),
        Hostile(
            testDescription: "two type sections", bytes: head + [1, 1, 0, 1, 1, 0],
            refusal: .malformed(offset: 11, what: "section 1 comes twice")),
        Hostile(
            testDescription: "unknown section", bytes: head + [99, 0],
            refusal: .malformed(offset: 8, what: "an unknown section 99")),
        Hostile(
            testDescription: "rest in a section", bytes: head + [1, 2, 0, 0],
            refusal: .malformed(offset: 11, what: "bytes after the end of the type section")),
        Hostile(
            testDescription: "function of a type that is not there", bytes: head + [3, 2, 1, 7],
            refusal: .malformed(offset: 11, what: "type 7 does not exist")),
        Hostile(
            testDescription: "functions without bodies", bytes: head + [1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0],
            refusal: .malformed(offset: 18, what: "1 functions but 0 bodies")),
        Hostile(
            testDescription: "export of a function that is not there", bytes: head + [7, 5, 1, 1, 0x66, 0, 3],
            refusal: .malformed(offset: 13, what: "export of function 3, which does not exist")),
        Hostile(
            testDescription: "name that is not UTF-8", bytes: head + [2, 5, 1, 1, 0xFF, 0, 0],
            refusal: .malformed(offset: 11, what: "a name that is not UTF-8")),
        Hostile(
            testDescription: "long name", bytes: head + [2, 3, 1, 0x81, 0x08],
            refusal: .tooMany(what: "bytes in a name", count: 1_025, limit: 1_024)),
        Hostile(
            testDescription: "huge body",
            bytes: head + [1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, 5, 1, 0x81, 0x80, 0x08, 0],
            refusal: .functionTooLarge(index: 0, bytes: 131_073, limit: 131_072)),
        Hostile(
            testDescription: "a tag of a type that is not there", bytes: head + [13, 3, 1, 0, 2],
            refusal: .malformed(offset: 11, what: "type 2 does not exist")),
        Hostile(
            testDescription: "a tag that is no exception", bytes: head + [13, 3, 1, 1, 2],
            refusal: .malformed(offset: 11, what: "an unknown kind of tag")),
        Hostile(
            testDescription: "nine memories", bytes: head + [5, 1, 9],
            refusal: .tooMany(what: "memories", count: 9, limit: 8)),
        Hostile(
            testDescription: "unknown limits of a memory", bytes: head + [5, 3, 1, 0x10, 1],
            refusal: .malformed(offset: 11, what: "unknown limits 16")),
        Hostile(
            testDescription: "compact imports", bytes: head + [2, 5, 1, 1, 0x61, 0, 0x7F],
            refusal: .unsupported(feature: .compactImports)),
        Hostile(
            testDescription: "a table whose initial value never ends",
            bytes: head + [4, 7, 1, 0x40, 0, 0x70, 0, 1, 0x41],
            refusal: .truncated(offset: 17)),
    ]

    @Test("refuses what is malformed or too large, with the reason", arguments: hostile)
    func refuses(_ hostile: Hostile) {
        #expect(throws: hostile.refusal) { try ModuleInspection(hostile.bytes) }
    }

    @Test("refuses a module over the size limit, which itself has a ceiling")
    func tooLarge() throws {
        var limits = ModuleLimits()
        limits.moduleBytesMax = 100
        let module = Self.head + [UInt8](repeating: 0, count: 93)
        #expect(throws: ModuleRefusal.tooLarge(bytes: 101, limit: 100)) { try ModuleInspection(module, limits: limits) }
        limits.moduleBytesMax = .max
        #expect(limits.moduleBytes == 256 << 20)
    }

    @Test("names the imports that no host function provides")
    func unknownImports() async throws {
        let machine = try Machine()
        let text = """
            (module
              (import "env" "emscripten_run" (func))
              (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "path_steal" (func))
              (import "env" "memory" (memory 1))
              (func (export "_start")))
            """
        let module = try Guests.assemble(text)
        let reason =
            "the module imports what no host function provides: env.emscripten_run, "
            + "wasi_snapshot_preview1.path_steal, env.memory (memory)"
        let refusal = #expect(throws: ModuleRefusal.self) { try machine.covm.inspect(module) }
        #expect(refusal?.description == reason)
        #expect(await machine.run(module).outcome == .moduleRefused(reason: reason))
        let many = (0..<50).map { "(import \"x\" \"f\($0)\" (func))" }.joined()
        let crowded = try Guests.assemble("(module \(many) (func (export \"_start\")))")
        let crowdedRefusal = #expect(throws: ModuleRefusal.self) { try machine.covm.inspect(crowded) }
        #expect(crowdedRefusal?.description.hasSuffix("x.f15 and 34 more") == true)
    }

    @Test("names host functions that are imported under another type")
    func importTypes() throws {
        let machine = try Machine()
        let text = """
            (module (import "mesh_host_v1" "fuel_left" (func (result i32))) (func (export "_start")))
            """
        #expect(throws: ModuleRefusal.importTypes(names: ["mesh_host_v1.fuel_left"])) {
            try machine.covm.inspect(try Guests.assemble(text))
        }
    }

    @Test("refuses a module without the entry point, and says what it exports")
    func noEntry() async throws {
        let machine = try Machine()
        let module = try Guests.assemble(#"(module (func (export "main")) (func (export "other")))"#)
        let reason = "the module exports no function _start; it exports main, other"
        #expect(throws: ModuleRefusal.noEntryPoint(name: "_start", exportedFunctions: ["main", "other"])) {
            try machine.covm.inspect(module)
        }
        #expect(await machine.run(module).outcome == .moduleRefused(reason: reason))
        let nothing = try Guests.assemble("(module)")
        #expect(
            await machine.run(nothing).outcome
                == .moduleRefused(
                    reason: "the module exports no function _start; it exports no function at all"))
        let parameters = try Guests.assemble(#"(module (func (export "_start") (param i32)))"#)
        #expect(
            await machine.run(parameters).outcome
                == .moduleRefused(
                    reason: "the entry point _start must have no parameters and return nothing or one i32"))
        // Also when the module is loaded already.
        _ = await machine.run(module) { $0.entry = "main" }
        #expect(await machine.run(module).outcome == .moduleRefused(reason: reason))
    }

    @Test("never traps on damaged modules: all prefixes, and random bytes changed")
    func damaged() throws {
        let module = try Guests.assemble(Guests.chance)
        for count in 0..<module.count {
            _ = try? ModuleInspection(Array(module[..<count]))
        }
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        print("damaged modules: seed \(seed)")
        for _ in 0..<20_000 {
            var damaged = module
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                damaged[Int.random(in: 8..<damaged.count, using: &generator)] =
                    UInt8.random(in: 0...255, using: &generator)
            }
            _ = try? ModuleInspection(damaged)
        }
    }
}
