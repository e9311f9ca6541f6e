import Determinism
import MeshTypes

@testable import CoVM

extension HostileCorpus {
    /// Every function of the host, over and over, with arguments that are nothing, huge, or places in the memory.
    static func hostCalls() throws -> [HostileCase] {
        var made = Maker("host calls")
        for function in HostFunctionTable.standard.functions {
            for (name, value) in [("nothing", 0), ("all bits", -1), ("places", 64)] {
                let parameters = function.type.parameters.map { $0 == .i32 ? "i32" : "i64" }
                let types = parameters.joined(separator: " ")
                let arguments = parameters.map { "(\($0).const \(value))" }.joined()
                let results = function.type.results.map { $0 == .i32 ? "i32" : "i64" }
                let call = "(call $f \(arguments))"
                let text = """
                    (module
                      (import "\(function.module)" "\(function.name)"
                        (func $f (param \(types)) (result \(results.joined(separator: " ")))))
                      (memory (export "memory") 2)
                      (func (export "_start") (loop $l \(results.isEmpty ? call : "(drop \(call))") (br $l))))
                    """
                made.add(
                    "\(function.name) with \(name)", bytes: try Guests.assemble(text), stops(of: function.name, value),
                    fuel: 500_000)
            }
        }
        return made.cases
    }

    private static func stops(of name: String, _ value: Int) -> Set<HostileCase.Stop> {
        switch name {
        // What the arguments stand for is the guest's exit, or breaks what the host demands.
        case "proc_exit": [.exit(Int32(value))]
        default: [.limit(.fuel), .limit(.output), .trap(.hostCall)]
        }
    }

    static func branches() throws -> [HostileCase] {
        var made = Maker("tables of branches")
        for count in [10, 100, 1_000, 10_000, 30_000] {
            let labels = String(repeating: "$a $l ", count: count / 2)
            try made.add(
                "\(count) targets",
                module("(loop $l (block $a (br_table \(labels) $a (i32.const \(count / 3)))) (br $l))"),
                .limit(.fuel))
            try made.add(
                "\(count) targets and an index past them",
                module("(loop $l (block $a (br_table \(labels) $l (i32.const -1))))"),
                .limit(.fuel))
        }
        for count in [100, 1_000, 5_000] {
            let blocks = String(repeating: "block ", count: count)
            let ends = String(repeating: "end ", count: count)
            let loops = String(repeating: "loop ", count: count)
            try made.add(
                "\(count) blocks in each other",
                "(module (func (export \"_start\") \(blocks) br \(count - 1) \(ends)))", .exit(0), .refused)
            try made.add(
                "\(count) loops in each other",
                "(module (func (export \"_start\") \(loops) br \(count - 1) \(ends)))",
                .limit(.fuel), .refused)
        }
        try made.add(
            "too many targets",
            module("(loop $l (block $a (br_table \(String(repeating: "$a ", count: 140_000)) $a (i32.const 0))))"),
            .form)
        return made.cases
    }

