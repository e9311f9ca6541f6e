import CWasmtime
import GuestFiles
import MeshTypes

@testable import CoVM

/// A module that means harm, and what must stop it.
struct HostileCase: Sendable {
    /// How a run ended, as far as it matters here.
    enum Stop: Hashable, Sendable, CustomStringConvertible {
        case exit(Int32)
        case trap(TrapKind)
        case limit(ExecutionLimit)
        /// The wall clock of the run.
        case clock
        case cancelled
        case refused
        /// The module's form exceeds this node's limits.
        case form
        /// Its compiling does.
        case compiling(CompileLimit)
        /// Anything else, which nothing here may end in.
        case other(String)

        init(_ result: ExecutionResult) {
            switch result.outcome {
            case .exited(let code): self = .exit(code)
            case .trapped(let kind, _): self = .trap(kind)
            case .limitExceeded(let limit): self = .limit(limit)
            case .cancelled: self = .cancelled
            case .moduleRefused: self = .refused
            case .nodeFailed("the executor had less time for the run than the job asks for"): self = .clock
            case .nodeFailed where result.formLimit != nil: self = .form
            default: self = result.compileLimit.map { .compiling($0) } ?? .other("\(result.outcome)")
            }
        }

        var description: String {
            switch self {
            case .exit(let code): "exit \(code)"
            case .trap(let kind): "trap \(kind.rawValue)"
            case .limit(let limit): "limit \(limit.rawValue)"
            case .clock: "its clock"
            case .cancelled: "cancelled"
            case .refused: "refused"
            case .form: "too large a module"
            case .compiling(let limit): "compiling: \(limit.rawValue)"
            case .other(let text): text
            }
        }
    }

    /// What ends it if nothing else does.
    enum End: Hashable, Sendable { case fuel, clock, cancellation }

    let kind: String
    let name: String
    let module: [UInt8]
    /// Any of these; none stands for every end that is the module's doing.
    let stops: Set<Stop>
    var end = End.fuel
    var fuel: UInt64 = 5_000_000
    /// What the guest reads; of a file guest, its calls.
    var input = ""
    /// The last line that it must write, up to its length.
    var told: String?

    /// Milliseconds that a run has whose clock must end it.
    static let clockMilliseconds: UInt64 = 60
    static let memoryBytes: UInt64 = 64 << 20
    static let outputBytes: UInt64 = 1 << 20
    static let quota = FileSystemPlan.Quota(bytesMax: 8 << 20, entriesMax: 4_096)

    func isRight(_ stop: Stop) -> Bool {
        if case .other = stop { return false }
        return stops.isEmpty || stops.contains(stop)
    }
}

/// The corpus: every case follows from the code here, and so does every byte of its module.
enum HostileCorpus {
    /// Makes cases of one kind out of WebAssembly text.
    struct Maker {
        let kind: String
        private(set) var cases: [HostileCase] = []

        init(_ kind: String) { self.kind = kind }

        mutating func add(
            _ name: String, _ text: String, _ stops: HostileCase.Stop..., end: HostileCase.End = .fuel,
            fuel: UInt64 = 5_000_000
        ) throws {
            add(name, bytes: try Guests.assemble(text), Set(stops), end: end, fuel: fuel)
        }

        mutating func add(
            _ name: String, bytes: [UInt8], _ stops: Set<HostileCase.Stop>, end: HostileCase.End = .fuel,
            fuel: UInt64 = 5_000_000
        ) {
            cases.append(HostileCase(kind: kind, name: name, module: bytes, stops: stops, end: end, fuel: fuel))
        }

        mutating func add(
            script: String, named name: String, told: String?, fuel: UInt64 = 5_000_000, _ stops: HostileCase.Stop...
        ) {
            var file = HostileCase(kind: kind, name: name, module: FileGuest.module, stops: Set(stops))
            file.input = script
            file.fuel = fuel
            file.told = told
            cases.append(file)
        }
    }

    static func all() throws -> [HostileCase] {
        try loops() + recursions() + growths() + tables() + bulk() + hostCalls() + branches() + compileBombs()
            + malformed() + startFunctions() + exceptions() + fileStorms()
    }

