import Foundation
import Synchronization

/// What a user sees during a job: on a terminal one rewritten line, elsewhere plain lines; and between them what the
/// module writes, where that comes while it runs.
final class LiveLine: Sendable {
    private struct State: Sendable {
        var isShown = false
        /// Whether the module's last line has no end yet: nothing is shown in it.
        var isInModulesLine = false
    }

    private let console: Console
    private let isInteractive: Bool
    private let isQuiet: Bool
    private let keepsLines: Bool
    private let state = Mutex(State())

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
    func keep(_ line: String) {
        guard !isQuiet, keepsLines else { return }
        state.withLock { state in
            clear(&state)
            leaveModulesLine(&state)
            console.note(Terminal.safe(line))
        }
    }

    /// A line that the next one replaces; nothing without a terminal.
    func show(_ line: String) { show(fitting: { _ in line }) }

    /// The same for a line that is made to fit into so many columns.
    func show(fitting line: (Int) -> String) {
        guard !isQuiet, isInteractive else { return }
        let most = max(10, Terminal.columns(STDERR_FILENO) - 1)
        let safe = Terminal.safe(line(most))
        let text = safe.count > most ? String(safe.prefix(most - 1)) + "…" : safe
        state.withLock { state in
            guard !state.isInModulesLine else { return }
            console.write(Array("\r\u{1B}[2K\(text)".utf8), to: STDERR_FILENO)
            state.isShown = true
        }
    }

    /// Shows what the module wrote.
    func data(_ bytes: [UInt8], to descriptor: Int32) {
        guard let last = bytes.last else { return }
        state.withLock { state in
            clear(&state)
            console.data(bytes, to: descriptor)
            if isatty(descriptor) == 1 { state.isInModulesLine = last != 0x0A }
        }
    }

    /// Ends the module's line, if that has no end.
    func endModulesLine() { state.withLock { leaveModulesLine(&$0) } }

    /// Removes the transient line.
    func clear() { state.withLock { clear(&$0) } }

    private func clear(_ state: inout State) {
        guard state.isShown else { return }
        console.write(Array("\r\u{1B}[2K".utf8), to: STDERR_FILENO)
        state.isShown = false
    }

    private func leaveModulesLine(_ state: inout State) {
        guard state.isInModulesLine else { return }
        console.write([0x0A], to: STDERR_FILENO)
        state.isInModulesLine = false
    }
}
