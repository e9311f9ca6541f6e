import MerkleLog
package import Multiformats
package import SignedObjects

/// A proof, to anybody, that an author told two histories of one log: a piece of evidence that contradicts itself, or
/// two that contradict each other. It is a text that is checked without a network (PROTOCOL.md, "Logs").
package struct LogFork: Hashable, Sendable {
    /// The most bytes of one piece of evidence.
    package static let pieceBytesMax = 16 << 10
    /// The most bytes of a proof.
    package static let bytesMax = 2 * pieceBytesMax + 64
    /// What the first line begins with; behind it stand the lengths of the two pieces.
    private static let header = "icn-mesh/log-fork@v1 "

    /// Who told two histories.
    package let author: DID
    /// The name of the log.
    package let origin: ExactText
    /// A head or proof, as `LogEvidence` reads it.
    package let first: [UInt8]
    /// The one that contradicts it; empty if the first contradicts itself.
    package let second: [UInt8]
    /// Where the histories part, a clause.
    package let place: String

    /// The proof that two pieces of evidence are; nil if they do not contradict each other, or if a head has lines
    /// of others than its author, which prove nothing.
    package init?(_ first: [UInt8], _ second: [UInt8] = []) {
        guard max(first.count, second.count) <= Self.pieceBytesMax, let one = try? LogEvidence(verifying: first),
            one.isSignedAlone
        else { return nil }
        if second.isEmpty {
            guard let place = one.contradiction else { return nil }
            self.place = place
        } else {
            guard let other = try? LogEvidence(verifying: second), other.isSignedAlone,
                case .contradiction(let place) = one.compared(with: other)
            else { return nil }
            self.place = place
        }
        (author, origin, self.first, self.second) = (one.author, one.origin, first, second)
    }

    /// Reads a proof, and checks it.
    package init(verifying bytes: [UInt8]) throws(LogForkError) {
        guard bytes.count <= Self.bytesMax, Self.isFork(bytes), let end = bytes.firstIndex(of: 0x0A) else {
            throw .unreadable
        }
        let words = bytes[Self.header.utf8.count..<end].split(separator: 0x20, omittingEmptySubsequences: false)
        let lengths = words.compactMap { PlainNumber.read(String(decoding: $0, as: UTF8.self)) }
        let rest = bytes[(end + 1)...]
        guard words.count == 2, lengths.count == 2, lengths.allSatisfy({ $0 <= Self.pieceBytesMax }),
            lengths[0] + lengths[1] == rest.count
        else { throw .unreadable }
        guard let fork = LogFork(Array(rest.prefix(Int(lengths[0]))), Array(rest.dropFirst(Int(lengths[0])))) else {
            throw .noContradiction
        }
        self = fork
    }

    /// Whether a file says that it is such a proof.
    package static func isFork(_ bytes: [UInt8]) -> Bool { bytes.starts(with: header.utf8) }

    /// The proof as it is stored and sent.
    package var bytes: [UInt8] { Array("\(Self.header)\(first.count) \(second.count)\n".utf8) + first + second }
}

/// Why a file is no proof of two histories.
package enum LogForkError: Error, Hashable, Sendable {
    /// It does not read, or is too long.
    case unreadable
    /// Its evidence does not verify, or may be of one history.
    case noContradiction
}

extension LogForkError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .unreadable: "it is no proof of two histories as mesh dag forks prints it"
        case .noContradiction: "what it has of the log does not verify, or may be of one history"
        }
    }
}
