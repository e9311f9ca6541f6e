import Foundation
import Testing

/// The kit that shows tests what a user sees in a terminal.
@Suite("Terminals", .serialized)
struct TerminalTests {
    private func screen(_ text: String, columns: Int = 10) -> TerminalScreen {
        var screen = TerminalScreen(columns: columns)
        // Byte by byte: a character or a sequence may be cut anywhere.
        for byte in text.utf8 { screen.write([byte]) }
        return screen
    }

    @Test("A rewritten line is what was written last, and what was erased is still known")
    func rewriting() {
        let shown = screen("one\r\n\r\u{1B}[2Kwait…\r\u{1B}[2Kdone\r\nmore")
        #expect(shown.lines == ["one", "done", "more"])
        #expect(shown.printed.contains("wait…"))
        #expect(shown.overflows.isEmpty && shown.unknownSequences.isEmpty)
    }

    @Test("The cursor goes up, and what is below it can be erased")
    func blocks() {
        #expect(screen("a\r\nb\r\nc\r\n\u{1B}[2A\u{1B}[JB\r\n").text == "a\nB")
        #expect(screen("abc\u{1B}[2D\u{1B}[Kd\u{1B}[3Gx\u{1B}[7m!").text == "adx!")
        #expect(screen("a\tb\u{8}c").text == "a       c")
    }

    @Test("A line over the edge is broken by the terminal, and that is noticed; one that fits is not")
    func overflow() {
        let over = screen("0123456789A\r\n")
        #expect(over.lines == ["0123456789", "A", ""])
        #expect(over.overflows == ["0123456789"])
        let fitting = screen("0123456789\r\nA\r\n")
        #expect(fitting.lines == ["0123456789", "A", ""])
        #expect(fitting.overflows.isEmpty)
    }

    @Test("What this screen does not know is told")
    func unknown() {
        #expect(screen("\u{1B}[3;4H\u{1B}c\u{7}").unknownSequences == ["ESC [ 3;4H", "ESC c", "control 7"])
    }

    @Test("A program finds a terminal of the columns that were asked for, is typed to, and is interrupted by a key")
    func programs() throws {
        let shell = URL(fileURLWithPath: "/bin/sh")
        let program = "stty size; read word; echo got $word; exit 7"
        let talker = try TerminalProcess(["-c", program], program: shell, columns: 61)
        try talker.wait(for: "50 61")
        try talker.type("hello\n")
        let talked = try talker.finish()
        #expect(talked.status == 7)
        #expect(talked.screen.text == "50 61\nhello\ngot hello")
        let waiting = try TerminalProcess(["-c", "echo ready; exec cat"], program: shell, columns: 61)
        try waiting.wait(for: "ready")
        try waiting.type(TerminalProcess.interruptKey)
        #expect(try waiting.finish().status == -SIGINT)
        let silent = try TerminalProcess(["-c", "exec cat"], program: shell, columns: 61)
        #expect(throws: NotInTime.self) { try silent.wait(for: "a word", seconds: 0.05) }
    }
}
