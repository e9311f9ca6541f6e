package import Multiformats

/// A node of the DAG-PB format: bytes and links in a fixed order, the shape of files in IPFS.
///
/// Source: https://ipld.io/specs/codecs/dag-pb/spec/. Links are written before the data, names are always written, and
/// what would not re-encode to the same bytes is refused.
package struct DAGPBNode: Hashable, Sendable {
    /// One link of a node.
    package struct Link: Hashable, Sendable {
        /// The block that the link names.
        package let cid: CID
        /// The bytes of the link's name, UTF-8 in nearly every block; none in files.
        package let name: [UInt8]
        /// Bytes of the linked block and all below it, as its writer says.
        package let totalBytes: UInt64

        /// A link to `cid`.
        package init(cid: CID, name: [UInt8] = [], totalBytes: UInt64) {
            self.cid = cid
            self.name = name
            self.totalBytes = totalBytes
        }
    }

    /// The most links that a node of a file may have when it is decoded.
    package static let linksMax = 2048

    /// The links, in order.
    package let links: [Link]
    /// The data; `nil` when the field is absent.
    package let data: [UInt8]?

    /// A node of links and data.
    package init(links: [Link], data: [UInt8]?) {
        self.links = links
        self.data = data
    }

    /// The bytes of the node.
    package func encoded() -> [UInt8] {
        var writer = ProtobufWriter()
        for link in links {
            writer.message(2) { nested in
                nested.bytes(1, link.cid.bytes)
                nested.bytes(2, link.name)
                nested.varint(3, link.totalBytes)
            }
        }
        if let data { writer.bytes(1, data) }
        return writer.bytes
    }

    /// The node in `bytes`; throws if they are not one, have more than `linksMax` links, or are not in canonical form.
    package init(decoding bytes: [UInt8], linksMax: Int = Self.linksMax) throws(DAGPBError) {
        var links: [Link] = []
        var data: [UInt8]?
        do {
            var reader = ProtobufReader(bytes, maxFields: linksMax + 1)
            while let field = try reader.next() {
                switch (field.number, field.slice) {
                case (2, let slice?) where data == nil: links.append(try Self.link(slice))
                case (1, let slice?) where data == nil: data = Array(slice)
                default: throw DAGPBError.unexpectedField(field.number)
                }
            }
        } catch let error as DAGPBError {
            throw error
        } catch let error as ProtobufError {
            throw .malformed(error)
        } catch {
            throw .notCanonical
        }
        self.init(links: links, data: data)
        if encoded() != bytes { throw .notCanonical }
    }

    private static func link(_ bytes: ArraySlice<UInt8>) throws -> Link {
        var cid: CID?
        var name: [UInt8] = []
        var total: UInt64 = 0
        var reader = ProtobufReader(bytes, maxFields: 3)
        while let field = try reader.next() {
            switch field.number {
            case 1: cid = try field.bytes.map { bytes throws in try Self.linkedCID(bytes) }
            case 2: name = field.bytes ?? []
            case 3: total = field.varint ?? 0
            default: throw DAGPBError.unexpectedField(field.number)
            }
        }
        guard let cid else { throw DAGPBError.linkWithoutCID }
        return Link(cid: cid, name: name, totalBytes: total)
    }

    private static func linkedCID(_ bytes: [UInt8]) throws(DAGPBError) -> CID {
        do {
            return try CID(bytes: bytes)
        } catch {
            throw .linkWithoutCID
        }
    }
}

/// Why bytes are not a DAG-PB node.
package enum DAGPBError: Error, Hashable, Sendable {
    /// Not protobuf, or more links than a node may have.
    case malformed(ProtobufError)
    /// A field that the format does not have, or one out of order.
    case unexpectedField(UInt32)
    /// A link that names no block.
    case linkWithoutCID
    /// The node would encode to other bytes.
    case notCanonical
}

extension DAGPBError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .malformed(let error): "it does not read: \(error)"
        case .unexpectedField(let number): "field \(number) does not belong there"
        case .linkWithoutCID: "a link has no CID"
        case .notCanonical: "it is not in canonical form"
        }
    }
}
