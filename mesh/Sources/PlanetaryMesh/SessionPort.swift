import CoVM
import GuestFiles
import MeshTypes
import Multiformats
import NodeCore
import Synchronization

/// One end of an interactive job's session: at the executor between the run and the stream, at the originator between
/// the stream and the user.
///
/// Its two lanes are cores; this gives them to those who wait: the run's thread, tasks, streams.
final class SessionPort: GuestSession {
    /// Which end it is.
    enum Side: Sendable {
        /// The module's: input comes, output goes.
        case module
        /// The user's: output comes, input goes.
        case user
    }

    /// How far a stream has told the other end.
    struct Told: Sendable {
        /// The position of the next byte to send.
        fileprivate var next: UInt64 = 0
        fileprivate var limit: UInt64 = 0
        fileprivate var isLastSent = false
        fileprivate var hasBegun = false
        /// What it has sent, if it has to sign that.
        fileprivate var input: SessionWitness.Input?
        /// Whether everything was sent, and the end.
        var isOver: Bool { isLastSent }
    }

    private struct State: Sendable {
        var incoming: ReceivingLane
        var outgoing = SendingLane()
        /// The stream in use; a newer one takes its place.
        var stream = 0
        /// Whether the sending lane was set by what the other end has.
        var isJoined: Bool
        var isClosed = false
        var isWaiting = false
        var wakesRun: (@Sendable () -> Void)?
        /// What the other end needs no more, of the input that this one has to sign.
        var input = SessionWitness.Input(from: 0)
        /// What the other end signed.
        var evidence = SessionWitness.Evidence()
        /// Whether a run begins again, and what its user sent is gone.
        var isLost = false
        /// Whether input came that follows what is here; from then on none can be gone.
        var isContinued = false
        /// Where the output that came first begins, and where that which came last ends.
        var heard: (start: UInt64, end: UInt64)?
    }

    let jobID: JobID
    let assignment: CID
    let side: Side
    /// The originator's word for the input; nil where no transcript is kept.
    let witness: SessionWitness?
    /// Where what comes is written down, for a run that begins again.
    let log: SessionLog?
    /// What came of the run's calls before, if it begins again.
    let played: [SessionEvent]?
    /// When its run began, if it begins again.
    private let firstStart: UnixMilliseconds?
    /// What the module writes, for those who do not talk with it.
    let heard = LiveOutput()
    private let state: Mutex<State>
    private let bell = SharedBell()

    init(job: JobID, assignment: CID, side: Side, witness: SessionWitness? = nil, log: SessionLog? = nil) {
        self.witness = witness
        self.log = log
        (played, firstStart) = (nil, nil)
        jobID = job
        self.assignment = assignment
        self.side = side
        state = Mutex(State(incoming: ReceivingLane(joins: side == .user), isJoined: side == .module))
    }

    /// The module's end of a session that goes on where its log ends; nil if that is none of this session.
    init?(job: JobID, assignment: CID, witness: SessionWitness, log: SessionLog, _ records: [SessionLog.Record]) {
        var evidence = SessionWitness.Evidence()
        var input: [UInt8] = []
        var events: [SessionEvent] = []
        for record in records {
            if let data = record.data {
                guard
                    let next = try? evidence.adding(
                        data[...], isLast: record.isLast == true, record.statement, witness)
                else { return nil }
                evidence = next
                input += data
            }
            if let event = record.event { events.append(event) }
        }
        let taken = events.reduce(0) { $0 + ($1.data?.count ?? 0) }
        guard taken <= input.count else { return nil }
        (jobID, self.assignment, side, self.witness, self.log) = (job, assignment, .module, witness, log)
        played = events
        firstStart = records.lazy.compactMap(\.startedAt).first.map { UnixMilliseconds($0) }
        var begun = State(
            incoming: ReceivingLane(from: UInt64(taken), bytes: input[taken...], isOver: evidence.isOver),
            outgoing: SendingLane(beginsAgain: true), isJoined: true)
        begun.evidence = evidence
        state = Mutex(begun)
    }

    // MARK: The run

    /// The run begins; when it began, which is earlier if it begins again.
    func began(at date: UnixMilliseconds) -> UnixMilliseconds {
        if let firstStart { return min(firstStart, date) }
        log?.append(SessionLog.Record(startedAt: date.value))
        return date
    }

    func came(_ event: SessionEvent) {
        // Whatever stopped the run, it did not stop there if it begins again.
        if event.end != .cancelled { log?.append(SessionLog.Record(event: event)) }
    }

    func foundNothing() { log?.giveUp() }

    func read(bytesMax: Int, orElse wake: @escaping @Sendable () -> Void) -> SessionInput {
        let input = state.withLock { state -> SessionInput in
            state.wakesRun = nil
            if state.isLost { return .lost }
            if let piece = state.incoming.piece(from: state.incoming.start, bytesMax: bytesMax) {
                state.incoming.took(to: state.incoming.start + UInt64(piece.bytes.count))
                return .bytes(piece.bytes)
            }
            if state.incoming.isOver { return .end }
            state.wakesRun = wake
            return .nothing
        }
        if case .bytes = input { ring() }
        return input
    }

