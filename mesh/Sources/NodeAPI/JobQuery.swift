package import Multiformats

/// Which jobs to list; those that match, newest first, one page at a time.
package struct JobQuery: Hashable, Sendable {
    /// The most jobs of the page.
    package var limit: Int
    /// Only jobs that come behind this one; nil for the newest.
    package var after: CID?
    /// Only this side; nil for both, a job of both sides once, as its originator has it.
    package var role: JobSide?
    /// Only jobs of one of these kinds (`JobStatusName`); none for all.
    package var statuses: [JobStatusName]
    /// Only jobs submitted then or later, in milliseconds since the Unix epoch.
    package var since: UInt64?
    /// Only jobs whose label contains this, whatever the case of its letters.
    package var label: String?
    /// Only jobs whose ID begins or ends with this.
    package var named: String?

    /// The newest jobs.
    package init(
        limit: Int, after: CID? = nil, role: JobSide? = nil, statuses: [JobStatusName] = [], since: UInt64? = nil,
        label: String? = nil, named: String? = nil
    ) {
        self.limit = limit
        self.after = after
        self.role = role
        self.statuses = statuses
        self.since = since
        self.label = label
        self.named = named
    }
}

/// A node's side of a job. The raw values are part of the API.
package enum JobSide: String, Hashable, Sendable, CaseIterable {
    /// It asked for the job.
    case originator
    /// It bid on the job, or ran it.
    case executor
}

/// A page of jobs.
package struct JobPage: Hashable, Sendable, Codable {
    /// The jobs, newest first.
    package var jobs: [JobView]
    /// The job after which the next page begins; absent on the last one.
    package var next: String?

    package init(jobs: [JobView], next: String? = nil) {
        self.jobs = jobs
        self.next = next
    }
}

/// A name by which jobs are picked out: a `JobOutcome`, a `JobPayment`, or one for several of them.
package struct JobStatusName: Hashable, Sendable {
    /// Its text.
    package let name: String
    /// What it stands for.
    package let outcomes: [JobOutcome]
    /// Payments that it stands for.
    package let payments: [JobPayment]

    /// The names for several outcomes.
    package static let groups: [JobStatusName] = [
        JobStatusName("open", JobOutcome.allCases.filter(\.isUnderWay)),
        JobStatusName("ended", JobOutcome.allCases.filter { !$0.isUnderWay }),
        JobStatusName("pending", [.announcing, .bidding, .awaitingFunds, .assigned]),
        JobStatusName("running", [.preparing, .running, .collecting, .cancelling]),
        JobStatusName(
            "failed",
            JobOutcome.allCases.filter {
                !$0.isUnderWay && !$0.isOfBid && $0 != .succeeded && $0 != .cancelled
            }),
        JobStatusName("no_executor", [.noBids]),
        JobStatusName("lost", JobOutcome.allCases.filter(\.isOfBid)),
        JobStatusName("paid", [], [.paid]),
        JobStatusName("unpaid", [], [.due, .overdue, .refused]),
    ]

    /// All names, the groups first.
    package static let all: [String] = {
        let names = groups.map(\.name)
        return names + JobOutcome.allCases.map(\.rawValue).filter { !names.contains($0) }
    }()

    /// The name that a text stands for, with hyphens or underscores; nil if there is none.
    package init?(_ text: String) {
        let name = text.lowercased().split(separator: "-", omittingEmptySubsequences: false).joined(separator: "_")
        if let group = Self.groups.first(where: { $0.name == name }) {
            self = group
        } else if let outcome = JobOutcome(rawValue: name) {
            self.init(name, [outcome])
        } else if name == "completedsuccessfully" {
            self.init(JobOutcome.succeeded.rawValue, [.succeeded])
        } else {
            return nil
        }
    }

    private init(_ name: String, _ outcomes: [JobOutcome], _ payments: [JobPayment] = []) {
        self.name = name
        self.outcomes = outcomes
        self.payments = payments
    }
}
