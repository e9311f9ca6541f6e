import NodeAPI
import Testing

@testable import MeshCLI

@Suite struct CLIExitStatusTests {
    @Test func everyFailureOfTheNodeHasItsCode() {
        let expected: [NodeServiceError.Code: Int32] = [
            .invalidRequest: 200, .noSuchRoute: 200, .tooLarge: 244, .moduleRefused: 213,
            .jobNotFound: 240, .receiptNotFound: 240, .blockNotFound: 240, .blockCorrupt: 235, .storageFailed: 235,
            .receiptInvalid: 241, .conflict: 245, .noIssuer: 240, .issuerRefused: 245, .issuerFaulty: 241,
            .peerUnreachable: 242, .timedOut: 243,
            .overloaded: 237, .shuttingDown: 237, .storageFull: 236, .notInitialised: 232, .alreadyInitialised: 238,
            .keyUnusable: 233, .permissionDenied: 239, .configurationInvalid: 234, .addressInUse: 231,
            .alreadyRunning: 231,
            .notSignedIn: 239, .credentialsRefused: 239, .readOnly: 239, .hostRefused: 239, .originRefused: 239,
            .codeRefused: 239, .methodNotAllowed: 200, .rangeNotSatisfiable: 200, .tooManyRequests: 237,
            .nodeNotRunning: 230, .protocolMismatch: 201, .internalError: 201,
        ]
        for code in NodeServiceError.Code.allCases {
            #expect(ExitStatus(code).rawValue == expected[code], "\(code)")
        }
    }

    @Test func everyEndOfAJobHasItsCode() {
        let expected: [JobEnding: Int32] = [
            .succeeded: 0, .exitedNonZero: 201, .trapped: 210, .limitExceeded: 211, .moduleRefused: 213,
            .filesRefused: 213, .cancelled: 214, .noBids: 220, .noAcceptableBid: 220, .executorsFailed: 221,
            .fetchFailed: 221, .crashesEngine: 216,
            .deadlinePassed: 222, .insufficientFunds: 223, .receiptInvalid: 224, .unverified: 225,
        ]
        for ending in JobEnding.allCases {
            #expect(ExitStatus.code(for: JobResult(ending: ending, detail: "")) == expected[ending], "\(ending)")
        }
    }

    @Test(
        arguments: [(1, 1), (10, 10), (20, 20), (64, 64), (125, 125), (126, 125), (200, 125), (-1, 125)]
            as [(Int32, Int32)])
    func theModulesOwnCodeIsHandedThrough(_ own: Int32, _ code: Int32) {
        var result = JobResult(ending: .exitedNonZero, detail: "the module ended with exit code \(own)")
        result.exitCode = own
        #expect(ExitStatus.code(for: result) == code)
        let exit = RunExit(result, isOutputMissing: true)
        #expect(exit.status == code && exit.source == .module)
        #expect(Run.sentence(result).contains("exit code \(own)."))
        #expect(Run.sentence(result).contains("mesh exits with 125") == (own != code))
        result.ending = .trapped
        #expect(ExitStatus.code(for: result) == 210)
        #expect(RunExit(result, isOutputMissing: false).source == .mesh)
    }

    @Test func aMissingOutputIsTheMeshsCodeOfASuccess() {
        let done = JobResult(ending: .succeeded, detail: "")
        #expect(RunExit(done, isOutputMissing: false).status == 0)
        #expect(RunExit(done, isOutputMissing: false).source == .module)
        #expect(RunExit(done, isOutputMissing: true).status == 215)
        #expect(RunExit(done, isOutputMissing: true).source == .mesh)
    }

    @Test func theMeshsCodesAreFrom200To249AndStandInOneTable() {
        let all = ExitStatus.allCases.map(\.rawValue)
        #expect(Set(all).count == all.count)
        for status in ExitStatus.allCases {
            #expect(status == .success || (200...249).contains(status.rawValue), "\(status)")
            #expect(ExitStatus.table.contains("\(status.rawValue)  \(status.meaning)"))
        }
        #expect(ExitStatus.table.contains("1-125  the module's own exit code"))
        let longest = ExitStatus.table.split(separator: "\n").max { $0.count < $1.count } ?? ""
        #expect(longest.count < 80, "no line of the help is broken on a usual terminal: \(longest)")
        #expect(ExitStatus.signalled(15) == 143)
    }

    @Test(arguments: [("fuel", "--max-fuel"), ("memory", "--max-memory"), ("output", "--max-output")])
    func theOneLimitThatWasHitIsToBeRaised(_ limit: String, _ option: String) {
        var result = JobResult(ending: .limitExceeded, detail: "")
        result.limit = limit
        let sentence = Run.sentence(result)
        #expect(sentence.contains("Raise it with \(option), or "), "\(sentence)")
        #expect(sentence.split(separator: "--").count == 2, "\(sentence)")
        result.limit = "stack"
        #expect(!Run.sentence(result).contains("--"))
    }

    @Test func whatWentWrongIsOneSentenceAndOneOfAdvice() {
        let refused = JobResult(ending: .noAcceptableBid, detail: "3 bids, each above 30: 40, 45, 60")
        #expect(
            Run.sentence(refused) == "The job failed: 3 bids, each above 30: 40, 45, 60. "
                + "Raise --budget or loosen the policy; mesh explain last tells every bid.")
        for ending in JobEnding.allCases where ending != .succeeded {
            let sentence = Run.sentence(JobResult(ending: ending, detail: ""))
            let begin = ending == .cancelled ? "The job was cancelled" : "The job failed: "
            #expect(sentence.hasPrefix(begin) && sentence.hasSuffix("."), "\(sentence)")
        }
    }
}
