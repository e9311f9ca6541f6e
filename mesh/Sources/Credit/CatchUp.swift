import MeshTypes
package import Multiformats
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
        // BOUNDED: by the witnesses of a charter.
        var given: [Given] = []
        let block: [UInt8]
        /// What a thing like it is about comes before: claims, disputes, decisions.
        let rank: Int
    }

    /// That a witness was given an object.
    private struct Given {
        let witness: DID
        let date: UnixMilliseconds
        let statement: [UInt8]
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
            var known = found[cid] ?? Found(date: date, block: object.object, rank: Self.rank(of: object))
            known.date = min(known.date, date)
            known.given.removeAll { $0.witness == witness }
            known.given.append(Given(witness: witness, date: date, statement: object.statement))
            found[cid] = known
        }
        return nil
    }

    /// How many reports count.
    package var reportCount: Int { reports.count }

    /// The objects that the book lacks, in the order in which they can be booked: what is about a claim comes after it.
    package func missing(in book: IssuerBook) -> [CID] {
        found.filter { !book.hasTaken($0.key) }.sorted { left, right in
            (left.value.rank, left.value.date, left.key) < (right.value.rank, right.value.date, right.key)
        }.map(\.key)
    }

    /// The events that would have an object booked as the book is now, of which one has to be taken; none if it refuses
    /// the object. The hold is the one that the book says, whatever certificate it was lodged by.
    package func events(for object: CID, in book: IssuerBook) -> [BookEvent] {
        guard let found = found[object] else { return [] }
        return found.given.sorted { $0.date < $1.date }.compactMap { given in
            book.wanting(found.block, lodgedAt: given.date, with: given.witness).flatMap {
                BookEvent(found.block, for: $0, lodging: given.statement)
            }
        }
    }

    private static func rank(of object: LodgedObject) -> Int {
        switch BookEvent(object.object, for: object.hold, lodging: object.statement) {
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
