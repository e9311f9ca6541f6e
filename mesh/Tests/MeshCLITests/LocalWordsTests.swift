import NodeAPI
import Testing

@testable import MeshCLI

/// What `mesh run --local` says: nothing of executors, of nodes, or of settings that are not there.
@Suite struct LocalWordsTests {
    private func refused() -> JobResult {
        var result = JobResult(
            ending: .noBids, detail: "no executor took the job: this node is the only executor known")
        let reason = ExecutorsView.Reason(
            code: "max_memory_bytes",
            text: "memory 3 GiB is above its limit of 1 GiB (executor.memory_mib in this node's config.json)",
            executors: 1, asked: 3 << 30, offered: 1 << 30, setting: "executor.memory_mib", isHere: true,
            advice: "Ask for less with --max-memory, or raise executor.memory_mib in this node's config.json and "
                + "restart it.")
        result.executors = ExecutorsView(known: 1, refusing: 1, busy: 0, reasons: [reason])
        return result
    }

    @Test func whatItMayNotHaveIsSaidWithoutANode() {
        let bare = LocalWords(configuration: nil).of(refused())
        #expect(
            Run.sentence(bare) == "The job failed: memory 3 GiB is above the limit of a run here, 1 GiB. "
                + "Ask for less with --max-memory.")
        let set = LocalWords(configuration: "/h/config.json").of(refused())
        #expect(
            Run.sentence(set).hasSuffix(
                "Ask for less with --max-memory, or raise executor.memory_mib in /h/config.json."))
        #expect(RunExit.ofLocal(bare, isOutputMissing: true).status == ExitStatus.tooLarge.rawValue)
        var busy = bare
        busy.executors = nil
        #expect(RunExit.ofLocal(busy, isOutputMissing: false).status == ExitStatus.executorsFailed.rawValue)
        let done = JobResult(ending: .succeeded, detail: "")
        #expect(RunExit.ofLocal(done, isOutputMissing: false).status == 0)
    }

    @Test func aRunThatGotTooLittleOfTheProcessorWasStoppedAtItsTimeout() {
        let words = LocalWords(configuration: nil)
        let detail =
            "1 of 1 attempts gave no result; at last the executor failed: the run had the processor for 373 of 1001 ms "
            + "only"
        let result = words.of(JobResult(ending: .executorsFailed, detail: detail, attempts: 1))
        #expect(
            Run.sentence(result) == "The job failed: its time was over, and this machine, which is busy, gave it the "
                + "processor for 373 of 1001 ms only. Raise it with --timeout, or give the module less to do.")
        #expect(RunExit.ofLocal(result, isOutputMissing: false).status == ExitStatus.jobLimit.rawValue)
        let stood = words.of(
            JobResult(
                ending: .executorsFailed,
                detail: "1 of 1 attempts gave no result; at last the executor failed: the executor stood still during "
                    + "the run"))
        #expect(Run.sentence(stood) == "The job failed: this machine stood still during the run. Run it again.")
    }

    @Test func aRunThatCrashedTheEngineSaysWhatThatMeans() {
        let detail =
            "the only attempt gave no result; at last the executor failed: the engine crashed: the process of the run "
            + "was ended by signal 11"
        let result = LocalWords(configuration: nil).of(JobResult(ending: .executorsFailed, detail: detail, attempts: 1))
        #expect(
            Run.sentence(result)
                == "The job failed: the engine crashed: the process of the run was ended by signal 11. "
                + "Run it again; if it crashes again, the module shows a flaw of the engine.")
    }

    @Test func aSettingIsNamedOnlyWhereThereIsAConfiguration() {
        let error = NodeServiceError(
            .tooLarge, "Its outputs may have 9 bytes together, and this node takes in at most 8.",
            hint: "Ask for less with --max-output, or raise limits.file_bytes_max in config.json.")
        let bare = LocalWords(configuration: nil).of(error)
        #expect(bare.message.hasSuffix("and a run here takes in at most 8."))
        #expect(bare.hint == "Ask for less with --max-output.")
        #expect(
            LocalWords(configuration: "/h/config.json").of(error).hint
                == "Ask for less with --max-output, or raise limits.file_bytes_max in /h/config.json.")
        #expect(LocalWords(configuration: nil).hint("Raise limits.x in config.json.") == nil)
        #expect(LocalWords(configuration: nil).hint("Lower --max-fuel.") == "Lower --max-fuel.")
    }
}
