import IPLD
import MeshTypes
import Multiformats
import Testing

@Suite("Numbers that functions are called with")
struct WasmNumberTests {
    private func number(_ text: String, _ type: WasmNumber.Kind) -> WasmNumber? { try? WasmNumber(text, as: type) }

    @Test(
        "A text becomes the number that WebAssembly's text format takes it for, which has one spelling",
        arguments: [
            ("42", .i32, 42, "42"), ("-1", .i32, -1, "-1"), ("4294967295", .i32, -1, "-1"), ("0xff", .i32, 255, "255"),
            ("-0x80000000", .i32, -0x8000_0000, "-2147483648"), ("+7", .i64, 7, "7"), ("007", .i64, 7, "7"),
            ("18446744073709551615", .i64, -1, "-1"), ("-9223372036854775808", .i64, .min, "-9223372036854775808"),
            ("1", .f32, 0x3F80_0000, "1"), ("-0", .f32, Int64(Int32.min), "-0"), ("0.1", .f32, 0x3DCC_CCCD, "0.1"),
            ("nan", .f32, 0x7FC0_0000, "nan"), ("1e10", .f64, 0x4202_A05F_2000_0000, "10000000000"),
            ("-inf", .f64, Int64(bitPattern: 0xFFF0_0000_0000_0000), "-inf"), ("Infinity", .f64, 0x7FF0 << 48, "inf"),
            ("0x1p-1", .f64, 0x3FE0 << 48, "0.5"), ("-nan", .f64, 0x7FF8 << 48, "nan"),
        ] as [(String, WasmNumber.Kind, Int64, String)])
    func reads(text: String, type: WasmNumber.Kind, bits: Int64, spelling: String) {
        #expect(number(text, type)?.bits == bits)
        #expect(number(text, type)?.text == spelling)
        #expect(number(spelling, type)?.bits == bits, "what is printed reads back")
    }

