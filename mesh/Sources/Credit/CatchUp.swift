import MeshTypes
import Multiformats
package import SignedObjects

/// What an issuer does with the reports of its charter's witnesses: first it books what they were given, then that it
/// has caught up.
package struct CatchUp: Sendable {
    /// When an issuer asks for reports.
    package struct Limits: Hashable, Sendable {
        /// How long it waits after it caught up while something is held, in milliseconds.
        package var heldMilliseconds: UInt64 = 150_000
        /// The same while nothing is; less than `IssuerBook.Limits.caughtUpMillisecondsMax`.
        package var idleMilliseconds: UInt64 = 450_000
        /// How long after a date at which time decides it asks, in milliseconds, so that witnesses are past it.
        package var dateMilliseconds: UInt64 = 2_000

        /// The standard times.
        package init() {}
    }

    /// An object that witnesses were given.
    private struct Found {
        /// When the first of them was.
        var date: UnixMilliseconds
        /// What would have it booked, one for each witness, with the first one first.
        var events: [(date: UnixMilliseconds, event: BookEvent?)]
        let block: [UInt8]
    }

    private let issuer: DID
    private let witnesses: [DID]
    private let from: UnixMilliseconds
    /// The reports that hold, by their witnesses.
    private var reports: [DID: [UInt8]] = [:]
    // BOUNDED: by `WitnessReport.lodgedMax` and the witnesses of a charter.
    private var found: [CID: Found] = [:]

    /// The catching up of a book as it is now.
    package init(_ book: IssuerBook) {
        (issuer, witnesses, from) = (book.issuer, book.charter.witnesses, book.caughtUpUntil)
    }

    /// Takes a witness's answer; returns why it does not count, or nil if it does.
    ///
    /// An object whose block does not come stays what the report names and the book lacks, so that the report counts
    /// until just before it.
    package mutating func take(_ answer: WitnessReply, of witness: DID) -> String? {
        guard case .report(let block, let objects) = answer else {
            if case .refused(_, let text) = answer { return text }
            return "It answers something else."
        }
        guard witnesses.contains(witness), let report = try? SignedObject<WitnessReport>(reading: block),
            report.did == witness, report.body.issuerDID == issuer, report.body.from <= from
        else { return "Its report does not hold." }
        reports[witness] = block
        let dates = Dictionary(
            report.body.lodged.map { ($0.objectCID, $0.lodgedAt) }, uniquingKeysWith: { first, _ in first })
        for object in objects.prefix(WitnessReport.lodgedMax) {
            let cid = CID.hashing(object.object, codec: .dagCBOR)
            guard let date = dates[cid], object.object.count <= HoldClaim.bytesMax else { continue }
            var known = found[cid] ?? Found(date: date, events: [], block: object.object)
            known.date = min(known.date, date)
            known.events.append((date, BookEvent(object)))
            found[cid] = known
        }
        return nil
    }

    /// How many reports count.
    package var reportCount: Int { reports.count }

    /// The objects that the book lacks, in the order in which they can be booked: what a claim is about comes after it.
    /// Each with the events that would have it booked, of which one has to be taken.
    package func wanted(by book: IssuerBook) -> [[BookEvent]] {
        found.filter { !book.hasTaken($0.key) }.sorted { left, right in
            (Self.rank(left.value), left.value.date, left.key) < (Self.rank(right.value), right.value.date, right.key)
        }.map { _, object in
            object.events.sorted { $0.date < $1.date }.compactMap(\.event)
        }
    }

    private static func rank(_ object: Found) -> Int {
        switch object.events.first?.event {
        case .claimLodged: 0
        case .claimDisputed: 1
        default: 2
        }
    }

    /// That the book has caught up, with what it refuses of the objects, those first that came first: what has no room
    /// comes with a later one.
    package func event(for book: IssuerBook) -> BookEvent {
        var (refused, bytes) = ([[UInt8]](), 0)
        let left = found.filter { !book.hasTaken($0.key) }.sorted { ($0.value.date, $0.key) < ($1.value.date, $1.key) }
        for (_, object) in left {
            bytes += object.block.count
            guard refused.count < WitnessReport.lodgedMax, bytes <= WitnessReport.refusedBytesMax else { break }
            refused.append(object.block)
        }
        return .caughtUp(reports: reports.sorted { $0.key < $1.key }.map(\.value), refused: refused)
    }
}
