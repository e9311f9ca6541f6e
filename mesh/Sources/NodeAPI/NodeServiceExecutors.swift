/// Who could run a job, and what keeps those who do not, as far as the node that asked for it knows.
package struct ExecutorsView: Hashable, Sendable, Codable {
    /// Executors that are known, this node included if it runs its own jobs.
    package var known: UInt64
    /// Those that refuse for a reason that lasts: a limit, a region, a price.
    package var refusing: UInt64
    /// Those that only cannot now: a full queue, a full disk.
    package var busy: UInt64
    /// The reasons, those of most executors first.
    package var reasons: [Reason]
    /// Executors that the owner banned, besides those that are known; absent if there are none.
    package var banned: UInt64?

    /// A reason of one or more executors.
    package struct Reason: Hashable, Sendable, Codable {
        /// A stable name: of the limit, or of the refusal.
        package var code: String
        /// The reason in words, with the setting behind it and its side.
        package var text: String
        /// How many executors have it.
        package var executors: UInt64
        /// What the job asks for, where that is a number.
        package var asked: UInt64?
        /// The most that any of these executors offers; for a price the least that any asks.
        package var offered: UInt64?
        /// The key in the executor's `config.json`, if one helps.
        package var setting: String?
        /// Whether this node itself is among the executors.
        package var isHere: Bool
        /// What to do about it, as a sentence.
        package var advice: String?

        package init(
            code: String, text: String, executors: UInt64, asked: UInt64? = nil, offered: UInt64? = nil,
            setting: String? = nil, isHere: Bool = false, advice: String? = nil
        ) {
            self.code = code
            self.text = text
            self.executors = executors
            self.asked = asked
            self.offered = offered
            self.setting = setting
            self.isHere = isHere
            self.advice = advice
        }

        private enum CodingKeys: String, CodingKey {
            case code, text, executors, asked, offered, setting, advice
            case isHere = "here"
        }
    }

    package init(known: UInt64, refusing: UInt64, busy: UInt64, reasons: [Reason]) {
        self.known = known
        self.refusing = refusing
        self.busy = busy
        self.reasons = reasons
    }
}