    /// Modules whose form, or whose compiling, is beyond the limits.
    static func compileBombs() throws -> [HostileCase] {
        var made = Maker("compile bombs")
        func module(_ text: String) -> String { "(module \(text) (func (export \"_start\")))" }
        for count in [20_000, 30_000] {
            try made.add("\(count) functions", module(String(repeating: "(func)", count: count)), .form)
        }
        for bytes in [132_000, 1_000_000] {
            try made.add("a body of \(bytes) bytes", module("(func \(String(repeating: "nop ", count: bytes)))"), .form)
        }
        try made.add("types", module((0..<10_001).map { _ in "(type (func))" }.joined()), .refused)
        try made.add("exports", module((0..<10_001).map { "(func (export \"e\($0)\"))" }.joined()), .refused)
        try made.add(
            "imports",
            module(
                (0..<1_001).map { _ in "(import \"wasi_snapshot_preview1\" \"sched_yield\" (func (result i32)))" }
                    .joined()),
            .refused)
        try made.add("a long name", module("(func (export \"\(String(repeating: "n", count: 1_025))\"))"), .refused)
        for count in [1_000, 49_000, 51_000] {
            let locals = String(repeating: "i64 ", count: count)
            try made.add(
                "\(count) locals", "(module (func (export \"_start\") (local \(locals))))", .exit(0), .limit(.stack),
                .refused)
        }
        for count in [1_000, 20_000] {
            try made.add(
                "\(count) globals", module(String(repeating: "(global i64 (i64.const 1))", count: count)), .exit(0))
            try made.add(
                "\(count) segments",
                module("(memory 1) " + String(repeating: "(data (i32.const 0) \"d\")", count: count)), .exit(0),
                .compiling(.memory), .compiling(.cpu))
        }
        for count in [1_001, 5_000] {
            try made.add(
                "\(count) parameters", module("(func (param \(String(repeating: "i32 ", count: count))))"), .refused)
            try made.add(
                "\(count) results", module("(type (func (result \(String(repeating: "i32 ", count: count)))))"),
                .refused)
        }
        let custom = [0] + leb(9 << 20) + [1, 0x61] + [UInt8](repeating: 0, count: (9 << 20) - 2)
        made.add("nine MiB of nothing", bytes: try Guests.assemble(Guests.nothing) + custom, [.form])
        made.add("seven MB that take seconds", bytes: Guests.heavyToCompile, [.compiling(.cpu)])
        return made.cases
    }

    static func leb(_ value: Int) -> [UInt8] {
        value < 128 ? [UInt8(value)] : [UInt8(value & 127) | 128] + leb(value >> 7)
    }