    func write(
        _ bytes: ArraySlice<UInt8>, to stream: StreamWrite.Stream, orElse wake: @escaping @Sendable () -> Void
    ) -> Int {
        let count = state.withLock { state in
            let count = state.outgoing.write(bytes, isError: stream == .standardError)
            state.wakesRun = count < bytes.count ? wake : nil
            return count
        }
        if count > 0 { ring() }
        return count
    }

    func waits(_ isWaiting: Bool) { state.withLock { $0.isWaiting = isWaiting } }

    /// Whether the run waits for its user.
    var isWaiting: Bool { state.withLock { $0.isWaiting } }

    /// There will be no more output: the run has ended.
    func finish() {
        state.withLock { $0.outgoing.close() }
        ring()
    }

    // MARK: The user

    /// Takes what the user typed, from a position on, as far as there is room; up to which position there is input now.
    func type(_ bytes: [UInt8], at position: UInt64, isLast: Bool) throws(SessionFault) -> UInt64 {
        let (end, isNew) = try state.withLock { state throws(SessionFault) -> (UInt64, Bool) in
            guard state.isJoined else { return (position, false) }
            guard position <= state.outgoing.end else { throw .gap }
            let known = Int(min(state.outgoing.end - position, UInt64(bytes.count)))
            guard !state.outgoing.isOver || known == bytes.count else { throw .afterTheEnd }
            let count = state.outgoing.write(bytes[known...])
            let ends = isLast && known + count == bytes.count && !state.outgoing.isOver
            if ends { state.outgoing.close() }
            return (min(state.outgoing.end, position + UInt64(bytes.count)), count > 0 || ends)
        }
        if isNew { ring() }
        return end
    }

    /// What the user sees.
    struct View: Sendable {
        var position: UInt64
        var pieces: [(bytes: [UInt8], isError: Bool)] = []
        /// The position of the next input; nil while the other end was not heard.
        var inputPosition: UInt64?
        var isInputOver: Bool
        /// Whether there is nothing more to come.
        var isOver: Bool
    }

    /// The output from a position on, or from where it was taken last; what is before was taken.
    func view(from position: UInt64?, bytesMax: Int) -> View {
        let (view, hasRoom) = state.withLock { state -> (View, Bool) in
            let start = state.incoming.start
            if let position { state.incoming.took(to: position) }
            var view = View(
                position: state.incoming.start, inputPosition: state.isJoined ? state.outgoing.end : nil,
                isInputOver: state.outgoing.isOver, isOver: state.incoming.isExhausted || state.isClosed)
            var next = view.position
            var left = bytesMax
            while let piece = state.incoming.piece(from: next, bytesMax: left) {
                view.pieces.append(piece)
                next += UInt64(piece.bytes.count)
                left -= piece.bytes.count
            }
            if !view.pieces.isEmpty { view.isOver = false }
            return (view, state.incoming.start > start)
        }
        // Only then: whoever looks again at each ring would ring for itself, and never wait.
        if hasRoom { ring() }
        return view
    }

    /// Whether the other end was heard.
    var isJoined: Bool { state.withLock { $0.isJoined } }

    /// Nobody at the other end will say more.
    func close() {
        state.withLock { $0.isClosed = true }
        heard.close()
        ring()
    }

    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Whether all that the module wrote has come.
    var isOutputComplete: Bool { state.withLock { $0.incoming.isOver } }

    // MARK: The stream

    /// Begins a stream, which takes the place of the one before.
    func beginStream() -> Int {
        let number = state.withLock { state in
            state.stream += 1
            return state.stream
        }
        ring()
        return number
    }

    /// Whether a stream is the newest.
    func isCurrent(_ stream: Int) -> Bool { state.withLock { $0.stream == stream && !$0.isClosed } }

