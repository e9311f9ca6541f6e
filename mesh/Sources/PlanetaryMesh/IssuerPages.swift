import Credit
import MerkleLog
import Multiformats
import NodeAPI
import SignedObjects

/// What an issuer shows in pages: asked for one after the other, no faster than an issuer answers, and no longer than
/// its time. However little it shows in each, it keeps nobody waiting for ever.
struct IssuerPages {
    private let issuer: KnownIssuer
    private let member: MemberDesk
    private let end: ContinuousClock.Instant
    private var count = 0

    private var limits: MemberDesk.Limits { member.limits }

    /// The pages of an issuer under the head that is known of it; their time begins now.
    init(of issuer: KnownIssuer, for member: MemberDesk) {
        (self.issuer, self.member) = (issuer, member)
        end = .now + .milliseconds(member.limits.pagesMilliseconds)
    }

    /// Asks for one more page; waits before, where many were asked for, as an issuer does not answer who asks too fast.
    private mutating func answer(_ question: CreditQuestion) async throws(NodeServiceError) -> CreditAnswer {
        count += 1
        if count > limits.pagesAtOnceMax { try? await Task.sleep(for: .milliseconds(limits.pageMilliseconds)) }
        guard ContinuousClock.now < end, !Task.isCancelled else {
            throw NodeServiceError(
                .peerUnreachable,
                "The issuer shows its book too slowly: after \(limits.pagesMilliseconds / 1_000) s and \(count - 1) "
                    + "pages some are missing.",
                hint: "Try again later, and tell its officers.")
        }
        return try await member.answer(of: issuer.charter.did, to: question)
    }

    private mutating func ask(_ question: CreditQuestion) async throws(NodeServiceError) -> CreditAnswer {
        try member.taken(try await answer(question))
    }

    /// The commitments of all entries.
    mutating func commitments() async throws(NodeServiceError) -> [[UInt8]] {
        var found: [[UInt8]] = []
        let (length, size) = (EntryOpening.commitmentBytes, issuer.head.size)
        while UInt64(found.count) < size {
            let question = CreditQuestion.commitments(from: UInt64(found.count), size: size)
            guard case .commitments(let bytes) = try await ask(question), !bytes.isEmpty,
                bytes.count % length == 0, UInt64(found.count + bytes.count / length) <= size
            else { throw MemberDesk.faulty("it does not show the commitments from \(found.count) on") }
            for start in stride(from: 0, to: bytes.count, by: length) {
                found.append(Array(bytes[start..<start + length]))
            }
        }
        return found
    }

    /// All entries, or those of this node alone, if it is no auditor.
    mutating func openings() async throws(NodeServiceError) -> [(number: UInt64, opening: EntryOpening)] {
        var (found, bytes, next) = ([(number: UInt64, opening: EntryOpening)](), 0, UInt64(0))
        while next < issuer.head.size {
            let answer = try await answer(.openings(from: next, size: issuer.head.size))
            if case .refused(.notForYou, _) = answer { return try await ownOpenings() }
            if case .refused(_, let text) = answer {
                throw MemberDesk.faulty("it does not show entry \(next): \(text.cut(bytesMax: limits.textBytesMax))")
            }
            guard case .entries(let page, _) = answer, !page.isEmpty else {
                throw MemberDesk.faulty("it does not show entry \(next)")
            }
            for opened in page {
                guard opened.number == next else { throw MemberDesk.faulty("it does not show entry \(next)") }
                bytes += opened.opening.entry.count
                guard bytes <= limits.auditBytesMax else {
                    throw NodeServiceError(.tooLarge, "An audit has at most \(limits.auditBytesMax) bytes of entries.")
                }
                found.append((next, opened.opening))
                next += 1
            }
        }
        return found
    }

    private mutating func ownOpenings() async throws(NodeServiceError) -> [(number: UInt64, opening: EntryOpening)] {
        var (found, next, isMore, bytes) = ([(number: UInt64, opening: EntryOpening)](), UInt64(0), true, 0)
        while isMore, next < issuer.head.size, found.count < limits.statementEntriesMax {
            guard case .entries(let page, let more) = try await ask(.statement(from: next, size: issuer.head.size))
            else { throw MemberDesk.faulty("its answer is another one") }
            for opened in page {
                guard opened.number >= next else { throw MemberDesk.faulty("its entries are out of order") }
                found.append((opened.number, opened.opening))
                next = opened.number == .max ? .max : opened.number + 1
                bytes += opened.opening.entry.count
            }
            guard bytes <= limits.statementBytesMax else {
                throw NodeServiceError(
                    .tooLarge, "A check of one's own entries has at most \(limits.statementBytesMax) bytes of them.")
            }
            isMore = more && !page.isEmpty
        }
        return found
    }

    /// This node's entries from a number on, each proved under the head.
    mutating func entries(
        from start: UInt64, limit: Int?, where isWanted: (BookEntry) -> Bool
    ) async throws(NodeServiceError) -> [BookEntry] {
        var (entries, next, isMore, bytes) = ([BookEntry](), start, true, 0)
        while isMore, next < issuer.head.size, entries.count < limit ?? .max {
            guard case .entries(let page, let more) = try await ask(.statement(from: next, size: issuer.head.size))
            else { throw MemberDesk.faulty("its answer is another one") }
            for opened in page {
                guard opened.number >= next, let entry = opened.entry(under: issuer.head) else {
                    throw MemberDesk.faulty("it does not prove that entry \(opened.number) is in its log")
                }
                next = opened.number + 1
                guard isWanted(entry) else { continue }
                entries.append(entry)
                bytes += opened.opening.entry.count
            }
            isMore = more && !page.isEmpty
            guard entries.count <= limits.statementEntriesMax, bytes <= limits.statementBytesMax else {
                throw NodeServiceError(
                    .tooLarge,
                    "A statement has up to \(limits.statementEntriesMax) entries of \(limits.statementBytesMax) bytes.")
            }
        }
        return entries
    }
}
