/// Which life of an issuer writes its book: each start of its node begins a term that is later than all before, so that
/// of two copies of a home one writes, and the other hears that it does not any more. Source: PROTOCOL.md, "Replicas
/// of a book".
package struct BookTerm: Hashable, Sendable, Codable, Comparable {
    /// The length of what tells two lives with one number apart.
    package static let lifeBytes = 16

    /// Counts up from one start to the next.
    package var number: UInt64
    /// Random bytes of this start.
    package var life: [UInt8]

    package init(number: UInt64, life: [UInt8]) {
        self.number = number
        self.life = life
    }

    /// Whether it is one that there can be.
    package var isPossible: Bool { number > 0 && number < 1 << 53 && life.count == Self.lifeBytes }

    package static func < (left: BookTerm, right: BookTerm) -> Bool {
        left.number == right.number
            ? left.life.lexicographicallyPrecedes(right.life) : left.number < right.number
    }
}

/// An entry of a book as its replicas keep it: what the log says of it, and the entry, which the issuer alone can read.
package struct ReplicaEntry: Hashable, Sendable, Codable {
    /// The most bytes of the sealed entry.
    package static let sealedBytesMax = BookEntry.bytesMax + BookSeal.addedBytes

    /// The term in which it was sealed.
    package var term: BookTerm
    /// The leaf of the log.
    package var commitment: [UInt8]
    /// The entry, sealed (`BookSeal`).
    package var sealed: [UInt8]

    package init(term: BookTerm, commitment: [UInt8], sealed: [UInt8]) {
        self.term = term
        self.commitment = commitment
        self.sealed = sealed
    }

    /// Whether it is one that there can be.
    package var isPossible: Bool {
        term.isPossible && commitment.count == EntryOpening.commitmentBytes && sealed.count <= Self.sealedBytesMax
    }
}

/// Entries of a book that follow each other.
package struct ReplicaBatch: Hashable, Sendable, Codable {
    /// The bounds of a batch.
    package enum Limits {
        /// The most entries.
        package static let entriesMax = 256
        /// The most bytes of sealed entries; it has one entry at least.
        package static let bytesMax = 524_288
    }

    /// The number of the first one.
    package var start: UInt64
    /// The entries.
    package var entries: [ReplicaEntry]

    package init(start: UInt64, entries: [ReplicaEntry]) {
        self.start = start
        self.entries = entries
    }

    /// The number of the entry behind the last one.
    package var end: UInt64 { start + UInt64(entries.count) }

    /// The term of its entries, if it is of one; nil where it has none.
    package var term: BookTerm? { entries.first?.term }

    /// Whether no two of its entries are of different terms.
    package var isOfOneTerm: Bool { entries.allSatisfy { $0.term == term } }

    /// Whether it is one that there can be.
    package var isPossible: Bool {
        let bytes = entries.reduce(0) { $0 + $1.sealed.count }
        return start < 1 << 53 && entries.count <= Limits.entriesMax && entries.allSatisfy(\.isPossible)
            && (entries.count <= 1 || bytes <= Limits.bytesMax)
    }
}

/// What an issuer asks the witnesses of its charter to keep of its book, over `/icn/mesh/replica/1.0.0`. It is known by
/// its key. Source: PROTOCOL.md, "Replicas of a book".
package enum ReplicaQuestion: Hashable, Sendable, Codable {
    /// The most bytes of a question: one entry of the longest, a charter and a head.
    package static let bytesMax = 4_194_304

    /// Takes nothing of an earlier term any more, and tells what it has.
    case promise(term: BookTerm, charter: [UInt8])
    /// Keeps a batch behind all that has a head, in the place of what it kept there before; with the newest head, which
    /// what it was given last may lead to.
    case propose(term: BookTerm, head: [UInt8]?, batch: ReplicaBatch)
    /// Keeps entries that lead to a head.
    case fill(head: [UInt8], batch: ReplicaBatch)
    /// Entries that have a head, from a number on.
    case kept(from: UInt64)
}

/// What a witness answers.
package enum ReplicaAnswer: Hashable, Sendable, Codable {
    /// The most bytes of an answer.
    package static let bytesMax = 4_194_304

    /// It does not do that: why, by a stable name and for people.
    case refused(reason: Reason, text: String)
    /// It promised. The newest head that it has, and what it was given behind that.
    case promised(head: [UInt8]?, batch: ReplicaBatch?)
    /// It promised a later term.
    case superseded(term: BookTerm)
    /// The batch is on its disk.
    case accepted
    /// It has so many entries with a head, and wants what follows them first.
    case behind(size: UInt64)
    /// Entries, and whether there are more behind them.
    case entries(batch: ReplicaBatch, more: Bool)

    /// Why a witness refuses.
    package enum Reason: String, Hashable, Sendable, Codable {
        /// It is no witness of this issuer.
        case notForYou = "not_for_you"
        /// What it was given does not hold.
        case invalid
        /// It has another history, which the issuer signed as well.
        case contradicts
        /// It has as much as it may, or cannot write.
        case full
        /// Its home was restored from a backup, so it may have forgotten what it promised.
        case restored
    }
}
