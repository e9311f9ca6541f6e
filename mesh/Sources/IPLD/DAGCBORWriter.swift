package import Multiformats

/// Canonical DAG-CBOR written by hand, for what a node encodes all the time.
///
/// The caller keeps the rules that `DAGCBOREncoder` keeps by itself: keys come in canonical order, shorter ones first
/// and then by bytes, and a map or list has as many entries as was said at its beginning. A test compares the bytes of
/// every such type with those of the encoder.
package struct DAGCBORWriter {
    private var writer = CBORWriter()

    /// A writer with room for so many bytes.
    package init(reserving bytes: Int = 256) {
        writer.reserve(bytes)
    }

    /// What was written.
    package var bytes: [UInt8] { writer.bytes }

    /// Begins a map with so many entries, each a key and a value.
    package mutating func map(_ count: Int) { writer.head(.map, UInt64(count)) }

    /// Begins a list with so many elements.
    package mutating func list(_ count: Int) { writer.head(.list, UInt64(count)) }

    /// A key, or a text.
    package mutating func text(_ value: String) { writer.text(value) }

    /// A number.
    package mutating func unsigned(_ value: UInt64) { writer.unsigned(value) }

    /// A number that may be negative.
    package mutating func integer(_ value: Int64) { writer.integer(value) }

    /// True or false.
    package mutating func bool(_ value: Bool) { writer.bool(value) }

    /// A byte string.
    package mutating func byteString(_ value: [UInt8]) { writer.byteString(value[...]) }

    /// A link.
    package mutating func link(_ value: CID) { writer.link(value) }

    /// A value as its type encodes it.
    package mutating func value(_ value: some Encodable) throws {
        writer.encoded(try DAGCBOREncoder().encode(value)[...])
    }
}
