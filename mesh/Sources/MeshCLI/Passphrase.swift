import Foundation
import NodeAPI

/// The passphrase of a key file: from the environment, or from a prompt without echo.
enum Passphrase {
    /// The variable that holds it.
    static let variable = "MESH_PASSPHRASE"
    /// The character of Ctrl-C.
    private static let interruptCharacter: UInt8 = 0x03

    /// The passphrase for an existing key.
    static func forKey(at path: String) throws -> String {
        if let given = ProcessInfo.processInfo.environment[variable] { return given }
        return try ask("Passphrase for \(path): ")
    }

    /// A passphrase for a new key; the prompt asks twice.
    static func choose() throws -> String {
        if let given = ProcessInfo.processInfo.environment[variable], !given.isEmpty { return given }
        let first = try ask("New passphrase: ")
        guard try ask("Once more: ") == first else {
            throw NodeServiceError(.keyUnusable, "The two passphrases differ.", hint: "Run the command again.")
        }
        guard !first.isEmpty else {
            throw NodeServiceError(
                .keyUnusable, "The passphrase is empty.", hint: "Choose one, or leave out --encrypt.")
        }
        return first
    }

    private static func ask(_ prompt: String) throws -> String {
        let terminal = open("/dev/tty", O_RDWR | O_CLOEXEC)
        guard terminal >= 0 else {
            throw NodeServiceError(
                .keyUnusable, "The key needs a passphrase, and there is no terminal to ask for it.",
                hint: "Give it in \(variable).")
        }
        defer { close(terminal) }
        var settings = termios()
        tcgetattr(terminal, &settings)
        let before = settings
        // Ctrl-C would end the process with the echo still off; as the end of a line, this code handles it.
        settings.c_lflag &= ~tcflag_t(ECHO | ISIG)
        // SAFETY: the characters are changed in place, within the call.
        withUnsafeMutableBytes(of: &settings.c_cc) { $0[Int(VEOL)] = interruptCharacter }
        tcsetattr(terminal, TCSAFLUSH, &settings)
        // Only now, so that what is typed right after the prompt is neither shown nor lost.
        Console().write(Array(prompt.utf8), to: terminal)
        defer {
            var restored = before
            tcsetattr(terminal, TCSAFLUSH, &restored)
            Console().write([0x0A], to: terminal)
        }
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while line.count < 1_024, read(terminal, &byte, 1) == 1, byte != 0x0A {
            guard byte != interruptCharacter else { throw CancellationError() }
            line.append(byte)
        }
        return String(decoding: line, as: UTF8.self)
    }
}
