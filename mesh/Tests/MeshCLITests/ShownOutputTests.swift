import NodeAPI
import Testing

@testable import MeshCLI

/// What was shown while a job ran, held against what its receipt names.
@Suite struct ShownOutputTests {
    private func news(
        _ text: String, at position: UInt64 = 0, isError: Bool = false, attempt: UInt64 = 1, isCounted: Bool = true
    ) -> OutputNews {
        OutputNews(
            place: OutputPlace(attempt: attempt, position: position),
            pieces: [.init(isError: isError, position: position, bytes: Array(text.utf8))], isCounted: isCounted)
    }

    private func shown(_ all: OutputNews...) -> ShownOutput {
        var shown = ShownOutput()
        for news in all { _ = shown.add(news) }
        return shown
    }

    private func end(
        _ shown: ShownOutput, _ output: String, _ error: String = "", attempt: UInt64? = nil
    ) -> EndOfOutput {
        EndOfOutput(output: Array(output.utf8), error: Array(error.utf8), attempt: attempt, shown: shown)
    }

    private func rest(_ end: EndOfOutput) -> [String] {
        end.rest.map {
            "\($0.isError ? "stderr" : "stdout") \($0.bytes.position) "
                + String(decoding: $0.bytes.bytes, as: UTF8.self)
        }
    }

    @Test func whatWasShownAndIsTheSameIsNotShownAgain() {
        let end = end(shown(news("ab"), news("E", isError: true), news("c", at: 2)), "abcd", "E")
        #expect(end.verdict == .same && end.remark == nil)
        #expect(rest(end) == ["stdout 3 d"])
    }

    @Test func whereNothingWasShownAllIs() {
        let end = end(shown(), "out", "err")
        #expect(end.verdict == .none && end.remark == nil)
        #expect(rest(end) == ["stderr 0 err", "stdout 0 out"])
    }

    @Test func aLieIsToldAndTheReceiptsOutputShownWhole() {
        let lies = [
            shown(news("ax")), shown(news("abcd")), shown(news("b"), news("", at: 1)), shown(news("c", at: 1)),
            shown(news("a"), news("E", isError: true)), shown(news("z", at: .max - 1)),
        ]
        for lie in lies {
            let end = end(lie, "abc")
            #expect(end.verdict == .differs && rest(end) == ["stdout 0 abc"])
            #expect(end.remark?.contains("is not what its receipt names") == true)
        }
        #expect(RunExit.ofLies.status == ExitStatus.liveOutputDiffers.rawValue)
    }

    @Test func whatAnotherAttemptWroteIsNoLieOfTheOneThatCounts() {
        let other = shown(news("ab"), news("zz", attempt: 2))
        let end = end(other, "abc", attempt: 1)
        #expect(end.verdict == .none && rest(end) == ["stdout 0 abc"])
        #expect(end.remark?.contains("another executor") == true)
        #expect(self.end(other, "abc", attempt: 2).verdict == .differs)
    }

    @Test func whatWasLeftOutIsToldAndTheRestCompared() {
        let same = end(shown(news("a"), news("d", at: 3)), "abcde")
        #expect(same.verdict == .same && rest(same) == ["stdout 4 e"])
        #expect(same.remark?.contains("2 B came too fast") == true, "\(same.remark ?? "")")
        #expect(end(shown(news("a"), news("x", at: 3)), "abcde").verdict == .differs)
    }

    @Test func anotherAttemptBeginsAnew() {
        var shown = shown(news("old"))
        let isAnotherAtOnce = shown.add(OutputNews(place: OutputPlace(attempt: 2), pieces: []))
        let isAnother = shown.add(news("ne", attempt: 2))
        #expect(!isAnotherAtOnce && isAnother)
        #expect(rest(end(shown, "new")) == ["stdout 2 w"])
    }

    @Test func whatCannotBeComparedIsNotCalledTheSame() {
        let late = end(shown(news("ab", isCounted: false)), "abc")
        #expect(late.verdict == .unknown && late.rest.isEmpty && late.remark != nil)
        var ragged = ShownOutput()
        for index in 0...UInt64(ShownOutput.Limits.rangesMax) { _ = ragged.add(news("a", at: 2 * index)) }
        let output = String(repeating: "a", count: 3 * ShownOutput.Limits.rangesMax)
        #expect(end(ragged, output).verdict == .unknown)
    }
}
