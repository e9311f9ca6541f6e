/// What a node does for logs of others as their witness, and what it lets witnesses do for its own.
///
/// The seam between the node and what speaks HTTP for it. Source: c2sp.org/tlog-witness.
package protocol LogWitness: Sendable {
    /// Answers `add-checkpoint`.
    func addCheckpoint(_ request: [UInt8]) async -> WitnessAnswer
    /// The newest checkpoint that this node cosigned of the log whose name has a hash (SHA-256, hexadecimal).
    func witnessedCheckpoint(ofOriginHash hash: String) async -> WitnessAnswer
    /// The key with which this node cosigns (C2SP's `vkey`).
    func witnessKey() async throws(NodeServiceError) -> WitnessKeyView

    /// The signed head of this node's log.
    func logHead(since size: UInt64?) async throws(NodeServiceError) -> LogHeadView
    /// A head of this node's log behind the proof that it continues an earlier one: what a witness is asked with.
    func logHead(of size: UInt64, since earlier: UInt64) async throws(NodeServiceError) -> LogHeadView
    /// The head of this node's log that a witness cosigned last; the empty one before the first.
    func headCosigned(by witness: String) async throws(NodeServiceError) -> CosignedHead
    /// Keeps what a witness answered about a head; refused if no line of it is a cosignature by the witness's key.
    func keep(_ lines: [UInt8], by witness: String, of head: LogHeadView) async throws(NodeServiceError)
}

/// What a witness cosigned last of this node's log.
package struct CosignedHead: Hashable, Sendable {
    /// The size of the head.
    package var size: UInt64
    /// Whether the cosignature is so new that it need not be made again.
    package var isFresh: Bool

    package init(size: UInt64, isFresh: Bool) { (self.size, self.isFresh) = (size, isFresh) }
}

/// A witness of this node's log, and where it is asked.
package struct WitnessAddress: Hashable, Sendable {
    /// The name in its key.
    package var name: String
    /// Its key (C2SP's `vkey`).
    package var key: String
    /// The name or number of its machine.
    package var host: String
    /// Its TCP port.
    package var port: Int
    /// What the paths of its requests begin with, without a slash at the end.
    package var prefix: String

    package init(name: String, key: String, host: String, port: Int, prefix: String) {
        self.name = name
        self.key = key
        self.host = host
        self.port = port
        self.prefix = prefix
    }
}

/// An answer of a witness, as HTTP carries it.
package struct WitnessAnswer: Hashable, Sendable {
    /// The status.
    package var status: Int
    /// The media type of the body.
    package var type: String
    /// The body.
    package var body: [UInt8]

    package init(_ status: Int, _ body: [UInt8], type: String = "text/plain; charset=utf-8") {
        (self.status, self.type, self.body) = (status, type, body)
    }
}

/// How others find and trust a node as a witness.
package struct WitnessKeyView: Hashable, Sendable, Codable {
    /// The key with which it cosigns (C2SP's `vkey`).
    package var key: String
    /// Whose logs it witnesses, by DID; nobody's means that it is no witness.
    package var authors: [String]

    package init(key: String, authors: [String]) {
        self.key = key
        self.authors = authors
    }
}

/// What a witness said of a head that has an entry.
package struct CosignatureView: Hashable, Sendable, Codable {
    /// The name of the witness.
    package var witness: String
    /// The size of the first such head that it cosigned.
    package var size: UInt64
    /// When, in seconds since 1970, as the witness says: the entry was there.
    package var seconds: UInt64

    package init(witness: String, size: UInt64, seconds: UInt64) {
        self.witness = witness
        self.size = size
        self.seconds = seconds
    }
}