    /// Takes a message of the other end, unless it came on a stream whose place another has taken.
    func take(_ message: MeshProtocolMessage, on stream: Int? = nil) throws(SessionFault) {
        let data: JobInteractiveDataV1
        switch (message, side) {
        case (.jobInteractiveInput(let input), .module): data = input
        case (.jobInteractiveOutput(let output), .user): data = output
        default: throw .notOfTheSession
        }
        guard data.jobID == jobID, data.assignmentCID == assignment,
            data.data.count <= SessionTerms.Limits.messageBytesMax, side == .user || !data.isError,
            data.statement == nil || (side == .module && witness != nil)
        else { throw .notOfTheSession }
        try state.withLock { state throws(SessionFault) in
            guard stream == nil || stream == state.stream else { return }
            if !state.isJoined {
                state.outgoing = SendingLane(from: min(data.acknowledged, UInt64(Int64.max) / 2))
                state.input = SessionWitness.Input(from: state.outgoing.start)
                state.isJoined = true
            }
            if played != nil, !state.isContinued, data.sequence > state.incoming.end {
                state.isLost = true
                return
            }
            let new = newInput(data, state)
            let evidence = try new.map { new throws(SessionFault) in
                guard let witness else { return state.evidence }
                return try state.evidence.adding(new, isLast: data.isLast, data.statement, witness)
            }
            try state.incoming.receive(
                data.data, at: data.sequence, isError: data.isError, isLast: data.isLast)
            state.isContinued = true
            if let new, let evidence {
                state.evidence = evidence
                // Before it is acknowledged, and before the module has it.
                log?.append(SessionLog.Record(data: Array(new), isLast: data.isLast, statement: data.statement))
            }
            let sent = state.outgoing.bytes(from: state.outgoing.start, to: data.acknowledged)
            try state.outgoing.acknowledged(data.acknowledged, credit: data.credit)
            if side == .user, witness != nil { state.input.append(sent) }
            if side == .user, data.credit == ReceivingLane.creditAtEnd { state.outgoing.close() }
            if side == .user { tellHeard(data, &state) }
        }
        ring()
    }

    /// Passes on what is new of the output to those who do not talk.
    private func tellHeard(_ data: JobInteractiveDataV1, _ state: inout State) {
        let (start, end) = state.heard ?? (data.sequence, data.sequence)
        let new = data.data.dropFirst(Int(clamping: end - min(end, data.sequence)))
        state.heard = (start, end + UInt64(new.count))
        heard.wrote([OutputPart(isError: data.isError, bytes: Array(new))])
        if state.incoming.isOver { heard.close() }
    }

    /// Whether what was heard begins with what the module wrote first.
    var isHeardFromStart: Bool { state.withLock { $0.heard?.start ?? 0 == 0 } }

    /// What a message brings that needs the originator's word; nil where there is nothing new.
    private func newInput(_ data: JobInteractiveDataV1, _ state: State) -> ArraySlice<UInt8>? {
        guard side == .module, witness != nil, data.sequence <= state.incoming.end else { return nil }
        let known = Int(min(state.incoming.end - data.sequence, UInt64(data.data.count)))
        let new = data.data[known...]
        // What is here already was signed when it came.
        return new.isEmpty && (!data.isLast || state.evidence.isOver) ? nil : new
    }

    /// The originator's word for all input that has come, and the input that was not read; nil where a transcript
    /// cannot have it.
    var evidence: (statements: [[UInt8]], unread: [UInt8])? {
        state.withLock { state in
            state.evidence.isFull ? nil : (state.evidence.statements, state.incoming.untaken)
        }
    }

    /// The next message to the other end; nil if there is nothing to tell now.
    func next(_ told: inout Told) -> MeshProtocolMessage? {
        state.withLock { state -> MeshProtocolMessage? in
            if !told.hasBegun || told.next < state.outgoing.start { told.input = state.input }
            let acknowledged = side == .module ? state.incoming.end : state.incoming.start
            if !told.hasBegun { told.next = state.outgoing.start }
            told.next = max(told.next, state.outgoing.start)
            let piece = state.outgoing.piece(from: told.next)
            let end = told.next + UInt64(piece?.bytes.count ?? 0)
            let isLast = state.outgoing.isOver && end == state.outgoing.end && !told.isLastSent
            // What the user has seen is told at once, so that nothing is shown twice after a restart.
            let grain = side == .user ? 1 : UInt64(SessionTerms.Limits.windowBytes / 4)
            // The user's end is told that there is no more input, also to one that comes again after a restart.
            let isInputOver = side == .module && state.incoming.isOver
            let limit = isInputOver ? UInt64.max : state.incoming.limit
            // A run that begins again may have more than a window of input that it has not read again.
            let credit = isInputOver ? ReceivingLane.creditAtEnd : limit - min(limit, acknowledged)
            let isWider = limit >= told.limit && limit - told.limit >= grain
            guard piece != nil || isLast || !told.hasBegun || isWider else { return nil }
            var data = JobInteractiveDataV1(
                jobID: jobID, assignmentCID: assignment, sequence: told.next, data: piece?.bytes ?? [],
                acknowledged: acknowledged, credit: credit, isLast: isLast,
                isError: piece?.isError ?? false)
            if side == .user, let witness, piece != nil || isLast {
                told.input?.append(data.data)
                data.statement = told.input.flatMap { witness.statement(of: $0, isLast: isLast) }
            }
            (told.next, told.limit, told.hasBegun) = (end, limit, true)
            if isLast { told.isLastSent = true }
            return side == .user ? .jobInteractiveInput(data) : .jobInteractiveOutput(data)
        }
    }

    // MARK: Waiting

    /// One element whenever something may have changed, the first at once; a slow listener misses none that matters.
    func changes() -> AsyncStream<Void> { bell.listen() }

    private func ring() {
        let wake = state.withLock { state in
            defer { state.wakesRun = nil }
            return state.wakesRun
        }
        wake?()
        bell.ring()
    }
}
