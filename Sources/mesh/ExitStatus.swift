import PlanetaryMesh

/// The exit codes of `mesh`; part of its interface, listed by `mesh --help`.
enum ExitStatus: Int32, CaseIterable {
    case success = 0

    // The job's own end; 1 to 9 are the module's own exit codes, handed through.
    case jobTrapped = 10
    case jobLimit = 11
    case jobExited = 12
    case jobRefused = 13
    case jobCancelled = 14
    case outputMissing = 15

    // The mesh could not do the job.
    case noExecutor = 20
    case executorsFailed = 21
    case deadlinePassed = 22
    case insufficientFunds = 23
    case receiptInvalid = 24

    // The node.
    case nodeNotRunning = 30
    case alreadyRunning = 31
    case notInitialised = 32
    case keyUnusable = 33
    case configurationInvalid = 34
    case storageFailed = 35
    case storageFull = 36
    case nodeBusy = 37
    case alreadyInitialised = 38

    // What was asked.
    case notFound = 40
    case verificationFailed = 41
    case peerUnreachable = 42
    case timedOut = 43
    case tooLarge = 44
    case conflict = 45
    case fileFailed = 46

    case usage = 64
    case internalError = 70
    case interrupted = 130

    /// What it means, for the help.
    var meaning: String {
        switch self {
        case .success: "done"
        case .jobTrapped: "the module trapped"
        case .jobLimit: "the module was stopped at one of its limits"
        case .jobExited: "the module exited with a code above 9"
        case .jobRefused: "the module was refused: not a module, unknown imports, no entry point"
        case .jobCancelled: "the job was cancelled"
        case .outputMissing: "the job succeeded without an output that was asked for"
        case .noExecutor: "nobody bid, or no bid was acceptable"
        case .executorsFailed: "every executor that was tried was lost, declined or failed"
        case .deadlinePassed: "the job's deadline passed"
        case .insufficientFunds: "the balance does not cover the job"
        case .receiptInvalid: "the receipt does not verify"
        case .nodeNotRunning: "no node answers in the home folder"
        case .alreadyRunning: "a node runs already, or an address is taken"
        case .notInitialised: "there is no node in the home folder"
        case .alreadyInitialised: "there is a node in the home folder already"
        case .keyUnusable: "the key file cannot be used"
        case .configurationInvalid: "the configuration does not read"
        case .storageFailed: "the database failed, is damaged or is another node's"
        case .storageFull: "the disk is full"
        case .nodeBusy: "the node is stopping or has too much to do"
        case .notFound: "no such job, receipt or file"
        case .verificationFailed: "a check of a receipt, or its replay, failed"
        case .peerUnreachable: "a peer could not be reached"
        case .timedOut: "the node did not answer in time"
        case .tooLarge: "a file or request is above a limit"
        case .conflict: "the idempotency key was used for another job"
        case .fileFailed: "a local file could not be read or written"
        case .usage: "the command line does not read, or asks for what cannot be"
        case .internalError: "a fault of mesh itself"
        case .interrupted: "interrupted"
        }
    }

    /// The table for `mesh --help`.
    static var help: String {
        let lines = allCases.map { status in
            let number = String(status.rawValue)
            return "  " + String(repeating: " ", count: 3 - number.count) + number + "  " + status.meaning
        }
        return "EXIT CODES:\n" + lines[0] + "\n  1-9  the module's own exit code\n"
            + lines.dropFirst().joined(separator: "\n")
    }
}

extension ExitStatus {
    /// The code for a failure of the node.
    init(_ code: NodeServiceError.Code) {
        self =
            switch code {
            case .invalidRequest, .noSuchRoute, .notAnExecutor: .usage
            case .tooLarge: .tooLarge
            case .moduleRefused: .jobRefused
            case .jobNotFound, .receiptNotFound, .blockNotFound: .notFound
            case .blockCorrupt, .storageFailed: .storageFailed
            case .receiptInvalid: .verificationFailed
            case .conflict: .conflict
            case .insufficientFunds: .insufficientFunds
            case .peerUnreachable: .peerUnreachable
            case .timedOut: .timedOut
            case .overloaded, .shuttingDown: .nodeBusy
            case .storageFull: .storageFull
            case .notInitialised: .notInitialised
            case .alreadyInitialised: .alreadyInitialised
            case .keyUnusable: .keyUnusable
            case .configurationInvalid: .configurationInvalid
            case .addressInUse, .alreadyRunning: .alreadyRunning
            case .nodeNotRunning: .nodeNotRunning
            case .protocolMismatch, .internalError: .internalError
            }
    }

    /// The code for the end of a job; a module's own code from 1 to 9 is handed through as it is.
    static func code(for result: JobResult) -> Int32 {
        if result.ending == .exitedNonZero, let code = result.exitCode, (1...9).contains(code) { return code }
        return ExitStatus(result.ending).rawValue
    }

    private init(_ ending: JobEnding) {
        self =
            switch ending {
            case .succeeded: .success
            case .exitedNonZero: .jobExited
            case .trapped: .jobTrapped
            case .limitExceeded: .jobLimit
            case .moduleRefused: .jobRefused
            case .cancelled: .jobCancelled
            case .noBids, .noAcceptableBid: .noExecutor
            case .executorsFailed, .fetchFailed: .executorsFailed
            case .deadlinePassed: .deadlinePassed
            case .insufficientFunds: .insufficientFunds
            case .receiptInvalid: .receiptInvalid
            }
    }
}
