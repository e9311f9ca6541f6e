import Credit

/// Every bound of `IssuerDesk`; those of the book are in `IssuerBook.Limits`.
struct IssuerDeskLimits: Sendable {
    /// Questions of a peer in a second.
    var questionsPerSecondPerPeerMax = 64
    /// Questions of a peer at once.
    var questionsBurstPerPeerMax = 256
    /// Questions in a second of all peers together that have no part in the book: keys cost nothing.
    var strangersPerSecondMax = 32
    /// Questions of these at once.
    var strangersBurstMax = 64
    /// Questions that are answered at the same time; one more is refused.
    var answeredAtOnceMax = 64
    /// Of these, those of peers that have no part in the book.
    var strangersAtOnceMax = 8
    /// Orders that wait of one officer.
    var ordersPerOfficerMax = 16
    /// Bytes of such an order without its approvals.
    var orderBytesMax = 2_048
    /// Entries of an answer.
    var entriesPerAnswerMax = 256
    /// Bytes of the entries of an answer; it has one at least.
    var entryBytesPerAnswerMax = 524_288
    /// Commitments of an answer.
    var commitmentsPerAnswerMax = 8_192
    /// Lines of an answer.
    var linesPerAnswerMax = 256
    /// How old the sums may be that are told, in milliseconds: adding up takes all lines.
    var totalsMilliseconds: Int64 = 1_000
    /// How often it looks what is due, in milliseconds.
    var lookMilliseconds: Int64 = 1_000
    /// What time alone decides, that is booked in one look.
    var duePerLookMax = 256
    /// For how long nothing expires after a start, or after the machine stood still, in milliseconds: who could
    /// not reach the issuer meanwhile asks again before that (`HoldDesk.Limits.pauseMilliseconds`).
    var graceMilliseconds: Int64 = 120_000
    /// How late a look has to be for that, in milliseconds.
    var stillMilliseconds: Int64 = 10_000
    /// Bytes of what two members show about holds of one from the other within a day, beside the first 4 KiB of
    /// each event.
    var evidenceBytesPerDayMax = 16_777_216
    /// Entries that are read at once as the book is opened.
    var replayedAtOnceMax = 1_024
    /// Bytes of these; one is read at least.
    var replayedBytesMax = 4_194_304
    /// Entries that its witnesses do not keep yet; with more, the book takes nothing until they do.
    var unshownMax: UInt64 = 1_024
    /// How long an answer waits for them, in milliseconds: less than who asks waits for it.
    var shownMilliseconds: Int64 = 8_000
    /// Earlier heads whose root is remembered.
    var headsRememberedMax = 64
    /// The bounds of the book.
    var book = IssuerBook.Limits()

    /// The defaults.
    init() {}
}

/// Who waits until so many entries of this issuer may be shown, and for how long.
struct IssuerDeskWaiter {
    let size: UInt64
    let until: ContinuousClock.Instant
    let continuation: CheckedContinuation<Void, Never>
}
