package import PeerIdentity

/// Whether a witness takes a checkpoint that is handed to it. Source: c2sp.org/tlog-witness, "add-checkpoint".
package enum WitnessRule {
    /// Why it does not.
    package enum Refusal: Error, Hashable, Sendable {
        /// The request is not as it has to be.
        case malformed
        /// The witness does not know the log.
        case unknownLog
        /// The log's key did not sign the checkpoint.
        case notSigned
        /// The proof begins at another size than that of the head that the witness has, which this is.
        case otherSize(UInt64)
        /// The checkpoint is not proved to continue the head that the witness has.
        case inconsistent

        /// The status of the answer in HTTP.
        package var status: Int {
            switch self {
            case .malformed: 400
            case .notSigned: 403
            case .unknownLog: 404
            case .otherSize: 409
            case .inconsistent: 422
            }
        }
    }

    /// The checkpoint of a request, which has to be stored before it is cosigned.
    ///
    /// - Parameters:
    ///   - key: the key of a log by its name; nil for one that is not known.
    ///   - latest: the head of a log that was cosigned last; nil before the first.
    package static func accepted(
        _ request: LogGrowth, key: (String) -> PublicKey?, latest: (String) -> TreeHead?
    ) throws(Refusal) -> Checkpoint {
        guard let checkpoint = Checkpoint(text: request.note.text) else { throw .malformed }
        guard let key = key(checkpoint.origin) else { throw .unknownLog }
        guard let own = NoteKey(name: checkpoint.origin, kind: .note, publicKey: key),
            request.note.isSigned(by: own) == true
        else { throw .notSigned }
        guard request.oldSize <= checkpoint.head.size else { throw .malformed }
        let known = latest(checkpoint.origin) ?? TreeHead(MerkleTree())
        guard request.oldSize == known.size else { throw .otherSize(known.size) }
        guard checkpoint.head.extends(known, proof: request.hashes) else { throw .inconsistent }
        return checkpoint
    }
}

extension WitnessRule.Refusal: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .malformed: "this is no request of c2sp.org/tlog-witness about a log that has grown"
        case .unknownLog: "this witness knows no such log"
        case .notSigned: "the log's key did not sign it"
        case .otherSize(let size): "the proof has to begin at the \(size) entries that this witness has cosigned"
        case .inconsistent: "it is not proved to continue the one that this witness has"
        }
    }
}

/// A witness that a log hands its checkpoints to, or that a reader trusts: its key, and where it is.
package struct WitnessEntry: Sendable {
    /// The key that it cosigns with.
    package let key: NoteKey
    /// The address under which `add-checkpoint` is: `http://host:port/prefix`.
    package let url: String?

    /// The most bytes of the text.
    package static let textBytesMax = 1_024
    /// The most witnesses of a log, whose cosignatures a proof still has room for.
    package static let countMax = 16

    /// Where a witness is asked.
    package struct Place: Hashable, Sendable {
        /// The name or number of the machine, without brackets.
        package let host: String
        /// The TCP port.
        package let port: Int
        /// What its paths begin with, without a slash at the end.
        package let prefix: String
    }

    /// The place in its address; nil if it has none, or one that is not asked over HTTP without TLS: what comes from a
    /// witness is signed, and what goes to it is public.
    package var place: Place? {
        guard let url, url.hasPrefix("http://"), url.utf8.allSatisfy({ (0x21...0x7E).contains($0) }),
            !url.contains("?"), !url.contains("#"), !url.contains("@")
        else { return nil }
        let rest = url.dropFirst(7)
        let authority = rest.prefix { $0 != "/" }
        var prefix = String(rest.dropFirst(authority.count))
        while prefix.hasSuffix("/") { prefix.removeLast() }
        var (host, port) = (String(authority), 80)
        if let colon = authority.lastIndex(of: ":"), authority.last != "]" {
            guard let number = PlainNumber.read(String(authority[authority.index(after: colon)...])),
                (1...65_535).contains(number)
            else { return nil }
            (host, port) = (String(authority[..<colon]), Int(number))
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        return host.isEmpty ? nil : Place(host: host, port: port, prefix: prefix)
    }

    /// The witness of a text: its key as C2SP writes it (`vkey`), and behind a space its address, if it has one. Nil if
    /// it is none, or the key is not one of cosignatures.
    package init?(text: String) {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        guard text.utf8.count <= Self.textBytesMax, (1...2).contains(parts.count),
            let key = NoteKey(text: String(parts[0])), key.kind == .cosignature
        else { return nil }
        self.key = key
        url = parts.count == 2 ? String(parts[1]) : nil
    }
}

/// How many of a reader's witnesses have to have cosigned a head, that no two heads of one size can both have so many.
package struct WitnessQuorum: Hashable, Sendable {
    /// The witnesses.
    package let count: Int
    /// How many of them may be in league with the log.
    package let faulty: Int
    /// How many have to have cosigned.
    package let needed: Int

    /// A quorum; nil if two quorums could have no honest witness in common, or there are not so many.
    package init?(of count: Int, faulty: Int, needed: Int) {
        // Subtracted, since a sum of what somebody typed may not be a number.
        guard count > 0, (0..<count).contains(faulty), (1...count).contains(needed), needed - faulty > count - needed
        else { return nil }
        (self.count, self.faulty, self.needed) = (count, faulty, needed)
    }

    /// The least quorum that holds where fewer than a third are in league with the log.
    package init?(of count: Int) {
        guard count > 0 else { return nil }
        let faulty = (count - 1) / 3
        self.init(of: count, faulty: faulty, needed: (count + faulty) / 2 + 1)
    }
}
