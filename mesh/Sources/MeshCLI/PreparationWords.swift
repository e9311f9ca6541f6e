import NodeAPI

/// What goes on before a run, as people read it. None of it is part of the job's time.
enum PreparationWords {
    /// In the cell of a listing: `fetching, 3.20 MiB`, `compiling, 12.0 s`.
    static func cell(_ preparation: JobPreparation?) -> String {
        guard let preparation else { return "preparing" }
        switch preparation.step {
        case "fetching": return "fetching" + fetched(preparation, before: ", ", after: "")
        case "compiling":
            return "compiling"
                + (preparation.compilingMilliseconds.map { ", \(Readable.duration(milliseconds: $0))" } ?? "")
        case "waiting": return "waiting to run"
        default: return "preparing"
        }
    }

    /// In a line that stays, and at the beginning of the one about now.
    static func step(_ step: String) -> String {
        switch step {
        case "fetching": "fetching module and inputs"
        case "compiling": "compiling the module"
        case "waiting": "waiting for other runs to end"
        default: JobStanding.words(for: "PreparingExecution")
        }
    }

    /// For how long the step has lasted by `milliseconds`, and how far it is: `compiling the module 12.0 s of at most
    /// 10 min`.
    static func now(_ preparation: JobPreparation, milliseconds: UInt64) -> String {
        let text = "\(step(preparation.step)) \(Readable.duration(milliseconds: milliseconds))"
        switch preparation.step {
        case "fetching": return text + fetched(preparation, before: ", ", after: " so far")
        case "compiling":
            return text
                + (preparation.compilingMillisecondsMax.map { " of at most \(Readable.duration(milliseconds: $0))" }
                    ?? "")
        default: return text
        }
    }

    /// As a fact on the page about a job.
    static func fact(_ preparation: JobPreparation) -> String {
        switch preparation.step {
        case "fetching": step("fetching") + fetched(preparation, before: ", ", after: " so far")
        case "compiling":
            now(preparation, milliseconds: preparation.compilingMilliseconds ?? 0)
                + ", which is no part of the job's time"
        default: step(preparation.step)
        }
    }

    private static func fetched(_ preparation: JobPreparation, before: String, after: String) -> String {
        guard let bytes = preparation.fetchedBytes, bytes > 0 else { return "" }
        return before + Readable.bytes(bytes) + after
    }
}
