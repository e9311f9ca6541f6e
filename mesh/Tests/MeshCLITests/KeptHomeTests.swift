import NodeAPI
import Testing

@testable import MeshCLI

/// Advice that works as it stands for who named a home folder.
@Suite("Advice keeps the home folder")
struct KeptHomeTests {
    @Test("The option stands behind each command of a node, and nowhere else")
    func advice() {
        let rows: [(String, String)] = [
            ("mesh jobs lists them.", "mesh jobs --home /h lists them."),
            ("See mesh workflow ls for those.", "See mesh workflow ls --home /h for those."),
            ("Run it again; mesh explain last tells.", "Run it again; mesh explain --home /h last tells."),
            ("paused (mesh resume), 1 job", "paused (mesh resume --home /h), 1 job"),
            ("Start it with mesh up --home /h, or", "Start it with mesh up --home /h, or"),
            (
                "Join with mesh connect ADDRESS, or mesh devnet.",
                "Join with mesh connect --home /h ADDRESS, or mesh devnet."
            ),
            ("Run mesh init again.", "Run mesh init again."),
            ("mesh status there lists them.", "mesh status there lists them."),
            ("mesh: Nothing is kept.", "mesh: Nothing is kept."), ("a mesh of nodes", "a mesh of nodes"),
            ("with an option of mesh up, which", "with an option of mesh up, which"),
            ("mymesh jobs", "mymesh jobs"), ("a mesh", "a mesh"), ("", ""),
            ("mesh config set listen ADDRESS", "mesh config set --home /h listen ADDRESS"),
        ]
        for (advice, kept) in rows { #expect(KeptHome("/h").kept(in: advice) == kept) }
        #expect(KeptHome("/a b'c").kept(in: "mesh stop") == "mesh stop --home '/a b'\\''c'")
    }

    @Test("A failure's advice names the home, as a sentence and as JSON; its message stays")
    func failures() throws {
        let error = NodeServiceError(.jobNotFound, "mesh jobs is no job.", hint: "See mesh jobs.")
        let console = Console(home: "/h")
        #expect(
            console.failureLine(error, status: .notFound, json: false)
                == "mesh: mesh jobs is no job. See mesh jobs --home /h.")
        #expect(
            console.failureLine(error, status: .notFound, json: true).contains("See mesh jobs --home \\/h.")
                || console.failureLine(error, status: .notFound, json: true).contains("See mesh jobs --home /h."))
        #expect(Console().failureLine(error, status: .notFound, json: false).hasSuffix("See mesh jobs."))
    }
}
