import Testing

@Suite struct WordChecksTests {
    private func file(_ text: String, _ path: String = "mesh/Sources/CoVM/A.swift") -> SourceFile {
        SourceFile(path: path, text: text)
    }

    @Test func anErrorWithoutWordsIsFound() {
        let silent = [
            "enum Lost: Error { case gone }", "struct Lost: Sendable, Error {}",
            "struct A { private enum Lost: Error, Hashable { case gone } }",
            "struct Lost {}\nextension Lost: Error {}",
        ]
        for text in silent {
            let findings = WordChecks.silentErrors(in: [file(text)])
            #expect(findings.map(\.message) == ["Lost has no words: make it CustomStringConvertible"], "\(text)")
        }
        let words = file("extension Lost: CustomStringConvertible {}", "mesh/Sources/CoVM/B.swift")
        for text in silent { #expect(WordChecks.silentErrors(in: [file(text), words]) == [], "\(text)") }
        let elsewhere = file("extension Lost: CustomStringConvertible {}", "mesh/Sources/IPLD/B.swift")
        #expect(WordChecks.silentErrors(in: [file(silent[0]), elsewhere]).count == 1)
        for fine in ["enum Lost { case error }", "func lost() -> Result<Int, Error> { a }", "typealias E = Error"] {
            #expect(WordChecks.silentErrors(in: [file(fine)]) == [], "\(fine)")
        }
    }

    @Test func textMadeOfStructureIsFound() {
        #expect(WordChecks.structures(in: file("let a = String(describing: error)")).count == 1)
        #expect(WordChecks.structures(in: file("let a = String(reflecting: error)")).count == 1)
        #expect(WordChecks.structures(in: file("let a = String(decoding: a, as: UTF8.self)")) == [])
        let simulator = file("let a = String(describing: error)", "mesh/Sources/MeshSimulation/A.swift")
        #expect(WordChecks.structures(in: simulator) == [])
    }

    @Test func aCodeThatNothingMakesIsFound() {
        let codes = file("enum Code { case used, other\n case unused }\nenum More { case third }")
        let user = file("func a() { throw Failure(.used) }\nlet b = Code.other", "mesh/Sources/CoVM/B.swift")
        let findings = WordChecks.unmade("Code", in: codes, by: [user])
        #expect(findings.map(\.message) == ["nothing makes Code.unused: take it out"])
        #expect(WordChecks.unmade("Nothing", in: codes, by: [user]).count == 1)
    }
}
