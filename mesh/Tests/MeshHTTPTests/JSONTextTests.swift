import Foundation
import NodeAPI
import NodeAPITesting
import Testing

@testable import MeshHTTP

/// The JSON of the API's answers, which has to be what Foundation would write.
@Suite struct JSONTextTests {
    /// Texts with everything that is escaped, and what is near it.
    private static let texts =
        (0...0x9F).compactMap(UnicodeScalar.init).map { "a\(Character($0))b" } + [
            "", "/", "\\\\\"", "é", "e\u{301}", "\u{2028}\u{2029}", "😀", "\u{FFFF}", "ends with \u{1}", "\u{7F}",
            String(repeating: "\"", count: 100),
        ]

    private struct Numbers: Encodable {
        let small = [Int8.min, .max]
        let middle = [Int16.min, .max]
        let large = [Int32.min, .max]
        let signed = [Int64.min, -1, 0, 1, .max]
        let plain = [Int.min, .max]
        let bytes: [UInt8] = [0, 9, 10, 99, 100, 255]
        let words: [UInt16] = [.max]
        let longs: [UInt32] = [.max]
        let most: [UInt64] = [0, .max]
        let unsigned: [UInt] = [.max]
        let reals = [0, -0.0, 1, -1.5, 0.1, 1e100, .leastNonzeroMagnitude, 1e15, 1e16, 123_456_789.123]
        let halves: [Float] = [0, 1, 0.1, 1e30]
        let flags = [true, false]
        let none: Int? = nil
        let holes: [Int?] = [nil, 1, nil]
    }

    private struct Empty: Encodable {}

    private struct Nested: Encodable {
        let zebra = Empty()
        let apple: [String: [Int]] = ["b": [], "a": [1], "a b\"c": [2]]
        let mango = [[Empty](), [Empty(), Empty()]]
        let text = ["", "x"]
    }

    private func same(_ value: some Encodable, line: UInt = #line) throws {
        let own = try #require(JSONText.bytes(of: value), "line \(line)")
        let (text, foundations) = (String(decoding: own, as: UTF8.self), try MeshJSON.encodeByFoundation(value))
        #expect(text.utf8.elementsEqual(foundations), "line \(line): \(text)")
    }

    @Test func valuesAreWrittenAsFoundationWritesThem() throws {
        try same(Self.texts)
        try same(Dictionary(uniqueKeysWithValues: Self.texts.enumerated().map { ("\($1)\($0)", $0) }))
        try same(Numbers())
        try same(Nested())
        try same("text")
        try same(7)
        try same([Int]())
        try same([String: Int]())
        try same([APIScope.full, .read])
        try same(Problem(NodeServiceError(.notSignedIn, "No \"token\".", hint: "a/b")))
    }

    @Test func theAPIsOwnAnswersAreAllWrittenHere() throws {
        var job = Samples.job
        job.result = Samples.result
        job.preparation = JobPreparation(step: "compiling", compilingMilliseconds: 1)
        try same(job)
        try same(JobPage(jobs: [job, Samples.job], next: "next"))
        try same(Samples.status)
        try same(Samples.receipt)
        try same(Samples.description)
        try same(Samples.wallet)
        try same(Samples.network)
        try same(Samples.report)
        try same([Samples.peer])
    }

    private struct Holder: Encodable {
        let value: Data
    }

    private enum Choice: Encodable {
        case one(Int)
    }

    private class Base: Encodable {
        let base = 1
    }

    private final class Derived: Base {
        override func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(2, forKey: .derived)
            try super.encode(to: container.superEncoder())
        }

        private enum CodingKeys: String, CodingKey { case derived }
    }

    private struct Twice: Encodable {
        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(1, forKey: .name)
            try container.encode(2, forKey: .name)
        }

        private enum CodingKeys: String, CodingKey { case name }
    }

    private final class Deep: Encodable {
        let inner: Deep?
        init(_ inner: Deep?) { self.inner = inner }
    }

    @Test func whatItDoesNotKnowIsLeftToFoundation() throws {
        func left(_ value: some Encodable, line: UInt = #line) throws {
            #expect(JSONText.bytes(of: value) == nil, "line \(line)")
            #expect(try MeshJSON.encode(value) == MeshJSON.encodeByFoundation(value), "line \(line)")
        }
        try left(Holder(value: Data([1, 2])))
        try left([Date(timeIntervalSince1970: 1)])
        try left(URL(string: "http://a/b"))
        try left([Decimal(1)])
        try left([Choice.one(1)])
        try left(Derived())
        try left(Twice())
        var deep = Deep(nil)
        for _ in 0..<JSONText.depthMax { deep = Deep(deep) }
        try left(deep)
        let many = Dictionary(uniqueKeysWithValues: (0...JSONText.fieldsMax).map { ("\($0)", $0) })
        try left(many)
        try same(many.filter { $0.value > 0 })
        #expect(throws: (any Error).self) { try MeshJSON.encode([Double.nan]) }
    }
}
