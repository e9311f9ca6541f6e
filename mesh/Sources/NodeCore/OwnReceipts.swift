package import Multiformats

/// The receipts that a node has signed, from the newest to the oldest, and the end of the chain they form.
///
/// The store names the last one. If an older version ran in between, the chain continues from there; if no version
/// recorded it, the last one is the newest that no other receipt follows.
package struct OwnReceipts: Sendable {
    private let last: CID?
    private var order: [CID] = []
    private var followers: [CID: CID] = [:]

    /// An empty chain that ends with the receipt the store names.
    package init(last: CID?) {
        self.last = last
    }

    /// Takes the next older receipt.
    package mutating func add(_ cid: CID, after previous: CID?) {
        order.append(cid)
        if let previous, followers[previous] == nil { followers[previous] = cid }
    }

    /// The receipt that the next one follows; nil when there is none.
    package var tip: CID? {
        guard var tip = last else { return order.first { followers[$0] == nil } }
        var seen: Set<CID> = [tip]
        while let next = followers[tip], seen.insert(next).inserted { tip = next }
        return tip
    }
}
