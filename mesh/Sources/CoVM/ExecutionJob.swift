package import GuestFiles
package import MeshTypes
package import Multiformats

/// One run of one module: everything that decides its result, and nothing else.
///
/// Two runs of equal jobs give the same outputs, the same outcome and the same fuel on every machine with the same
/// engine, unless one of them is stopped by the wall clock or by a cancellation.
package struct ExecutionJob: Sendable {
    /// The CID of the module; its digest must be that of ``module``.
    package var moduleCID: CID

    /// The bytes of the module.
    package var module: [UInt8]

    /// The exported function that is called: `_start`, or one without parameters that returns nothing or an `i32`,
    /// which counts as exit code.
    package var entry: String

    /// The numbers that it is called with, if for its results; then it may be any function that takes and returns
    /// numbers.
    package var numbers: [WasmNumber]?

    /// The arguments after the program's name (`argv[0]` is always `job`).
    package var arguments: [String]

    /// Environment variables in the order in which the guest sees them.
    package var environment: [(name: String, value: String)]

    /// The files that the guest finds, and its standard input.
    package var files = FileSystemPlan()

    /// How long it may wait for its user, who then gives it its standard input; nil if it does not talk to one.
    package var session: SessionTerms? {
        didSet { files.standardInput = session == nil ? .bytes([]) : .session }
    }

    /// What came of the calls of its session before, if it repeats one: up to where its host's session goes on, or to
    /// its end where that has none.
    package var played: [SessionEvent]?

    /// Which of the files become outputs when the run has ended, by the names of the outputs.
    package var collect: [(name: String, selection: FileSelection)] = []

    /// Named inputs in the order in which the guest sees them.
    package var inputs: [(name: String, cid: CID)]

    /// The limits of this run. The guest's sleeping counts towards the wall clock, too, in virtual time, so that a
    /// guest that sleeps too long stops at the same point on every machine.
    package var limits: ExecutionLimits

    /// A wall clock shorter than that of `limits`, for example what is left of the executor's time for the job; a run
    /// stopped at it ends in `nodeFailed`.
    package var wallClockMilliseconds: UInt64?

    /// Where it ends at the latest, if it repeats a run that was cut short.
    package var repetition: Repetition?

    /// The text of the job's CID, for the guest.
    package var jobID: String

    /// The DID of the originator, for the guest.
    package var originatorDID: String

    /// The DID of the executor, for the guest. A replay must give the receipt's executor, not the auditor.
    package var executorDID: String

    /// Seeds the guest's random bytes. Take it from the manifest, so that a replay sees the same.
    package var seed: UInt64

    /// Where the guest's clock starts, in nanoseconds since the Unix epoch. Take it from the manifest, too.
    package var clockStartNanoseconds: UInt64

    /// Where a run ends at the latest that repeats one which was cut short.
    ///
    /// Its guest sees nothing of that: the job's limits, its clock and the fuel that it has left are those of the first
    /// run.
    package struct Repetition: Hashable, Sendable, Codable {
        /// The fuel that the first run is said to have used. With this much the repetition is out of fuel.
        package var fuelMax: UInt64
        /// How long it may take, in milliseconds, whatever the job allows; past that it ends in `nodeFailed`.
        package var wallClockMilliseconds: UInt64

        package init(fuelMax: UInt64, wallClockMilliseconds: UInt64) {
            self.fuelMax = fuelMax
            self.wallClockMilliseconds = wallClockMilliseconds
        }
    }

    /// A job with an empty environment; set the rest on the value.
    package init(
        moduleCID: CID, module: [UInt8], entry: String = "_start", arguments: [String] = [],
        limits: ExecutionLimits = .standard
    ) {
        self.moduleCID = moduleCID
        self.module = module
        self.entry = entry
        self.arguments = arguments
        self.limits = limits
        wallClockMilliseconds = nil
        repetition = nil
        environment = []
        inputs = []
        jobID = ""
        originatorDID = ""
        executorDID = ""
        seed = 0
        clockStartNanoseconds = 0
    }

    /// Standard input as bytes; empty if the job names none, or a file of the mesh.
    package var standardInput: [UInt8] {
        get {
            guard case .bytes(let bytes) = files.standardInput else { return [] }
            return bytes
        }
        set { files.standardInput = .bytes(newValue) }
    }

    /// The time that the job asks for.
    var timeoutMilliseconds: UInt64 {
        let (whole, overflow) = limits.timeoutSeconds.multipliedReportingOverflow(by: 1_000)
        return overflow ? .max : whole
    }

    /// The time that its run has.
    var wallClockMillisecondsMax: UInt64 {
        repetition?.wallClockMilliseconds ?? min(timeoutMilliseconds, wallClockMilliseconds ?? .max)
    }

    /// The fuel that the engine is given.
    var engineFuelMax: UInt64 { min(limits.maxFuel, repetition?.fuelMax ?? .max) }

    /// The fuel that the guest sees beside what the engine has left.
    var fuelBeyondEngine: UInt64 { limits.maxFuel - engineFuelMax }

    /// Whether a name is no output of the module's: what is collected, or what the function returns, has it.
    func reserves(_ name: String) -> Bool {
        (numbers != nil && name == NumberCall.resultName) || collect.contains { $0.name == name }
    }

    /// Outputs that are not the module's own.
    var reservedOutputs: Int { collect.count + (numbers == nil ? 0 : 1) }
}