    /// Some of each kind.
    static func some() throws -> [HostileCase] {
        var counts: [String: Int] = [:]
        return try all().filter { item in
            defer { counts[item.kind, default: 0] += 1 }
            return counts[item.kind, default: 0].isMultiple(of: 6) && item.end != .clock && item.module.count < 1 << 20
        }
    }

    // MARK: Code

    /// What a loop does over and over.
    static let bodies: [(name: String, text: String)] = [
        ("nothing", ""), ("a branch", "(br_if $l (i32.const 1))"),
        ("counting", "(local.set $i (i32.add (local.get $i) (i32.const 1)))"),
        ("a table of branches", "(block $a (br_table $a $l $l (local.get $i)))"),
        ("division", "(local.set $j (i64.div_u (i64.const -1) (i64.or (local.get $j) (i64.const 1))))"),
        ("remainder", "(local.set $j (i64.rem_s (i64.const -7) (i64.or (local.get $j) (i64.const 3))))"),
        ("multiplication", "(local.set $j (i64.mul (i64.add (local.get $j) (i64.const 3)) (i64.const 77)))"),
        ("roots", "(local.set $f (f64.sqrt (f64.add (local.get $f) (f64.const 2))))"),
        ("minima", "(local.set $f (f64.min (local.get $f) (f64.const nan)))"),
        ("conversions", "(local.set $j (i64.trunc_sat_f64_s (local.get $f)))"),
        ("vectors", "(local.set $v (i32x4.add (local.get $v) (v128.const i32x4 1 2 3 4)))"),
        ("swizzles", "(local.set $v (i8x16.swizzle (local.get $v) (local.get $v)))"),
        ("relaxed vectors", "(local.set $v (f32x4.relaxed_madd (local.get $v) (local.get $v) (local.get $v)))"),
        ("loads", "(local.set $i (i32.load (i32.and (local.get $i) (i32.const 0xFFF0))))"),
        ("stores", "(i64.store (i32.const 8) (local.get $j))"), ("calls", "(call $nop)"),
        ("calls with results", "(local.set $i (call $id (local.get $i)))"),
        ("indirect calls", "(call_indirect $t (type $v) (i32.const 1))"),
        ("calls of references", "(call_ref $v (ref.func $nop))"),
        ("globals", "(global.set $g (i64.add (global.get $g) (i64.const 1)))"),
        ("growing by nothing", "(drop (memory.grow (i32.const 0)))"), ("sizes", "(drop (memory.size))"),
        ("setting a table", "(table.set $t (i32.const 3) (ref.func $nop))"),
        ("reading a table", "(drop (table.get $t (i32.const 3)))"),
        ("atomics", "(drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))"), ("fences", "(atomic.fence)"),
        ("selections", "(local.set $i (select (i32.const 1) (i32.const 2) (local.get $i)))"),
        ("bits", "(local.set $i (i32.popcnt (i32.clz (i32.ctz (local.get $i)))))"),
        ("rotations", "(local.set $j (i64.rotl (local.get $j) (i64.const 9)))"),
        (
            "a loop",
            "(local.set $i (i32.const 1000)) (loop $m (br_if $m (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"
        ),
        ("filling", "(memory.fill (i32.const 0) (i32.const 1) (i32.const 65536))"),
        ("conditions", "(if (local.get $i) (then (br $l)) (else (local.set $i (i32.const 1))))"),
    ]

    static func module(_ body: String, more: String = "", export: String = #"(export "_start")"#) -> String {
        """
        (module
          (type $v (func))
          (memory (export "memory") 1)
          (table $t 8 funcref)
          (global $g (mut i64) (i64.const 0))
          (elem (i32.const 0) $nop $nop)
          (func $nop)
          (func $id (param i32) (result i32) (local.get 0))
          \(more)
          (func $run \(export) (local $i i32) (local $j i64) (local $f f64) (local $v v128)
            \(body)))
        """
    }

    private static func loops() throws -> [HostileCase] {
        var made = Maker("loops")
        for (name, body) in bodies {
            let text = module("(loop $l \(body) (br $l))")
            try made.add("\(name), to its fuel", text, .limit(.fuel))
            try made.add("\(name), to its clock", text, .clock, end: .clock)
            try made.add("\(name), to a cancellation", text, .cancelled, end: .cancellation)
        }
        return made.cases
    }

