package import PeerIdentity

/// The head of a named log, as it is signed. Source: c2sp.org/tlog-checkpoint.
package struct Checkpoint: Sendable {
    /// Which log.
    package let origin: String
    /// Its size and root.
    package let head: TreeHead

    /// The head of a log; nil if no line could hold its name.
    package init?(origin: String, head: TreeHead) {
        guard NoteKey.isName(origin) else { return nil }
        self.origin = origin
        self.head = head
    }

    /// The checkpoint of a note's text, whatever its root is; nil if it is none. Lines of extensions, which nobody here
    /// signs, are not taken.
    package init?(text: String) {
        let lines = text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false)
        guard lines.count == 4, lines[3].isEmpty, let origin = String(lines[0]), let sizeText = String(lines[1]),
            let rootText = String(lines[2]), let size = PlainNumber.read(sizeText), size <= MerkleTree.sizeMax,
            let root = MerkleHash(base64: rootText)
        else { return nil }
        self.init(origin: origin, head: TreeHead(size: size, root: root))
    }

    /// The three lines that are signed.
    package var text: String { "\(origin)\n\(head.size)\n\(head.root.base64)\n" }

    /// The note of the log itself, which signs under its own name.
    package func signed(with identity: Identity) throws(SigningError) -> SignedNote {
        guard let key = NoteKey(name: origin, kind: .note, publicKey: identity.publicKey) else {
            preconditionFailure("an origin that no note could name")
        }
        let signature = try identity.sign(Array(text.utf8))
        return SignedNote(text: text, signatures: [.init(by: key, signature)])
    }

    /// Whether a note is this checkpoint, signed by its log's key.
    package static func verified(_ note: SignedNote, by key: PublicKey) -> Checkpoint? {
        guard let checkpoint = Checkpoint(text: note.text), checkpoint.head.isPossible,
            let own = NoteKey(name: checkpoint.origin, kind: .note, publicKey: key), note.isSigned(by: own) == true
        else { return nil }
        return checkpoint
    }
}

/// Numbers as C2SP writes them: decimal digits of ASCII, without a leading zero.
package enum PlainNumber {
    /// The number of its text; nil if that is none.
    package static func read(_ text: String) -> UInt64? {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
            text.utf8.count == 1 || text.utf8.first != 0x30
        else { return nil }
        return UInt64(text)
    }
}
