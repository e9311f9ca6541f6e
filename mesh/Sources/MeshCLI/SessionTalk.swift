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
        private let counts = Mutex((output: 0, error: 0, began: UInt64(0)))

        /// What was written before the first byte that was shown.
        var began: UInt64 { counts.withLock { $0.began } }
        var output: Int { counts.withLock { $0.output } }
        var error: Int { counts.withLock { $0.error } }

        fileprivate func add(_ count: Int, isError: Bool) {
            counts.withLock { counts in
                if isError { counts.error += count } else { counts.output += count }
            }
        }

        /// An attempt begins, or what is left of it: it writes everything anew.
        fileprivate func begin(at position: UInt64) { counts.withLock { $0 = (0, 0, position) } }
    }

    /// The key that leaves the job to itself on a raw terminal: Ctrl-].
    static let detachKey: UInt8 = 0x1D
    /// Bytes that are read from standard input at once.
    static let readBytesMax = 32 << 10
    /// How long what was typed before the leaving key may take, in milliseconds.
    static let leavingMilliseconds: Int64 = 1_000

    let node: any NodeService
    let jobID: CID
    let console: Console
    /// Whether the terminal passes every key on, and shows whatever comes.
    let isRaw: Bool
    let shown = Shown()
    private let typing = TypedBytes()

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
            group.addTask { await readKeys() }
            group.addTask {
                try await send()
                return nil
            }
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
                }
                if let input = news.inputPosition {
                    if news.isInputOver, place.attempt == 0 {
                        console.note("mesh: The end of the input was typed before; the module reads no more.")
                    }
                    typing.set(
                        SessionPlace(client: news.place.client, attempt: news.place.attempt, position: input),
                        isInputOver: news.isInputOver)
                }
                if news.place.attempt != 0, news.inputPosition != nil || !news.pieces.isEmpty {
                    shown.begin(at: news.place.position)
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

    /// Reads what is typed, and looks for the key that leaves; nil at its end. Nothing that happens to the job or its
    /// executor keeps this from reading a raw terminal.
    private func readKeys() async -> End? {
        while let read = await StandardInput.next(bytesMax: Self.readBytesMax) {
            if read.isEmpty {
                typing.end()
                return nil
            }
            let key = isRaw ? read.firstIndex(of: Self.detachKey) : nil
            if !typing.add(read[..<(key ?? read.endIndex)], isForced: isRaw) {
                console.write([0x07], to: STDERR_FILENO)
            }
            if key != nil {
                await leave()
                return .detached
            }
            if !isRaw { await typing.waitForRoom() }
        }
        return nil
    }

    /// Gives what was typed before the leaving key a moment to be taken.
    private func leave() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await typing.waitForRoom(bytes: TypedBytes.bytesMax) }
            group.addTask { try? await Task.sleep(for: .milliseconds(Self.leavingMilliseconds)) }
            await group.next()
            group.cancelAll()
        }
    }

    /// Passes on what is typed, and its end to each attempt.
    private func send() async throws {
        for await _ in typing.changes {
            while let next = typing.next(bytesMax: Self.readBytesMax), !Task.isCancelled {
                let place = try await node.say(next.bytes, isLast: next.isLast, to: jobID, at: next.place)
                // One that takes nothing will soon say that it is over.
                if !typing.sent(next, place) { try? await Task.sleep(for: .milliseconds(100)) }
            }
        }
    }
}

/// What was typed and not sent yet, and where its next byte goes.
final class TypedBytes: Sendable {
    /// What is sent at once.
    struct Part: Hashable, Sendable {
        var bytes: [UInt8]
        var isLast: Bool
        var place: SessionPlace
    }

    private struct State: Sendable {
        var place: SessionPlace?
        var bytes: [UInt8] = []
        var hasEnded = false
        /// The attempt whose input is over.
        var attemptOver: UInt64 = 0
    }

    /// Bytes that are kept; beyond, a raw terminal's keys are lost, and others are read later.
    static let bytesMax = 1 << 20

    private let state = Mutex(State())
    /// One element when there may be something to send.
    let changes: AsyncStream<Void>
    private let changed: AsyncStream<Void>.Continuation
    private let room: AsyncStream<Void>
    private let roomMade: AsyncStream<Void>.Continuation

    init() {
        (changes, changed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (room, roomMade) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Where an attempt is; what is typed behind the end of its input goes nowhere.
    func set(_ place: SessionPlace, isInputOver: Bool) {
        state.withLock { state in
            state.place = place
            if isInputOver { state.attemptOver = place.attempt }
        }
        changed.yield(())
    }

    /// Keeps what was typed; `false` if there is no room, for a terminal that is not waited for.
    func add(_ bytes: ArraySlice<UInt8>, isForced: Bool) -> Bool {
        let isKept = state.withLock { state in
            guard !isForced || state.bytes.count + bytes.count <= Self.bytesMax else { return false }
            state.bytes += bytes
            return true
        }
        changed.yield(())
        return isKept
    }

    /// Nothing more will be typed.
    func end() {
        state.withLock { $0.hasEnded = true }
        changed.yield(())
    }

    /// What is to be sent next; nil if there is nothing, or nowhere to.
    func next(bytesMax: Int) -> Part? {
        state.withLock { state in
            guard let place = state.place else { return nil }
            if place.attempt == state.attemptOver {
                state.bytes = []
                return nil
            }
            let bytes = Array(state.bytes.prefix(bytesMax))
            let isLast = state.hasEnded && bytes.count == state.bytes.count
            return bytes.isEmpty && !isLast ? nil : Part(bytes: bytes, isLast: isLast, place: place)
        }
    }

    /// Notes what was taken of a part, up to a place; `false` if that is nothing.
    func sent(_ part: Part, _ place: SessionPlace) -> Bool {
        let isTaken = state.withLock { state -> Bool in
            guard place.attempt == part.place.attempt else {
                // Another attempt has its own input, and begins where it says.
                state.bytes.removeFirst(min(part.bytes.count, state.bytes.count))
                if state.place?.attempt == part.place.attempt { state.place = nil }
                return true
            }
            let count = min(Int(clamping: place.position - min(place.position, part.place.position)), part.bytes.count)
            state.bytes.removeFirst(min(count, state.bytes.count))
            if state.place?.attempt == place.attempt { state.place = place }
            if part.isLast, count == part.bytes.count { state.attemptOver = place.attempt }
            return count > 0 || part.bytes.isEmpty
        }
        roomMade.yield(())
        return isTaken
    }

    /// Waits until there is room for so many bytes, or the task is cancelled.
    func waitForRoom(bytes: Int = 0) async {
        if hasRoom(bytes) { return }
        for await _ in room where hasRoom(bytes) { return }
    }

    private func hasRoom(_ bytes: Int) -> Bool { state.withLock { $0.bytes.count + bytes <= Self.bytesMax } }
}

/// Text of a stream that comes in pieces: a character is shown when all of its bytes are here.
struct StreamText {
    fileprivate var held: [UInt8] = []

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

extension StreamText {
    /// The bytes of a character that has not come whole.
    mutating func takeHeld() -> [UInt8] {
        defer { held = [] }
        return held
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
