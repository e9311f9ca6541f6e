import Foundation

/// What a user sees during a job: on a terminal one rewritten line, elsewhere plain lines.
struct LiveLine {
    private let console: Console
    private let isInteractive: Bool
    private let isQuiet: Bool
    private let keepsLines: Bool
    private var isShown = false

    /// A line on standard error; `quiet` shows nothing at all, and without `keepsLines` no line stays.
    init(
        console: Console, quiet: Bool, keepsLines: Bool = true,
        interactive: Bool = Terminal.isInteractive(STDERR_FILENO)
    ) {
        self.console = console
        self.keepsLines = keepsLines
        isQuiet = quiet
        isInteractive = interactive
    }

    /// A line that stays.
    mutating func keep(_ line: String) {
        guard !isQuiet, keepsLines else { return }
        clear()
        console.note(Terminal.safe(line))
    }

    /// A line that the next one replaces; nothing without a terminal.
    mutating func show(_ line: String) {
        guard !isQuiet, isInteractive else { return }
        let safe = Terminal.safe(line)
        let most = max(10, Terminal.columns(STDERR_FILENO) - 1)
        let text = safe.count > most ? String(safe.prefix(most - 1)) + "…" : safe
        console.write(Array("\r\u{1B}[2K\(text)".utf8), to: STDERR_FILENO)
        isShown = true
    }

    /// Removes the transient line.
    mutating func clear() {
        guard isShown else { return }
        console.write(Array("\r\u{1B}[2K".utf8), to: STDERR_FILENO)
        isShown = false
    }
}
