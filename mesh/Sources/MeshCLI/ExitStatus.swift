import NodeAPI

/// The exit codes of `mesh`; part of its interface, listed by `mesh --help`.
///
/// Codes up to `moduleCodeMax` are the module's own, which `mesh run` passes through; the mesh's are from 200 to 249,
/// where no module's can be, and the same for all commands; for a signal it is 128 plus its number.
enum ExitStatus: Int32, CaseIterable {
    case success = 0

    /// The largest code of a module that is passed through; a larger one becomes this one.
    static let moduleCodeMax: Int32 = 125
    /// The base for the number of a signal that ended a command.
    static let signalBase: Int32 = 128

    case usage = 200
    case internalError = 201

    // The job's own end, without a code of the module's.
    case jobTrapped = 210
    case jobLimit = 211
    case jobRefused = 213
    case jobCancelled = 214
    case outputMissing = 215
    case jobCrashes = 216
    case workflowFailed = 217
    case liveOutputDiffers = 218

    // The mesh could not do the job.
    case noExecutor = 220
    case executorsFailed = 221
    case deadlinePassed = 222
    case insufficientFunds = 223
    case receiptInvalid = 224
    case unverified = 225

    // The node.
    case nodeNotRunning = 230
    case alreadyRunning = 231
    case notInitialised = 232
    case keyUnusable = 233
    case configurationInvalid = 234
    case storageFailed = 235
    case storageFull = 236
    case nodeBusy = 237
    case alreadyInitialised = 238
    case permissionDenied = 239

    // What was asked.
    case notFound = 240
    case verificationFailed = 241
    case peerUnreachable = 242
    case timedOut = 243
    case tooLarge = 244
    case conflict = 245
    case fileFailed = 246
    case verificationIncomplete = 247
    case unhealthy = 248

    /// What it means, for the help.
    var meaning: String {
        switch self {
        case .success: "done"
        case .jobTrapped: "the module trapped"
        case .jobLimit: "the module was stopped at one of its limits"
        case .jobRefused: "the module was refused: no module, unknown imports, no entry point"
        case .jobCancelled: "the job was cancelled"
        case .outputMissing: "the job succeeded without a requested output"
        case .jobCrashes: "the module crashed the engine at two executors"
        case .workflowFailed: "a stage of the workflow failed"
        case .liveOutputDiffers: "what was shown while the job ran is not what its receipt names"
        case .noExecutor: "nobody bid, or no bid was acceptable"
        case .executorsFailed: "every executor tried was lost, declined or failed"
        case .deadlinePassed: "the job's deadline passed"
        case .insufficientFunds: "the balance does not cover the job"
        case .receiptInvalid: "the receipt does not verify"
        case .unverified: "the result was to be checked (--verify), and was not borne out"
        case .nodeNotRunning: "no node answers in the home folder"
        case .alreadyRunning: "a node is already running, or an address is taken"
        case .notInitialised: "there is no node in the home folder"
        case .alreadyInitialised: "there is already a node in the home folder"
        case .keyUnusable: "the key file cannot be used"
        case .permissionDenied: "there is no permission for a file or folder of the node"
        case .configurationInvalid: "the configuration is invalid"
        case .storageFailed: "the database or a backup failed, is damaged, or is another node's"
        case .storageFull: "the disk, or the space granted to the node, is full"
        case .nodeBusy: "the node is stopping or has too much to do"
        case .notFound: "no such job, receipt, file or issuer"
        case .verificationFailed: "a check of a receipt, its replay, or an audit failed"
        case .verificationIncomplete: "no check of a receipt failed, but some could not be made"
        case .unhealthy: "something keeps the node from working (mesh doctor)"
        case .peerUnreachable: "a peer could not be reached"
        case .timedOut: "the node did not answer in time, or the job was not over (mesh wait)"
        case .tooLarge: "a file or request is above a limit"
        case .conflict: "a key or file is taken, something is needed, or an issuer refuses"
        case .fileFailed: "a local file could not be read or written"
        case .usage: "the command line is invalid, or asks for something impossible"
        case .internalError: "a fault of mesh itself"
        }
    }

