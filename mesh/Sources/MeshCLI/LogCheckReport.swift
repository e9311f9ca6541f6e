import Foundation
import MerkleLog
import MeshTypes
import Multiformats
import Receipts
import SignedObjects

/// What checking files of logs showed.
struct LogCheckReport: Codable, Hashable {
    /// The most bytes of a file: more than any proof or head has.
    static let fileBytesMax = 64 << 10

    /// What the files show together, the best first.
    enum Verdict: String, Codable {
        /// Everything in them is so.
        case holds
        /// Whether two heads are of one history is not said.
        case unknown
        /// A file does not verify, or is about something else.
        case fails
        /// Their author signed two histories.
        case contradiction
    }

    /// A file that verifies.
    struct Piece: Codable, Hashable {
        var file: String
        var authorDID: String
        var origin: String
        var size: UInt64
        var root: String
        /// The number of the entry that it proves; nil if it proves none.
        var number: UInt64?
        var entryCID: String?
        var anchors: [String]?
        var recordedAt: UInt64?
        /// How many of the witnesses that the reader named have cosigned the head, when that counts.
        var cosignatures: Int?
        /// By when the head was there, in seconds since 1970, though as many witnesses lie as may; nil if too few say.
        var seenBy: UInt64?

        private enum CodingKeys: String, CodingKey {
            case file, origin, size, root, number, anchors, cosignatures
            case authorDID = "author_did"
            case entryCID = "entry_cid"
            case recordedAt = "recorded_at"
            case seenBy = "seen_by"
        }
    }

    private(set) var verdict = Verdict.holds
    private(set) var files: [Piece] = []
    /// What is wrong, or cannot be told, a sentence each, without full stops.
    private(set) var findings: [String] = []

    /// The exit code.
    var status: ExitStatus {
        switch verdict {
        case .holds: .success
        case .unknown: .verificationIncomplete
        case .fails, .contradiction: .verificationFailed
        }
    }

    /// Notes a file that verifies.
    mutating func add(_ file: String, _ evidence: LogEvidence) {
        var piece = Piece(
            file: file, authorDID: evidence.author.text, origin: evidence.origin.text, size: evidence.head.size,
            root: evidence.head.root.base64)
        if let included = evidence.included {
            piece.number = included.number
            piece.entryCID = included.entry.cid.text
            piece.anchors = included.entry.body.payload.map(\.text)
            piece.recordedAt = included.entry.body.recordedAt.value
        }
        files.append(piece)
        if let place = evidence.contradiction {
            note(.contradiction, "\(evidence.author) signed two histories, as \(file) proves alone: \(place)")
        }
    }

    /// Notes a file that is the proof of two histories.
    mutating func add(_ file: String, fork bytes: [UInt8]) {
        do throws(LogForkError) {
            let fork = try LogFork(verifying: bytes)
            note(.contradiction, "\(fork.author) signed two histories, as \(file) proves: \(fork.place)")
        } catch {
            fail("\(file): \(error)")
        }
    }

    /// Notes what is wrong.
    mutating func fail(_ finding: String) { note(.fails, finding) }

    /// Asks that enough witnesses have cosigned the head in each file, none of them too long ago.
    mutating func require(
        _ wanted: WitnessOptions.Wanted, of read: [(file: String, evidence: LogEvidence)], now: Date
    ) {
        for (index, one) in read.enumerated() { require(wanted, of: index, one.file, one.evidence, now: now) }
    }

    private mutating func require(
        _ wanted: WitnessOptions.Wanted, of index: Int, _ file: String, _ evidence: LogEvidence, now: Date
    ) {
        let seconds = UInt64(max(0, now.timeIntervalSince1970))
        let times = evidence.cosignedAt(by: wanted.keys).compactMap(\.self)
        let good = times.filter { time in
            time <= seconds ? seconds - time <= wanted.ageSecondsMax : time - seconds <= WitnessOptions.aheadSecondsMax
        }
        files[index].cosignatures = good.count
        // Of one more than may lie, one does not.
        files[index].seenBy = good.sorted().dropFirst(wanted.quorum.faulty).first
        guard good.count < wanted.quorum.needed else { return }
        let old = times.count > good.count ? ", and \(times.count - good.count) more at another time than counts" : ""
        fail(
            "\(file): \(good.count) of \(wanted.quorum.count) witnesses have cosigned the head\(old); "
                + "\(wanted.quorum.needed) have to")
    }

    /// Compares each two files of one log.
    mutating func compare(_ read: [(file: String, evidence: LogEvidence)]) {
        for (index, one) in read.enumerated() {
            for other in read[(index + 1)...] {
                switch one.evidence.compared(with: other.evidence) {
                case .consistent: break
                case .otherLogs where one.evidence.author == other.evidence.author:
                    note(
                        .unknown,
                        "\(one.file) and \(other.file) are of two logs of \(one.evidence.author), of two scopes: each "
                            + "may tell another history, and nodes anchor, and witness, in one of them alone")
                case .otherLogs: break
                case .begunAgain:
                    note(
                        .unknown,
                        "\(one.file) and \(other.file) are of two logs of \(one.evidence.author), who began one again "
                            + "in place of the other, as one does after a restoration: what they say of the same time "
                            + "cannot be compared, whoever cosigned both")
                case .unproved:
                    note(
                        .fails,
                        "the proof between \(one.file) and \(other.file) does not lead from one head to the other; the "
                            + "proof of the entry after the smaller one (mesh dag prove at the author) would show "
                            + "whether there are two histories")
                case .unknown:
                    let size = min(one.evidence.head.size, other.evidence.head.size)
                    note(
                        .unknown,
                        "whether \(one.file) and \(other.file) are of one history is not said in them; mesh dag heads "
                            + "--since \(size) at the author prints the proof")
                case .contradiction(let place):
                    note(
                        .contradiction,
                        "\(one.evidence.author) signed two histories, as \(one.file) and \(other.file) prove: \(place)")
                }
            }
        }
    }

    private mutating func note(_ verdict: Verdict, _ finding: String) {
        findings.append(finding)
        let order: [Verdict] = [.holds, .unknown, .fails, .contradiction]
        let (then, now) = (order.firstIndex(of: self.verdict) ?? 0, order.firstIndex(of: verdict) ?? 0)
        if now > then { self.verdict = verdict }
    }

    /// The report for people.
    var text: String {
        var lines: [String] = []
        for piece in files {
            if let number = piece.number, let at = piece.recordedAt {
                lines.append(
                    "\(piece.file): entry \(Readable.count(number)) of the \(Readable.count(piece.size)) in the log "
                        + "\(piece.origin), anchored \(Readable.date(at)) as its author says:")
                lines += (piece.anchors ?? []).map { "  \($0)" }
            } else {
                lines.append(
                    "\(piece.file): the log \(piece.origin) with \(Readable.count(piece.size)) entries, root "
                        + "\(piece.root)")
            }
            if let count = piece.cosignatures, let seconds = piece.seenBy {
                let (milliseconds, isBeyond) = seconds.multipliedReportingOverflow(by: 1_000)
                lines.append(
                    "  cosigned by \(count) of the witnesses; it was there by "
                        + "\(Readable.date(isBeyond ? .max : milliseconds))")
            }
        }
        lines += findings.map { "\($0.prefix(1).uppercased())\($0.dropFirst())." }
        if verdict == .holds { lines.append(files.count == 1 ? "It verifies." : "They verify.") }
        return Terminal.safeLines(lines.joined(separator: "\n") + "\n")
    }
}
