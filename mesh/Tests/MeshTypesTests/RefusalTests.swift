import IPLD
import MeshTypes
import Testing

/// What follows from the code of a refusal.
@Suite struct RefusalTests {
    @Test func onlyForgeryAndBrokenProtocolBlameTheSender() {
        let blamed = RefusalName.allCases.filter { $0.blame == .sender }
        #expect(
            Set(blamed) == [
                .malformed, .notDirect, .notVerified, .chainMismatch, .statusMismatch, .priceMismatch, .wrongExecutor,
            ])
        let asked = RefusalName.allCases.filter { $0.blame == .unknownSubject }
        #expect(Set(asked) == [.bidUnknown, .assignmentUnknown, .receiptUnknown])
    }

    @Test func aCodeIsKnownByItsWholeText() throws {
        for name in RefusalName.allCases {
            #expect(RefusalCode(name.rawValue) == .known(name))
            #expect(RefusalCode(name.rawValue + "_x").blame == .none)
            let bytes = try DAGCBOREncoder().encode([RefusalCode.known(name)])
            #expect(try DAGCBORDecoder().decode([String].self, from: bytes) == [name.rawValue])
        }
        let later = RefusalCode("of_tomorrow")
        #expect(later == .unknown("of_tomorrow") && later.text == "of_tomorrow")
        let bytes = try DAGCBOREncoder().encode([later])
        #expect(try DAGCBORDecoder().decode([RefusalCode].self, from: bytes) == [later])
    }

    @Test func aCodeOfAPeerIsFitForATerminalAndReadsAsItself() {
        let evil = RefusalCode("a\u{1B}[2J" + String(repeating: "x", count: 100)).sanitized
        #expect(evil == .unknown("a?[2J" + String(repeating: "x", count: 59)))
        #expect(RefusalCode(evil.text) == evil)
    }
}