    /// The table for `mesh --help`, fitted into the terminal, or into what the help takes elsewhere.
    static var help: String {
        let columns = Terminal.outputColumns
        return TextLayout.text(table, columns: columns == .max ? 80 : columns)
    }

    /// The table, a line per code.
    static var table: String {
        let ours = allCases.dropFirst().map { row("\($0.rawValue)", $0.meaning) }
        let others = [
            row("0", ExitStatus.success.meaning),
            row("1-125", "the module's own exit code (mesh run); 125 if it is larger"),
            row("129-159", "ended by the signal of this number less 128; 130 is Ctrl-C"),
        ]
        return "EXIT CODES:\n" + (others + ours).joined(separator: "\n")
    }

    private static func row(_ codes: String, _ meaning: String) -> String {
        "  " + String(repeating: " ", count: max(0, 7 - codes.count)) + codes + "  " + meaning
    }
}

extension ExitStatus {
    /// The code for a failure of the node.
    init(_ code: NodeServiceError.Code) {
        self =
            switch code {
            case .invalidRequest, .rangeNotSatisfiable, .noSuchRoute, .methodNotAllowed: .usage
            case .tooLarge: .tooLarge
            case .moduleRefused: .jobRefused
            case .jobNotFound, .receiptNotFound, .blockNotFound, .noIssuer: .notFound
            case .blockCorrupt, .storageFailed: .storageFailed
            case .receiptInvalid, .issuerFaulty: .verificationFailed
            case .conflict, .issuerRefused: .conflict
            case .peerUnreachable: .peerUnreachable
            case .timedOut: .timedOut
            case .overloaded, .shuttingDown, .tooManyRequests: .nodeBusy
            case .storageFull: .storageFull
            case .notInitialised: .notInitialised
            case .alreadyInitialised: .alreadyInitialised
            case .keyUnusable: .keyUnusable
            case .permissionDenied, .notSignedIn, .credentialsRefused, .readOnly, .hostRefused, .originRefused,
                .codeRefused:
                .permissionDenied
            case .configurationInvalid: .configurationInvalid
            case .addressInUse, .alreadyRunning: .alreadyRunning
            case .nodeNotRunning: .nodeNotRunning
            case .protocolMismatch, .internalError: .internalError
            }
    }

    /// The code for the end of a job: the module's own up to `moduleCodeMax`, else one of the mesh's.
    static func code(for result: JobResult) -> Int32 {
        if let code = moduleCode(of: result) { return code }
        return ExitStatus(result.ending).rawValue
    }

    /// The module's own code; `nil` if the mesh has to say how the job ended.
    static func moduleCode(of result: JobResult) -> Int32? {
        switch result.ending {
        case .succeeded: 0
        // Zero is a success, and a negative code is a large unsigned one.
        case .exitedNonZero: result.exitCode.map { (1...moduleCodeMax).contains($0) ? $0 : moduleCodeMax }
        default: nil
        }
    }

    /// The code of a command that a signal ended.
    static func signalled(_ number: Int32) -> Int32 { signalBase + number }

    private init(_ ending: JobEnding) {
        self =
            switch ending {
            case .succeeded: .success
            // No node reports an exit without a code.
            case .exitedNonZero: .internalError
            case .trapped: .jobTrapped
            case .limitExceeded: .jobLimit
            case .moduleRefused, .filesRefused: .jobRefused
            case .cancelled: .jobCancelled
            case .crashesEngine: .jobCrashes
            case .noBids, .noAcceptableBid: .noExecutor
            case .executorsFailed, .fetchFailed: .executorsFailed
            case .deadlinePassed: .deadlinePassed
            case .insufficientFunds: .insufficientFunds
            case .receiptInvalid: .receiptInvalid
            case .unverified: .unverified
            }
    }
}