    /// What is no module, or none of ours.
    static func malformed() throws -> [HostileCase] {
        var made = Maker("malformed")
        let whole = try Guests.assemble(Guests.chance)
        for part in 0..<32 {
            made.add("cut after \(part) of 32 parts", bytes: Array(whole.prefix(whole.count * part / 32)), [.refused])
        }
        for seed in 1...48 as ClosedRange<UInt64> {
            var generator = SeededGenerator(seed: seed)
            var bytes = whole
            for _ in 0..<(1 + seed % 3) {
                bytes[Int.random(in: 8..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            made.add("changed by the dice \(seed)", bytes: bytes, [], fuel: 1_000_000)
        }
        let head: [UInt8] = [0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00]
        let nothing = try Guests.assemble(Guests.nothing)
        let forms: [(String, [UInt8])] = [
            ("no bytes", []), ("another magic", [0x7F, 0x45, 0x4C, 0x46, 1, 0, 0, 0]),
            ("version 2", [0x00, 0x61, 0x73, 0x6D, 2, 0, 0, 0]),
            ("a component", [0x00, 0x61, 0x73, 0x6D, 0x0D, 0, 1, 0]),
            ("nothing in it", head), ("an unknown section", head + [14, 1, 0]),
            ("a section past the end", head + [1, 200, 1]),
            ("a length without end", head + [1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
            ("two sections of types", head + [1, 4, 1, 0x60, 0, 0, 1, 4, 1, 0x60, 0, 0]),
            ("sections out of order", head + [3, 2, 1, 0, 1, 4, 1, 0x60, 0, 0]),
            ("four billion types", head + [1, 5, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F]),
            ("functions without bodies", head + [1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0]),
            ("bytes behind", nothing + [0xFF]), ("twice", nothing + nothing),
            ("a name that is no text", head + [7, 6, 1, 2, 0xC3, 0x28, 0, 0]),
        ]
        for (name, bytes) in forms { made.add(name, bytes: bytes, [.refused]) }
        let texts: [(String, String)] = [
            ("no entry", "(module (func (export \"main\")))"),
            ("an entry with parameters", "(module (func (export \"_start\") (param i32)))"),
            ("an entry that is a memory", "(module (memory (export \"_start\") 1))"),
            ("an import of nobody's", "(module (import \"env\" \"system\" (func)) (func (export \"_start\")))"),
            (
                "an import of another type",
                "(module (import \"wasi_snapshot_preview1\" \"fd_write\" (func)) (func (export \"_start\")))"
            ),
            ("an import of a memory", "(module (import \"env\" \"memory\" (memory 1)) (func (export \"_start\")))"),
            ("shared memory", "(module (memory 1 1 shared) (func (export \"_start\")))"),
            ("a memory of 64 bits", "(module (memory i64 1) (func (export \"_start\")))"),
            (
                "a structure",
                "(module (type $s (struct (field i32))) (func (export \"_start\") (drop (struct.new_default $s))))"
            ),
        ]
        for (name, text) in texts { try made.add(name, text, .refused) }
        return made.cases
    }

    /// The same harm before the entry function is called.
    static func startFunctions() throws -> [HostileCase] {
        var made = Maker("start functions")
        let bodies: [(String, String, HostileCase.Stop)] = [
            ("a loop", "(loop $l (br $l))", .limit(.fuel)), ("recursion", "(call $run) (call $nop)", .limit(.stack)),
            ("a trap", "unreachable", .trap(.unreachable)),
            ("division", "(drop (i32.div_u (i32.const 1) (local.get $i)))", .trap(.arithmetic)),
            (
                "growth",
                "(loop $l (if (i32.eq (memory.grow (i32.const 9)) (i32.const -1)) (then unreachable)) (br $l))",
                .limit(.memory)
            ),
            ("filling", "(loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br $l))", .limit(.fuel)),
            ("a null call", "(call_indirect $t (type $v) (i32.const 5))", .trap(.badIndirectCall)),
            ("an exception", "(throw $x)", .trap(.other)),
        ]
        for (name, body, stop) in bodies {
            let more = "(tag $x) (start $run) (func (export \"_start\"))"
            try made.add(name, module(body, more: more, export: ""), stop, fuel: 200_000_000)
            if stop == .limit(.fuel) {
                try made.add("\(name), to its clock", module(body, more: more, export: ""), .clock, end: .clock)
            }
        }
        for (name, segment) in [("data", "(data (i32.const 65536) \"d\")"), ("elements", "(elem (i32.const 8) $nop)")] {
            try made.add(
                "\(name) outside", module("", more: segment),
                .trap(name == "data" ? .memoryOutOfBounds : .tableOutOfBounds))
        }
        return made.cases
    }

    static func exceptions() throws -> [HostileCase] {
        var made = Maker("exceptions")
        try made.add("thrown for ever", Guests.exceptions(count: 0), .limit(.fuel))
        try made.add("thrown for ever, to its clock", Guests.exceptions(count: 0), .clock, end: .clock)
        try made.add("kept for ever", Guests.exceptionChain, .limit(.memory), fuel: 2_000_000_000)
        try made.add("never caught", "(module (tag $e) (func (export \"_start\") (throw $e)))", .trap(.other))
        for depth in [10, 100, 1_000, 5_000] {
            try made.add(
                "thrown through \(depth) calls for ever",
                """
                (module (tag $e)
                  (func $f (param i32)
                    (if (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1)))) (else (throw $e))))
                  (func (export "_start")
                    (loop $l (block $c (try_table (catch $e $c) (call $f (i32.const \(depth)))) ) (br $l))))
                """, .limit(.fuel))
        }
        for count in [1, 10, 100] {
            let payload = String(repeating: "i64 ", count: count)
            let values = String(repeating: "(i64.const 7)", count: count)
            try made.add(
                "of \(count) values for ever",
                """
                (module (tag $e (param \(payload)))
                  (func (export "_start")
                    (loop $l (block $c (try_table (catch_all $c) (throw $e \(values)))) (br $l))))
                """, .limit(.fuel))
        }
        for count in [10, 100, 1_000] {
            let tries = String(repeating: "try_table (catch_all 0) ", count: count)
            let ends = String(repeating: "end ", count: count)
            try made.add(
                "in \(count) handlers, for ever",
                "(module (tag $e) (func (export \"_start\") loop block \(tries) throw $e \(ends) end br 0 end))",
                .limit(.fuel), .refused)
        }
        try made.add(
            "thrown again for ever",
            """
            (module (tag $e)
              (func $f (loop $l
                (block $c (result exnref) (try_table (catch_all_ref $c) (throw $e)) unreachable) throw_ref))
              (func (export "_start") (loop $l (block $c (try_table (catch_all $c) (call $f))) (br $l))))
            """, .limit(.fuel))
        try made.add(
            "of recursion",
            "(module (tag $e) (func $f (export \"_start\") (block $c (try_table (catch_all $c) (call $f)))))",
            .limit(.stack), fuel: 200_000_000)
        return made.cases
    }

    /// Storms of calls about files, by the guest that does what its input tells it, with 4,096 entries and 8 MiB.
    static func fileStorms() throws -> [HostileCase] {
        var made = Maker("file storms")
        let long = String(repeating: "n", count: 256)
        let ends: [(name: String, script: String, told: String)] = [
            ("descriptors", "open 3 0 f 1 66 0\nrepeat 9000 open 3 0 f 0 66 0", "33 1019"),
            ("folders", "repeat 100000 mkdir 3 d%d", "51 4096"), ("files", "repeat 900 open 3 0 f%d 1 66 0", "0 900"),
            ("names of a file", "open 3 0 f 1 66 0\nrepeat 100000 link 3 0 f 3 l%d", "51 4095"),
            ("symbolic links", "repeat 100000 symlink there 3 l%d", "51 2048"),
            ("depth", "deep 3 d 1000", "37"), ("a long name", "mkdir 3 \(long)", "37"),
            ("a long path", "stat 3 1 \(String(repeating: "./", count: 3_000))f", "37"),
            ("a long target", "symlink \(String(repeating: "t", count: 4_096)) 3 l", "37"),
            ("a loop of links", "symlink a 3 b\nsymlink b 3 a\nstat 3 1 a", "32"),
            ("a sparse giant", "open 3 0 f 1 66 0\nsize #1 17592186044416\nfstat #1", "0 4 17592186044416"),
            ("a larger one", "open 3 0 f 1 66 0\nsize #1 17592186044417", "22"),
            ("a byte far out", "open 3 0 f 1 66 0\npwrite #1 17592186044416 x", "22"),
            ("a byte at the end of offsets", "open 3 0 f 1 66 0\npwrite #1 9223372036854775807 x", "22"),
            ("more bytes than allowed", "open 3 0 f 1 66 0\nfill #1 20000000 7", "51 8388608"),
            ("more room than allowed", "open 3 0 f 1 66 0\nallocate #1 0 100000000", "51"),
            ("a way out", "stat 3 1 ../../etc/passwd", "63"),
            ("a link out", "symlink ../../etc 3 l\nstat 3 1 l/passwd", "63"),
            ("a descriptor of nobody's", "stat 4000000000 1 f", "8"),
            ("a folder in itself", "mkdir 3 d\nrename 3 d 3 d/e", "28"),
        ]
        for (name, script, told) in ends {
            made.add(script: script, named: name, told: told, fuel: 500_000_000, .exit(0))
        }
        let storms = [
            "stat 3 1 .", "stat 3 1 f", "fstat #1", "fdstat #1", "tell #1", "seek #1 0 0", "sync #1", "size #1 1000000",
            "pread #1 1000000 0", "pwrite #1 4096 xyz", "list 3 65536", "prestat 3", "clock 1", "readlink 3 l",
            "rename 3 f 3 f", "renumber #1 #1", "poll #1 1", "fill #1 4096 1", "write 1 noise",
        ]
        for storm in storms {
            let script = "open 3 0 f 1 66 0\nsymlink f 3 l\nrepeat 4000000000 \(storm)"
            made.add(script: script, named: "\(storm), for ever", told: nil, .limit(.fuel))
        }
        made.add(
            script: "repeat 4000000000 write 1 \(String(repeating: "x", count: 4_000))", named: "output, for ever",
            told: nil, fuel: 5_000_000_000, .limit(.output))
        return made.cases
    }
}
