import PlanetaryMesh
import Testing

@testable import mesh

@Suite struct CLIExitStatusTests {
    @Test func everyFailureOfTheNodeHasItsCode() {
        let expected: [NodeServiceError.Code: Int32] = [
            .invalidRequest: 64, .noSuchRoute: 64, .notAnExecutor: 64, .tooLarge: 44, .moduleRefused: 13,
            .jobNotFound: 40, .receiptNotFound: 40, .blockNotFound: 40, .blockCorrupt: 35, .storageFailed: 35,
            .receiptInvalid: 41, .conflict: 45, .insufficientFunds: 23, .peerUnreachable: 42, .timedOut: 43,
            .overloaded: 37, .shuttingDown: 37, .storageFull: 36, .notInitialised: 32, .alreadyInitialised: 38,
            .keyUnusable: 33, .configurationInvalid: 34, .addressInUse: 31, .alreadyRunning: 31, .nodeNotRunning: 30,
            .protocolMismatch: 70, .internalError: 70,
        ]
        for code in NodeServiceError.Code.allCases {
            #expect(ExitStatus(code).rawValue == expected[code], "\(code)")
        }
    }

    @Test func everyEndOfAJobHasItsCode() {
        let expected: [JobEnding: Int32] = [
            .succeeded: 0, .exitedNonZero: 12, .trapped: 10, .limitExceeded: 11, .moduleRefused: 13, .cancelled: 14,
            .noBids: 20, .noAcceptableBid: 20, .executorsFailed: 21, .fetchFailed: 21, .deadlinePassed: 22,
            .insufficientFunds: 23, .receiptInvalid: 24,
        ]
        for ending in JobEnding.allCases {
            #expect(ExitStatus.code(for: JobResult(ending: ending, detail: "")) == expected[ending], "\(ending)")
        }
    }

    @Test(arguments: [(1, 1), (9, 9), (10, 12), (64, 12), (-1, 12), (0, 12)] as [(Int32, Int32)])
    func theModulesOwnCodeIsHandedThroughWhereItCannotBeMistaken(_ own: Int32, _ code: Int32) {
        var result = JobResult(ending: .exitedNonZero, detail: "exited with \(own)")
        result.exitCode = own
        #expect(ExitStatus.code(for: result) == code)
        result.ending = .trapped
        #expect(ExitStatus.code(for: result) == 10)
    }

    @Test func aJobsCodesAndTheMeshsDoNotOverlap() {
        let all = ExitStatus.allCases.map(\.rawValue)
        #expect(Set(all).count == all.count)
        for status in ExitStatus.allCases where status != .success {
            #expect(!(1...9).contains(status.rawValue), "\(status)")
            #expect(ExitStatus.help.contains("\(status.rawValue)  \(status.meaning)"))
        }
    }

    @Test func whatWentWrongIsOneSentenceAndOneOfAdvice() {
        let refused = JobResult(ending: .noAcceptableBid, detail: "3 bids, each above 30: 40, 45, 60")
        #expect(
            Run.sentence(refused) == "The job failed: 3 bids, each above 30: 40, 45, 60. "
                + "Raise --budget or loosen the policy; mesh explain last tells every bid.")
        for ending in JobEnding.allCases where ending != .succeeded {
            let sentence = Run.sentence(JobResult(ending: ending, detail: ""))
            #expect(sentence.hasPrefix("The job failed: ") && sentence.hasSuffix("."), "\(sentence)")
        }
    }
}
