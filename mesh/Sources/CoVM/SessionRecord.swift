package import MeshTypes

/// What came of the calls of a run's session.
package struct SessionRecord: Hashable, Sendable {
    /// What does not follow from the run, in order; nil where that is more than a transcript may have.
    package var events: [SessionEvent]?
    /// Why the run is no repetition of the session that it was given; nil if it is, or was given none. The reason
    /// follows "the module".
    package var fault: String?
}

/// Plays what came of a run's session before, as far as that goes, and keeps what comes of it.
struct SessionRecorder {
    private var events: [SessionEvent] = []
    private var weight = 0
    private var isFull = false
    private var fault: String?
    private var call: UInt64 = 0
    /// What is left of a session before; nil if the run has a live one, or had.
    private var rest: ArraySlice<SessionEvent>?
    /// Whether a live session follows.
    private let goesOn: Bool
    /// Whether the run that it repeats was cut short, so that its calls end somewhere.
    private let isCutShort: Bool

    /// - Parameter goesOn: whether the host has a session, too.
    init(_ job: ExecutionJob, goesOn: Bool) {
        self.goesOn = goesOn
        isCutShort = job.repetition != nil
        rest = job.played.map { $0[...] }
    }

    /// What came of the next read before; nil to ask the live session.
    mutating func playRead(within nanoseconds: UInt64?) -> SessionWait? {
        guard let said = next() else { return nil }
        switch said {
        case .event(let event):
            if event.end == .elapsed, nanoseconds.map({ $0 > event.waited ?? 0 }) ?? true {
                return stray("waits longer at its call \(call - 1) than the transcript says")
            }
            guard event.data != nil || event.end != nil else {
                return stray("reads at its call \(call - 1), where the transcript has a write")
            }
            return SessionWait(event)
        case .nothing:
            // Who asks without waiting finds nothing, unless something is told.
            if nanoseconds == 0 { return SessionWait(end: .elapsed) }
            return stray("waits for input at its call \(call - 1), where the transcript has none")
        case .end(let wait): return wait
        }
    }

    /// What came of the next write before; nil if it is the live session's.
    mutating func playWrite() -> SessionWait? {
        guard let said = next(isWrite: true) else { return nil }
        switch said {
        case .event(let event):
            guard event.data == nil, event.end != .over, event.end != .elapsed else {
                return stray("writes at its call \(call - 1), where the transcript has input")
            }
            return SessionWait(event)
        case .nothing: return SessionWait(end: .here)
        case .end(let wait): return wait
        }
    }

    /// What is said of a call.
    private enum Said {
        case event(SessionEvent)
        case nothing
        /// The run ends here.
        case end(SessionWait)
    }

    /// What is said of the next call; nil if all was played and a live session follows.
    private mutating func next(isWrite: Bool = false) -> Said? {
        guard rest != nil else { return nil }
        if let fault { return .end(SessionWait(end: .strayed(fault))) }
        guard let event = rest?.first else {
            if goesOn {
                rest = nil
                return nil
            }
            // A run that was cut short between two calls has no more to say.
            if isCutShort, !isWrite { return .end(SessionWait(end: .cancelled)) }
            call += 1
            return .nothing
        }
        call += 1
        guard event.call == call - 1 else { return .nothing }
        rest?.removeFirst()
        keep(event)
        return .event(event)
    }

    private mutating func stray(_ how: String) -> SessionWait {
        fault = fault ?? how
        return SessionWait(end: .strayed("the module \(fault ?? how)"))
    }

    /// Keeps what came of the next call of the live session, and returns it, where it does not follow from the run.
    mutating func keep(_ wait: SessionWait, isRead: Bool) -> SessionEvent? {
        defer { call += 1 }
        if case .strayed = wait.end { return nil }
        let end: SessionEvent.End? =
            switch wait.end {
            case .here, .strayed: nil
            case .over: .over
            case .elapsed: .elapsed
            case .idle: .idle
            case .cancelled: .cancelled
            }
        let waited = wait.waitedNanoseconds == 0 ? nil : wait.waitedNanoseconds
        let follows = isRead ? end == .elapsed && waited == nil : end == nil && waited == nil
        if follows { return nil }
        // A run that is stopped before it has its place again has read what came.
        let data = wait.bytes.isEmpty ? nil : wait.bytes
        let event = SessionEvent(call: call, data: data, end: data == nil ? end : nil, waited: waited)
        keep(event)
        return event
    }

    private mutating func keep(_ event: SessionEvent) {
        weight += event.weight
        isFull = isFull || weight > SessionTerms.Limits.transcriptBytesMax
        if isFull { events = [] } else { events.append(event) }
    }

    /// The record of a run that has ended.
    func end() -> SessionRecord {
        var fault = fault
        if fault == nil, !goesOn, !isCutShort, let event = rest?.first {
            fault = "ended before its call \(event.call), which the transcript has"
        }
        return SessionRecord(events: isFull ? nil : events, fault: fault)
    }
}

extension SessionWait {
    /// What came of a call before, which takes no time now.
    fileprivate init(_ event: SessionEvent) {
        let end: End =
            switch event.end {
            case nil: .here
            case .over?: .over
            case .elapsed?: .elapsed
            case .idle?: .idle
            case .cancelled?: .cancelled
            }
        self.init(end: end, bytes: event.data ?? [], waitedNanoseconds: event.waited ?? 0)
    }
}
