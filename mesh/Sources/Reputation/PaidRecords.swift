package import MeshTypes
package import Multiformats
import OrderedCollections
package import SignedObjects

/// What others' records show of executors, once they were checked: what an issuer that this node trusts booked for a
/// receipt. Failures do not travel, as whoever gives a job that must fail would have one for nothing.
///
/// It is believed much less than what this node saw itself: all records of one payer weigh what one own receipt weighs,
/// and all payers together what five do. Of what somebody paid, that does not count which is known to have gone back to
/// it, directly or by way of one other; and for a job of more than was paid, only so much less. A function of the
/// records that are kept, and of the date.
package struct PaidRecords: Hashable, Sendable {
    /// The bounds.
    package struct Limits: Hashable, Sendable {
        /// Records kept of a subject.
        package var recordsPerSubjectMax = 64
        /// Records among these of one payer.
        package var recordsPerPayerMax = 8
        /// Records kept that one issuer booked; of more, those of the subject of whom none came for longest go.
        package var recordsPerIssuerMax = 4_096
        /// Records kept of all subjects together; of more, those of the subject of whom none came for longest go.
        package var recordsMax = 16_384
        /// The largest amount; no book has a larger one.
        package var amountMax: UInt64 = 1 << 53
        /// The most that one payer's records weigh for a subject.
        package var payerWeightMax: UInt64 = 1_000
        /// The most that all records weigh for a subject.
        package var weightMax: UInt64 = 5_000
        /// What counts of a record in thousandths where its amount cannot be compared with what is at stake.
        package var incomparablePermille: UInt64 = 250
        /// The time in which the weight of a record halves, in milliseconds; 30 days.
        package var halfLifeMilliseconds: UInt64 = 30 * 86_400_000

        /// The standard bounds.
        package init() {}
    }

    /// What records weigh.
    package struct Weight: Hashable, Sendable {
        /// One payer's part.
        package struct Part: Hashable, Sendable {
            /// Whose line paid.
            package let payer: DID
            /// Its records, newest first.
            package let items: [ReputationEvidence]
            /// What they weigh.
            package let weight: UInt64
            /// How much of what it paid did not come back to it, in thousandths.
            package let keptPermille: UInt64
        }

        /// The parts, by payer.
        package let parts: [Part]
        /// All together, `weightMax` at most.
        package let total: UInt64
    }

    /// What somebody paid somebody, in one unit.
    private struct Flow: Hashable {
        let payer: DID
        let payee: DID
        let unit: CreditUnit
    }

    private let limits: Limits
    private var records: OrderedDictionary<DID, [ReputationEvidence]> = [:]
    /// The sums of what is kept.
    // BOUNDED: by the records that are kept, as are those whom somebody paid, and the issuers.
    private var flows: [Flow: UInt64] = [:]
    private var payees: [DID: [DID: Int]] = [:]
    private var issuers: [DID: Int] = [:]
    /// The records that are kept.
    package private(set) var count = 0

    /// No records.
    package init(limits: Limits = Limits()) { self.limits = limits }

    /// Those of whom there are any.
    package var subjects: [DID] { Array(records.keys) }

    /// Whether one is kept that cites a receipt.
    package func hasReceipt(_ receipt: CID, of subject: DID) -> Bool {
        records[subject]?.contains { $0.receiptCID == receipt } ?? false
    }

    /// The records of a subject, newest first.
    package func evidence(about subject: DID) -> [ReputationEvidence] { records[subject] ?? [] }

    /// Takes in a record that was checked; of one assignment the first counts.
    ///
    /// - Returns: what changed; nil if nothing did.
    package mutating func record(_ item: ReputationEvidence) -> ReputationChange? {
        guard item.subject != item.payer, item.verdict == .fulfilled, let pay = item.pay,
            pay.amount <= limits.amountMax
        else { return nil }
        var kept = records[item.subject] ?? []
        guard !kept.contains(where: { $0.assignmentCID == item.assignmentCID }) else { return nil }
        kept.insert(item, at: kept.firstIndex(where: item.isNewer) ?? kept.count)
        var dropped: [ReputationEvidence] = []
        if let surplus = surplus(in: kept, beside: item) {
            if surplus.assignmentCID == item.assignmentCID { return nil }
            kept.removeAll { $0.assignmentCID == surplus.assignmentCID }
            dropped.append(surplus)
        }
        replace(item.subject, by: kept)
        while issuers[pay.issuerDID, default: 0] > limits.recordsPerIssuerMax,
            let oldest = records.first(where: { subject, items in
                subject != item.subject && items.contains { $0.pay?.issuerDID == pay.issuerDID }
            })?.key
        {
            dropped += forget(in: oldest) { $0.pay?.issuerDID == pay.issuerDID }
        }
        while count > limits.recordsMax, let oldest = records.keys.first, oldest != item.subject {
            dropped += forget(in: oldest) { _ in true }
        }
        return ReputationChange(side: .elsewhere, recorded: item, dropped: dropped)
    }

    /// What there is no room for beside a new record: of the payer with the most records, the one that is worth the
    /// least, and then the oldest.
    private func surplus(in kept: [ReputationEvidence], beside item: ReputationEvidence) -> ReputationEvidence? {
        var counts: [DID: Int] = [:]
        for each in kept { counts[each.payer, default: 0] += 1 }
        let most = counts.max { ($0.value, $0.key) < ($1.value, $1.key) }?.key
        let payer =
            counts[item.payer, default: 0] > limits.recordsPerPayerMax
            ? item.payer : kept.count > limits.recordsPerSubjectMax ? most : nil
        guard let payer, let newest = kept.first?.at else { return nil }
        // What is older has lost half of its worth for each half-life: by the records alone, and not by a clock.
        func worth(_ each: ReputationEvidence) -> UInt64 {
            (each.pay?.amount ?? 0) >> min(63, newest.milliseconds(since: each.at) / limits.halfLifeMilliseconds)
        }
        return kept.filter { $0.payer == payer }.min { left, right in
            worth(left) != worth(right) ? worth(left) < worth(right) : right.isNewer(than: left)
        }
    }

    /// Forgets what is no evidence any more, since its issuer or payer is not believed; returns it.
    package mutating func forget(where isGone: (ReputationEvidence) -> Bool) -> [ReputationEvidence] {
        records.keys.flatMap { forget(in: $0, where: isGone) }
    }

    private mutating func forget(
        in subject: DID, where isGone: (ReputationEvidence) -> Bool
    ) -> [ReputationEvidence] {
        let items = records[subject] ?? []
        let gone = items.filter(isGone)
        if gone.isEmpty { return [] }
        for item in gone { count(item, isIn: false) }
        let left = items.filter { !isGone($0) }
        if left.isEmpty { records.removeValue(forKey: subject) } else { records[subject] = left }
        return gone
    }

    /// Sets the records of a subject, which is then the one of whom one came last.
    private mutating func replace(_ subject: DID, by kept: [ReputationEvidence]) {
        for item in records[subject] ?? [] { count(item, isIn: false) }
        for item in kept { count(item, isIn: true) }
        records[subject] = nil
        records[subject] = kept
    }

    private mutating func count(_ item: ReputationEvidence, isIn: Bool) {
        let step = isIn ? 1 : -1
        count += step
        guard let pay = item.pay else { return }
        // An amount has 2^53 at most, and a subject 64 records.
        let flow = Flow(payer: item.payer, payee: item.subject, unit: pay.unit)
        let sum = isIn ? flows[flow, default: 0] + pay.amount : flows[flow, default: 0] - pay.amount
        flows[flow] = sum == 0 ? nil : sum
        func stepped(_ number: Int?) -> Int? { (number ?? 0) + step == 0 ? nil : (number ?? 0) + step }
        issuers[pay.issuerDID] = stepped(issuers[pay.issuerDID])
        var paid = payees[item.payer] ?? [:]
        paid[item.subject] = stepped(paid[item.subject])
        payees[item.payer] = paid.isEmpty ? nil : paid
    }

    /// What the records of a subject weigh at a date.
    ///
    /// - Parameters:
    ///   - stake: what the job at hand pays; nil to weigh them as if no more were at stake than was paid.
    ///   - lie: when this node found the newest lie of the subject; what was paid before does not count.
    package func weight(
        of subject: DID, at date: UnixMilliseconds, for stake: Stake?, after lie: UnixMilliseconds?
    ) -> Weight {
        guard let kept = records[subject] else { return Weight(parts: [], total: 0) }
        // What the subject paid is taken off once, from the first payer to whom it leads back.
        var spent: [Flow: UInt64] = [:]
        let parts = Dictionary(grouping: kept, by: \.payer).sorted { $0.key < $1.key }.map { payer, items in
            var shares: [CreditUnit: UInt64] = [:]
            for unit in Set(items.compactMap(\.pay?.unit)).sorted() {
                shares[unit] = keptPermille(from: payer, to: subject, in: unit, &spent)
            }
            let sum = items.reduce(0) { sum, item in
                lie.map { item.at <= $0 } ?? false ? sum : sum + weight(of: item, at: date, for: stake, shares)
            }
            return Weight.Part(
                payer: payer, items: items, weight: min(limits.payerWeightMax, sum),
                keptPermille: shares.values.min() ?? 0)
        }
        return Weight(parts: parts, total: min(limits.weightMax, parts.reduce(0) { $0 + $1.weight }))
    }

    private func weight(
        of item: ReputationEvidence, at date: UnixMilliseconds, for stake: Stake?, _ shares: [CreditUnit: UInt64]
    ) -> UInt64 {
        guard let pay = item.pay else { return 0 }
        let age = date.milliseconds(since: item.at)
        let fresh = Decay.weight(ageMilliseconds: age, halfLifeMilliseconds: limits.halfLifeMilliseconds)
        let weight = fresh * (shares[pay.unit] ?? 0) / 1_000
        guard let stake else { return weight }
        // An issuer's hour is worth what its members make of it.
        guard stake.unit == pay.unit, stake.issuerDID == pay.issuerDID else {
            return weight * limits.incomparablePermille / 1_000
        }
        guard pay.amount < stake.amount else { return weight }
        return UInt64(UInt128(weight) * UInt128(pay.amount) / UInt128(stake.amount))
    }

    /// How much of what a payer paid a subject is not known to have gone back to it, directly or by way of one other,
    /// in thousandths.
    ///
    /// - Parameter spent: what was taken off already of what the subject paid.
    private func keptPermille(
        from payer: DID, to subject: DID, in unit: CreditUnit, _ spent: inout [Flow: UInt64]
    ) -> UInt64 {
        let paid = flows[Flow(payer: payer, payee: subject, unit: unit)] ?? 0
        guard paid > 0 else { return 0 }
        var left = paid
        for other in (payees[subject] ?? [:]).keys.sorted() where left > 0 {
            let out = Flow(payer: subject, payee: other, unit: unit)
            var back = (flows[out] ?? 0) - (spent[out] ?? 0)
            if other != payer { back = min(back, flows[Flow(payer: other, payee: payer, unit: unit)] ?? 0) }
            back = min(back, left)
            left -= back
            if back > 0 { spent[out, default: 0] += back }
        }
        return UInt64(UInt128(left) * 1_000 / UInt128(paid))
    }
}