    @Test(
        "Floats are written in the shortest digits, as ECMAScript lays them out",
        arguments: [
            (0.1, "0.1"), (1e21, "1e+21"), (1e20, "100000000000000000000"), (123_456_789.125, "123456789.125"),
            (1e-6, "0.000001"), (1e-7, "1e-7"), (1.5e-7, "1.5e-7"), (.leastNonzeroMagnitude, "5e-324"),
            (1.7976931348623157e308, "1.7976931348623157e+308"), (9_007_199_254_740_992, "9007199254740992"),
            (0.30000000000000004, "0.30000000000000004"), (-1234.5, "-1234.5"), (100, "100"),
        ] as [(Double, String)])
    func spells(value: Double, text: String) { #expect(WasmNumber(value).text == text) }

    @Test("Whatever the bits of a float, its text reads back as the same bits")
    func roundTrips() {
        for step in 0..<UInt64(20_000) {
            // Steps of the golden ratio reach all parts of the range.
            let bits = step &* 0x9E37_79B9_7F4A_7C15
            for value in [WasmNumber(Double(bitPattern: bits)), WasmNumber(Float(bitPattern: UInt32(bits >> 32)))] {
                #expect(value.isWellFormed && number(value.text, value.type) == value, "\(value)")
            }
        }
    }

    @Test("What is no number of the type is refused, and what the type does not hold, too")
    func refuses() {
        let faults: [(String, WasmNumber.Kind, WasmNumber.TextFault)] = [
            ("", .i32, .notANumber), ("x", .i32, .notANumber), ("1.5", .i32, .notANumber), ("0x", .i32, .notANumber),
            ("--1", .i64, .notANumber), (" 1", .i64, .notANumber), ("١", .i64, .notANumber), ("1 ", .f32, .notANumber),
            ("4294967296", .i32, .outOfRange), ("-2147483649", .i32, .outOfRange), ("0x100000000", .i32, .outOfRange),
            ("18446744073709551616", .i64, .outOfRange), ("-9223372036854775809", .i64, .outOfRange),
            ("1e39", .f32, .outOfRange), ("1e400", .f64, .outOfRange), ("-1e400", .f64, .outOfRange),
        ]
        for (text, type, fault) in faults {
            #expect(throws: fault, "\(text)") { try WasmNumber(text, as: type) }
        }
    }

    @Test("Every result stands on a line of its own")
    func output() {
        let results = [WasmNumber(Int32(-1)), WasmNumber(Int64.max), WasmNumber(Float.nan), WasmNumber(0.5)]
        #expect(String(decoding: NumberCall.output(results), as: UTF8.self) == "-1\n9223372036854775807\nnan\n0.5\n")
    }

    // MARK: In a job

    private static let numbers = [
        WasmNumber(Int32.min), WasmNumber(Int64.min), WasmNumber(-Float.zero), WasmNumber(-Double.infinity),
    ]

    private static func job(_ change: (inout MeshJobParams) -> Void = { _ in }) -> MeshJobParams {
        var params = MeshJobParams(wasmCID: Samples.module)
        params.entry = "add"
        params.invoke = numbers
        params.executionPolicy = ExecutionPolicy()
        params.executionPolicy?.require(NumberCall.feature)
        change(&params)
        return params
    }

    @Test("A job carries them as they are, within the bounds of every message; one without has the bytes that it had")
    func inAJob() throws {
        let limits = DAGCBOR.Limits(integerMax: MeshProtocolMessage.Limits().integerMax)
        let bytes = try DAGCBOREncoder().encode(Self.job())
        let read = try DAGCBORDecoder(limits: limits).decode(MeshJobParams.self, from: bytes)
        #expect(read.invoke == Self.numbers && read == Self.job())
        #expect(JobRules().refusal(of: read) == nil)
        #expect(!String(decoding: try DAGCBOREncoder().encode(Samples.params), as: UTF8.self).contains("invoke"))
    }

    private func refusal(_ change: (inout MeshJobParams) -> Void) -> String? {
        JobRules().refusal(of: Self.job(change))?.description
    }

    /// Numbers as only another implementation would write them.
    private func number(bits: Int64, type: String) throws -> WasmNumber {
        let tree: IPLDValue = .map([
            "bits": bits < 0 ? .negative(bits) : .unsigned(UInt64(bits)), "type": .string(type),
        ])
        return try DAGCBORDecoder().decode(WasmNumber.self, from: DAGCBOR.encode(tree))
    }

    @Test("A call that is not well formed is refused")
    func rules() throws {
        let full = NumberCall.Limits.parametersMax
        #expect(refusal { $0.invoke = Array(repeating: WasmNumber(0.5), count: full) } == nil)
        #expect(
            refusal { $0.invoke = Array(repeating: WasmNumber(0.5), count: full + 1) }
                == "the list of numbers (--invoke) has 65 elements, the most allowed is 64")
        #expect(refusal { $0.entry = nil } == "the call (--invoke) names no function")
        #expect(refusal { $0.args = ["x"] } == "the call (--invoke) has numbers, and the job has arguments besides")
        #expect(
            refusal { $0.executionPolicy = nil }
                == "the job needs executors with the feature invoke-v1, and its policy does not ask for it")
        for (bits, type): (Int64, String) in [
            (2_147_483_648, "i32"), (-2_147_483_649, "f32"), (0x7FC0_0001, "f32"), (-0x40_0000, "f32"),
            (0x7FF8_0000_0000_0001, "f64"), (-0x8_0000_0000_0000, "f64"), (0x7FF4_0000_0000_0000, "f64"),
        ] {
            let odd = [WasmNumber(0.5), try number(bits: bits, type: type)]
            #expect(
                refusal { $0.invoke = odd } == "the call (--invoke) has a number 2 that is no \(type)", "\(bits)")
        }
        #expect(throws: (any Error).self) { try number(bits: 0, type: "v128") }
        var files = JobFiles(mounts: [JobFiles.Mount(emptyFolderAt: "/job")], workingFolder: "/job")
        files.collect = ["result": "out"]
        #expect(
            refusal { params in
                params.files = files
                params.executionPolicy?.require(JobFiles.feature)
            } == "what is collected (--collect) cannot be called result: what the function returns has that name")
    }
}
