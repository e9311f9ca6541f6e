import MeshTypes
import SignedObjects

extension ExecutorOutlook: CustomStringConvertible {
    /// One sentence without a full stop: who is there, and what keeps them.
    package var description: String {
        guard known > 0 else {
            guard let banned else { return "no executor is known" }
            let whom = banned == 1 ? "the one" : "the \(GroupedNumber.of(banned))"
            return "no executor is known but \(whom) that this node's owner banned"
        }
        var clauses: [String] = []
        if refusing > 0 { clauses.append(refusal) }
        if busy > 0 { clauses.append(phrase(busy, "cannot now", "cannot now") + ": " + told { !$0.lasts }) }
        if able > 0 { clauses.append(phrase(able, "has not bid yet", "have not bid yet")) }
        if let banned {
            clauses.append("\(GroupedNumber.of(banned)) more \(banned == 1 ? "is" : "are") banned by this node's owner")
        }
        return "\(subject); " + clauses.joined(separator: "; ")
    }

    /// What keeps those who will not run the job: they refuse it, or the job's own terms exclude them.
    private var refusal: String {
        let lasting = reasons.map(\.obstacle).filter(\.lasts)
        let own = lasting.count(where: \.isOfTheJob)
        guard own > 0 else { return phrase(refusing, "refuses", "refuse") + ": " + told(\.lasts) }
        let whom = known == 1 ? "it" : refusing == known ? "all of them" : "\(GroupedNumber.of(refusing)) of them"
        if own < lasting.count {
            let phrase =
                known > 1 && refusing == known
                ? "none of them fits the job" : phrase(refusing, "does not fit the job", "do not fit the job")
            return phrase + ": " + told(\.lasts)
        }
        guard own == 1, let only = lasting.first else { return "your own terms exclude \(whom): " + told(\.lasts) }
        return switch only {
        case .price: "your budget excludes \(whom): " + told(\.lasts)
        case .reputation: "your least reputation excludes \(whom): " + told(\.lasts)
        default: "the job's own lists exclude \(whom)"
        }
    }

    /// The same as sentences, with how long the job waits for others.
    var account: String {
        let clause = description
        let sentence = clause.prefix(1).uppercased() + clause.dropFirst() + "."
        // What is over at once is not worth a word.
        guard let waitMilliseconds, waitMilliseconds >= Self.toldMillisecondsMin else { return sentence }
        let seconds = GroupedNumber.of((waitMilliseconds - 1) / 1_000 + 1)
        return sentence + " The job waits up to \(seconds) s for executors that are not known yet."
    }

    /// A shorter wait is not told.
    private static let toldMillisecondsMin: UInt64 = 1_500

    private var subject: String {
        switch (known, isHere) {
        case (1, true): "this node is the only executor known"
        case (1, false): "1 executor is known"
        default: "\(GroupedNumber.of(known)) executors are known" + (isHere ? ", this node among them" : "")
        }
    }

    private func phrase(_ count: UInt64, _ one: String, _ many: String) -> String {
        if known == 1 { return "it \(one)" }
        if count == known { return "all \(many)" }
        return "\(GroupedNumber.of(count)) \(count == 1 ? one : many)"
    }

    private func told(_ isMeant: (Obstacle) -> Bool) -> String {
        let meant = reasons.filter { isMeant($0.obstacle) }
        return meant.map { $0.text + (meant.count > 1 ? " (\(GroupedNumber.of($0.executors)))" : "") }
            .joined(separator: "; ")
    }

    /// What to do next, as a sentence; `nil` if there is nothing to do but to wait.
    package var advice: String? {
        let reason = (reasons.first { $0.obstacle.lasts } ?? reasons.first)?.advice
        return reason ?? banned.map { _ in "mesh peers bans lists whom you banned, and mesh peers allow lifts a ban." }
    }
}

extension ExecutorOutlook.Reason {
    /// The obstacle in words, with the setting behind it and its side.
    package var text: String {
        return obstacle.text(isOfOne: executors == 1, differs: differs ?? false)
            + (obstacle.setting.map { " (\($0) \(side))" } ?? "")
    }

    /// On which side the setting is.
    private var side: String {
        if !isHere { return "on the executor's side" }
        return executors == 1 ? "in this node's config.json" : "on the executor's side, this node among them"
    }