    private static func recursions() throws -> [HostileCase] {
        var made = Maker("recursion")
        for type in ["i32", "i64", "f64"] {
            for count in [0, 1, 10, 100, 400] {
                let locals = (0..<count).map { "(local.set \($0) (\(type).const \($0)))" }.joined()
                let uses = (0..<count).map { "(drop (local.get \($0)))" }.joined()
                let declared = Array(repeating: type, count: count).joined(separator: " ")
                try made.add(
                    "\(count) locals of \(type)",
                    "(module (func $f (export \"_start\") (local \(declared)) \(locals) (call $f) \(uses)))",
                    .limit(.stack), fuel: 500_000_000)
            }
        }
        for count in [1, 10, 100] {
            let parameters = Array(repeating: "i64", count: count).joined(separator: " ")
            let values = (0..<count).map { "(local.get \($0))" }.joined()
            let zeros = Array(repeating: "(i64.const 0)", count: count).joined()
            try made.add(
                "\(count) parameters",
                "(module (func $f (param \(parameters)) (call $f \(values)) (call $f \(values)))"
                    + "(func (export \"_start\") (call $f \(zeros))))", .limit(.stack), fuel: 500_000_000)
        }
        let more: [(String, String, HostileCase.Stop)] = [
            ("two functions", "(call $run) (call $nop)", .limit(.stack)),
            (
                "a table",
                "(table.set $t (i32.const 5) (ref.func $run)) (call_indirect $t (type $v) (i32.const 5)) (call $nop)",
                .limit(.stack)
            ),
            ("a reference", "(call_ref $v (ref.func $run)) (call $nop)", .limit(.stack)),
            ("the tail", "(return_call $run)", .limit(.fuel)),
            (
                "the tail of a table",
                "(table.set $t (i32.const 5) (ref.func $run)) (return_call_indirect $t (type $v) (i32.const 5))",
                .limit(.fuel)
            ),
            ("the tail of a reference", "(return_call_ref $v (ref.func $run))", .limit(.fuel)),
            ("a loop", "(loop $l (call $run) (br $l))", .limit(.stack)),
        ]
        for (name, body, stop) in more {
            try made.add("by \(name)", module(body, more: "(elem declare func $run)"), stop, fuel: 200_000_000)
        }
        return made.cases
    }

    private static func growths() throws -> [HostileCase] {
        var made = Maker("growth of memory")
        for pages in [1, 16, 256, 1_024, 4_096, 65_535] {
            let grow = "(i32.eq (memory.grow (i32.const \(pages))) (i32.const -1))"
            let touch = "(i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)) (i32.const 1))"
            try made.add(
                "by \(pages), then a trap", module("(loop $l (if \(grow) (then unreachable)) (br $l))"), .limit(.memory)
            )
            try made.add(
                "by \(pages) and touched", module("(loop $l (if \(grow) (then unreachable)) \(touch) (br $l))"),
                .limit(.memory))
            try made.add(
                "by \(pages), then content", module("(loop $l (br_if $l (i32.eqz \(grow))))"), .exit(0))
            try made.add(
                "by \(pages), for ever", module("(loop $l (drop \(grow)) (br $l))"), .limit(.fuel), fuel: 500_000)
            try made.add(
                "by \(pages), then filled over its end",
                module(
                    "(loop $l (br_if $l (i32.eqz \(grow)))) (memory.fill (i32.const 0) (i32.const 1) (i32.const -1))"),
                .limit(.memory))
        }
        try made.add(
            "to its limit, all of it touched, and then a trap",
            module(
                """
                (loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
                (memory.fill (i32.const 0) (i32.const 7) (i32.mul (memory.size) (i32.const 65536))) unreachable
                """), .limit(.memory), fuel: 500_000_000)
        for pages in [1_025, 2_000, 32_768, 65_536] {
            try made.add(
                "\(pages) pages from the start", "(module (memory \(pages)) (func (export \"_start\")))",
                .limit(.memory))
        }
        for count in [2, 5, 8] {
            let memories = (0..<count).map { "(memory $m\($0) 1)" }.joined()
            let grows = (0..<count).map {
                "(if (i32.eq (memory.grow $m\($0) (i32.const 64)) (i32.const -1)) (then unreachable))"
            }
            try made.add(
                "of \(count) memories",
                "(module \(memories) (func (export \"_start\") (loop $l \(grows.joined()) (br $l))))",
                .limit(.memory))
        }
        try made.add(
            "nine memories", "(module \(String(repeating: "(memory 0)", count: 9)) (func (export \"_start\")))",
            .refused)
        return made.cases
    }

