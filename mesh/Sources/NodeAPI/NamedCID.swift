/// A name and the CID of what it names, in lists whose order matters: an input or an output of a job.
package struct NamedCID: Hashable, Sendable, Codable {
    /// The name.
    package var name: String
    /// The CID.
    package var cid: String

    /// A pair.
    package init(name: String, cid: String) {
        self.name = name
        self.cid = cid
    }

    /// Reads a pair; earlier versions called the CID `text`.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        name = try container.decode(String.self, forKey: .name)
        cid =
            try container.decodeIfPresent(String.self, forKey: .cid) ?? container.decode(String.self, forKey: .text)
    }

    /// Writes a pair.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(cid, forKey: .cid)
    }

    private enum CodingKeys: String, CodingKey {
        case name, cid, text
    }
}