    /// What to do about it, as a sentence; `nil` if there is nothing.
    package var advice: String? {
        let file = isHere ? "this node's config.json" : "an executor's config.json"
        func orSet(_ remedy: String, _ verb: String) -> String {
            obstacle.setting.map { "\(remedy), or \(verb) \($0) in \(file) and restart it." } ?? "\(remedy)."
        }
        switch obstacle {
        case .limit(let limit, _, _): return orSet(limit.remedy, "raise")
        case .region: return orSet("Ask for another --region", "set")
        case .feature(JobFiles.feature): return "Executors of this version take jobs with files: update theirs."
        case .feature(NumberCall.feature): return "Executors of this version take --invoke: update theirs."
        case .feature(SessionTerms.feature):
            return "Executors of this version take interactive jobs: update theirs."
        case .feature(SessionTerms.transcriptFeature):
            return "Do without a transcript (--transcript none); executors of this version keep one: update theirs."
        case .feature(SessionTerms.callsFeature):
            return
                "Build the module without the session calls of mesh_host_v1, for standard input and output; executors "
                + "of this version have them: update theirs."
        case .feature(PublicJob.feature):
            return "Executors of this version take jobs with public bids or status: update theirs."
        case .feature(AttestedRun.feature):
            return "Do without --attested; executors of this version take such jobs: update theirs."
        case .feature(HedgedJob.feature): return orSet("Do without --hedge", "set")
        case .feature: return orSet("Ask for fewer features", "extend")
        case .resource: return orSet("Ask for fewer resources", "raise")
        case .reputation: return "Lower --min-reputation, or give its executors jobs first."
        case .price(let price): return JobFailure.advice(budget: price.cheapest, fuel: price.affordableFuel)
        case .excluded: return "Change the job's lists of allowed and denied executors."
        case .late: return "Give the job more time, or a later deadline."
        case .answered(RefusalName.notAccepting.rawValue, _):
            return "Wait until executors take jobs again (the owner of one says mesh resume there), or join others "
                + "with mesh connect ADDRESS."
        case .answered: return nil
        }
    }
}

extension Obstacle {
    /// Whether the executor would run the job, and the job's own terms exclude it.
    fileprivate var isOfTheJob: Bool {
        switch self {
        case .price, .reputation, .excluded: true
        case .limit, .region, .feature, .resource, .late, .answered: false
        }
    }

    /// The obstacle of one executor in words, by its offer alone.
    package var offerText: String {
        switch self {
        case .price(let price):
            "it asks up to \(GroupedNumber.of(price.cheapest.units)) tokens, above the budget of "
                + GroupedNumber.of(price.budget.units)
        case .region(_, let there):
            there.first.map { "it is in the region \(PlainText.sanitized($0, bytesMax: 64))" } ?? "it names no region"
        default: text(isOfOne: true, differs: false)
        }
    }

    /// The obstacle in words, without its setting; `differs` if the executors offer different amounts.
    func text(isOfOne: Bool, differs: Bool) -> String {
        func most(_ noun: String, _ amount: String) -> String {
            if differs { return "their \(noun)s (up to \(amount))" }
            return "\(isOfOne ? "its" : "their") \(noun) of \(amount)"
        }
        func plain(_ text: String) -> String { PlainText.sanitized(text, bytesMax: 64) }
        switch self {
        case .limit(let limit, let asked, let offered):
            return "\(limit.noun) \(limit.text(asked)) is above \(most("limit", limit.text(offered)))"
        case .region(let asked, let there):
            let wanted = asked.prefix(4).map(plain).joined(separator: " or ")
            let found = there.isEmpty ? "none is named" : "named are " + there.map(plain).joined(separator: ", ")
            return "the region \(wanted) is asked for, and \(found)"
        case .feature(JobFiles.feature):
            return "the job has files, and \(isOfOne ? "its" : "their") version runs jobs without"
        case .feature(NumberCall.feature):
            return "the job calls a function with numbers, and \(isOfOne ? "its" : "their") version does not"
        case .feature(SessionTerms.feature):
            return "the job is interactive, and \(isOfOne ? "its" : "their") version runs no such jobs"
        case .feature(SessionTerms.transcriptFeature):
            return "a transcript is asked for, and \(isOfOne ? "its" : "their") version keeps none"
        case .feature(SessionTerms.callsFeature):
            return "the module imports session calls, and \(isOfOne ? "its" : "their") version has none"
        case .feature(PublicJob.feature):
            return "the job's bids or status are public, and \(isOfOne ? "its" : "their") version takes no such jobs"
        case .feature(AttestedRun.feature):
            return "the job is attested, and \(isOfOne ? "its" : "their") version gives no module a clock of its own"
        case .feature(HedgedJob.feature):
            return "a second copy of a slow run is allowed, and \(isOfOne ? "it takes" : "they take") no such jobs"
        case .feature(let feature): return "the feature \(plain(feature)) is missing"
        case .resource(let resource, let needed, let offered):
            return "\(plain(resource)) \(GroupedNumber.of(needed)) is above "
                + most("offer", GroupedNumber.of(offered))
        case .reputation(let best, let min): return "reputation \(min) is asked for, and the best has \(best) here"
        case .price(let price):
            return "the cheapest bid asks up to \(GroupedNumber.of(price.cheapest.units)) tokens, above the budget "
                + "of \(GroupedNumber.of(price.budget.units)) (a bid's ceiling follows from --max-fuel, here "
                + "\(GroupedNumber.of(price.fuel)))"
        case .excluded: return "the job's own lists exclude \(isOfOne ? "it" : "them")"
        case .late: return "the result is promised after the job's deadline"
        case .answered(_, let text): return PlainText.sanitized(text)
        }
    }
}
