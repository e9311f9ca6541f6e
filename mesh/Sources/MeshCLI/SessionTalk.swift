import Foundation
import Multiformats
import NodeAPI
import Synchronization

/// A user at the terminal, or a program at the pipes, that talks with an interactive job.
struct SessionTalk: Sendable {
    /// How talking ended.
    enum End: Sendable {
        /// The module said its last.
        case over
        /// The user left the job to itself.
        case detached
    }

    /// What was shown of what the module wrote, in bytes of each stream.
    final class Shown: Sendable {
        private let counts = Mutex((output: 0, error: 0))

        var output: Int { counts.withLock { $0.output } }
        var error: Int { counts.withLock { $0.error } }

        fileprivate func add(_ count: Int, isError: Bool) {
            counts.withLock { counts in
                if isError { counts.error += count } else { counts.output += count }
            }
        }

        /// Another attempt begins: it writes everything anew.
        fileprivate func clear() { counts.withLock { $0 = (0, 0) } }
    }

    /// The key that leaves the job to itself on a raw terminal: Ctrl-].
    static let detachKey: UInt8 = 0x1D
    /// Bytes that are read from standard input at once.
    static let readBytesMax = 32 << 10

    let node: any NodeService
    let jobID: CID
    let console: Console
    /// Whether the terminal passes every key on, and shows whatever comes.
    let isRaw: Bool
    let shown = Shown()
    private let typing = TypingPlace()

    init(node: any NodeService, jobID: CID, console: Console, isRaw: Bool) {
        self.node = node
        self.jobID = jobID
        self.console = console
        self.isRaw = isRaw
    }

    /// Talks until the module has said its last, or the user leaves.
    func run() async throws -> End {
        try await withThrowingTaskGroup(of: End?.self) { group in
            group.addTask { try await listen() }
            group.addTask { try await type() }
            defer { group.cancelAll() }
            while let end = try await group.next() {
                if let end { return end }
            }
            return .over
        }
    }

    /// Shows what the module writes.
    private func listen() async throws -> End {
        var place = SessionPlace()
        var texts = [StreamText(), StreamText()]
        while true {
            let news = try await node.hear(jobID, from: place)
            if news.place.attempt != place.attempt {
                if place.attempt != 0 {
                    console.note("mesh: The executor was lost; the job begins anew, without what was typed before.")
                    shown.clear()
                }
                if let input = news.inputPosition {
                    typing.set(
                        SessionPlace(client: news.place.client, attempt: news.place.attempt, position: input))
                }
            }
            for piece in news.pieces {
                shown.add(piece.bytes.count, isError: piece.isError)
                show(piece, &texts[piece.isError ? 1 : 0])
            }
            let isKnown = news.inputPosition != nil || !news.pieces.isEmpty || news.place.attempt == place.attempt
            place = SessionPlace(
                client: news.place.client, attempt: isKnown ? news.place.attempt : place.attempt, position: news.end)
            if news.isOver { return .over }
        }
    }

    private func show(_ piece: SessionNews.Piece, _ text: inout StreamText) {
        let descriptor = piece.isError ? STDERR_FILENO : STDOUT_FILENO
        if isRaw || isatty(descriptor) != 1 {
            console.write(piece.bytes, to: descriptor)
        } else {
            console.data(text.whole(piece.bytes), to: descriptor)
        }
    }

    /// Passes on what is typed; nil at its end.
    private func type() async throws -> End? {
        while let read = await StandardInput.next(bytesMax: Self.readBytesMax) {
            var bytes = read
            let key = isRaw ? bytes.firstIndex(of: Self.detachKey) : nil
            if let key { bytes = Array(bytes[..<key]) }
            try await say(bytes, isLast: read.isEmpty)
            if key != nil { return .detached }
            if read.isEmpty { return nil }
        }
        return nil
    }

    private func say(_ bytes: [UInt8], isLast: Bool) async throws {
        guard var place = await typing.current(), !bytes.isEmpty || isLast else { return }
        var rest = bytes[...]
        repeat {
            let next = try await node.say(Array(rest), isLast: isLast, to: jobID, at: place)
            // Another attempt has its own input.
            guard next.attempt == place.attempt else { return }
            rest = rest.dropFirst(Int(clamping: next.position - min(next.position, place.position)))
            place = next
        } while !rest.isEmpty && !Task.isCancelled
        typing.advance(to: place)
    }
}

/// Where the next byte that is typed goes.
private final class TypingPlace: Sendable {
    private let place = Mutex<SessionPlace?>(nil)
    private let known: AsyncStream<Void>
    private let knownIn: AsyncStream<Void>.Continuation

    init() { (known, knownIn) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }

    func set(_ new: SessionPlace) {
        place.withLock { $0 = new }
        knownIn.yield(())
    }

    /// Goes on in the same attempt.
    func advance(to new: SessionPlace) {
        place.withLock { place in
            if place?.attempt == new.attempt { place = new }
        }
    }

    /// The place, as soon as it is known; nil if the task is cancelled first.
    func current() async -> SessionPlace? {
        if let place = place.withLock({ $0 }) { return place }
        for await _ in known {
            if let place = place.withLock({ $0 }) { return place }
        }
        return nil
    }
}

/// Text of a stream that comes in pieces: a character is shown when all of its bytes are here.
struct StreamText {
    private var held: [UInt8] = []

    /// What of the bytes makes whole characters, with what was held before.
    mutating func whole(_ bytes: [UInt8]) -> [UInt8] {
        let all = held + bytes
        held = []
        for count in 1...3 where count <= all.count {
            let byte = all[all.count - count]
            guard byte & 0xC0 != 0x80 else { continue }
            let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
            if length > count { held = Array(all.suffix(count)) }
            break
        }
        return Array(all.dropLast(held.count))
    }
}

/// Standard input, read on a thread of its own.
enum StandardInput {
    /// The next bytes; none at the end, nil if the task is cancelled first.
    static func next(bytesMax: Int) async -> [UInt8]? {
        let wakeUp = WakeUp()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<[UInt8]?, Never>) in
                Thread.detachNewThread { continuation.resume(returning: read(bytesMax, orUntil: wakeUp)) }
            }
        } onCancel: {
            wakeUp.ring()
        }
    }

    private static func read(_ bytesMax: Int, orUntil wakeUp: WakeUp) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: bytesMax)
        while true {
            var waiting = [
                pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wakeUp.listening, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&waiting, 2, -1) > 0 else {
                if errno == EINTR { continue }
                return []
            }
            if waiting[1].revents != 0 { return nil }
            let count = Foundation.read(STDIN_FILENO, &buffer, buffer.count)
            if count < 0, errno == EAGAIN || errno == EINTR { continue }
            return Array(buffer.prefix(max(0, count)))
        }
    }
}

/// A terminal that passes every key on at once, until it is put back.
struct RawTerminal {
    private let before: termios

    /// Changes the terminal at standard input; nil if there is none.
    init?() {
        var settings = termios()
        guard tcgetattr(STDIN_FILENO, &settings) == 0 else { return nil }
        before = settings
        cfmakeraw(&settings)
        guard tcsetattr(STDIN_FILENO, TCSANOW, &settings) == 0 else { return nil }
    }

    /// Makes it as it was.
    func restore() {
        var settings = before
        tcsetattr(STDIN_FILENO, TCSADRAIN, &settings)
    }
}
