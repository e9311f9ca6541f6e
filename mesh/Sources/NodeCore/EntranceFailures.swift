import OrderedCollections

/// Which failed dials of its bootstrap addresses a node tells in its log: of each address the first in a row, then the
/// second, the fourth, the eighth and so on, so that the pauses between the lines grow.
package struct EntranceFailures: Sendable {
    /// The bounds.
    package struct Limits: Sendable {
        /// Addresses that are counted; of further ones nothing is told.
        package var addressesMax = 64

        package init() {}
    }

    private let limits: Limits
    private var failures: OrderedDictionary<String, UInt64> = [:]

    /// No address has failed.
    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Notes a dial that failed; returns how often that happened in a row if it is to be told.
    package mutating func failed(_ address: String) -> UInt64? {
        guard failures[address] != nil || failures.count < limits.addressesMax else { return nil }
        let count = (failures[address] ?? 0).addingReportingOverflow(1).partialValue
        failures[address] = count
        return count > 0 && count & (count - 1) == 0 ? count : nil
    }

    /// Notes an address that answered.
    package mutating func answered(_ address: String) { failures[address] = nil }
}