    private static func tables() throws -> [HostileCase] {
        var made = Maker("growth of tables")
        for type in ["funcref", "externref"] {
            let null = type == "funcref" ? "(ref.null func)" : "(ref.null extern)"
            for count in [1, 100, 10_000, 100_000, 2_000_000_000] {
                let grow = "(i32.eq (table.grow $g \(null) (i32.const \(count))) (i32.const -1))"
                func text(_ body: String) -> String {
                    "(module (table $g 1 \(type)) (func (export \"_start\") \(body)))"
                }
                try made.add(
                    "\(type) by \(count), then a trap", text("(loop $l (if \(grow) (then unreachable)) (br $l))"),
                    .trap(.unreachable))
                try made.add(
                    "\(type) by \(count), for ever", text("(loop $l (drop \(grow)) (br $l))"), .limit(.fuel),
                    fuel: 500_000)
            }
            for count in [100_001, 10_000_000, 4_000_000_000] {
                try made.add(
                    "\(count) of \(type) from the start",
                    "(module (table \(count) \(type)) (func (export \"_start\")))", .limit(.table))
            }
        }
        try made.add(
            "two of half", "(module (table 60000 funcref) (table 60000 funcref) (func (export \"_start\")))",
            .limit(.table))
        try made.add(
            "too many tables",
            "(module \(String(repeating: "(table 1 funcref)", count: 17)) (func (export \"_start\")))", .refused)
        return made.cases
    }

    private static func bulk() throws -> [HostileCase] {
        var made = Maker("bulk operations")
        let data = String(repeating: "d", count: 4_096)
        let more = "(data $d \"\(data)\") (elem $e func \(String(repeating: "$nop ", count: 8)))"
        for count in [0, 1, 8, 4_096, 65_536] {
            let size = "(i32.const \(count))"
            var operations = [
                ("fill", "(memory.fill (i32.const 0) (i32.const 1) \(size))"),
                ("copy", "(memory.copy (i32.const 0) (i32.const 0) \(size))"),
            ]
            if count <= 4_096 { operations.append(("init", "(memory.init $d (i32.const 0) (i32.const 0) \(size))")) }
            if count <= 8 {
                operations += [
                    ("table fill", "(table.fill $t (i32.const 0) (ref.null func) \(size))"),
                    ("table copy", "(table.copy $t $t (i32.const 0) (i32.const 0) \(size))"),
                    ("table init", "(table.init $t $e (i32.const 0) (i32.const 0) \(size))"),
                ]
            }
            for (name, text) in operations {
                try made.add("\(name) of \(count)", module("(loop $l \(text) (br $l))", more: more), .limit(.fuel))
            }
        }
        let outside: [(String, String, TrapKind)] = [
            ("fill", "(memory.fill (i32.const 1) (i32.const 1) (i32.const 65536))", .memoryOutOfBounds),
            ("copy", "(memory.copy (i32.const 0) (i32.const -1) (i32.const -1))", .memoryOutOfBounds),
            ("init", "(memory.init $d (i32.const 0) (i32.const 4000) (i32.const 97))", .memoryOutOfBounds),
            (
                "dropped init", "(data.drop $d) (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1))",
                .memoryOutOfBounds
            ),
            ("table fill", "(table.fill $t (i32.const 1) (ref.null func) (i32.const 8))", .tableOutOfBounds),
            ("table copy", "(table.copy $t $t (i32.const -1) (i32.const 0) (i32.const 2))", .tableOutOfBounds),
            ("table init", "(table.init $t $e (i32.const 0) (i32.const 8) (i32.const 1))", .tableOutOfBounds),
            ("load", "(drop (i64.load (i32.const 65529)))", .memoryOutOfBounds),
            ("far load", "(drop (i32.load offset=4294967295 (i32.const -1)))", .memoryOutOfBounds),
            ("vector store", "(v128.store (i32.const -16) (local.get $v))", .memoryOutOfBounds),
        ]
        for (name, text, kind) in outside { try made.add("\(name) outside", module(text, more: more), .trap(kind)) }
        return made.cases
    }
}
