import Multiformats
import Testing

@Suite struct ProtobufTests {
    private static func fields(_ bytes: [UInt8], maxFields: Int = 16) throws(ProtobufError) -> [ProtobufField] {
        var reader = ProtobufReader(bytes, maxFields: maxFields)
        var fields: [ProtobufField] = []
        while let field = try reader.next() { fields.append(field) }
        return fields
    }

    @Test func writesWhatItReads() throws {
        var writer = ProtobufWriter()
        writer.varint(1, .max)
        writer.bool(2, true)
        writer.text(3, "grüße")
        writer.int(4, -1)
        writer.message(5) { $0.bytes(1, [1, 2, 3]) }
        writer.bytes(0x1FFF_FFFF, [])
        let fields = try Self.fields(writer.bytes)
        #expect(fields.map(\.number) == [1, 2, 3, 4, 5, 0x1FFF_FFFF])
        #expect(fields[0].varint == .max)
        #expect(fields[1].varint == 1)
        #expect(fields[2].text == "grüße")
        #expect(fields[3].varint == .max)
        #expect(try Self.fields(#require(fields[4].bytes))[0].bytes == [1, 2, 3])
        #expect(fields[5].bytes == [])
        #expect(fields[0].bytes == nil && fields[5].varint == nil)
    }

    @Test func fixedWidthAndPaddedVarints() throws {
        let bytes: [UInt8] = [0x09, 1, 0, 0, 0, 0, 0, 0, 0x80, 0x15, 2, 0, 0, 1, 0x18, 0x85, 0x80, 0x00]
        let fields = try Self.fields(bytes)
        #expect(fields[0].value == .fixed64(0x8000_0000_0000_0001))
        #expect(fields[1].value == .fixed32(0x0100_0002))
        #expect(fields[2].varint == 5)
    }

    @Test(arguments: [
        ([0x08] as [UInt8], ProtobufError.truncated), ([0x08, 0x80], .truncated), ([0x0A, 0x05, 1], .truncated),
        ([0x0D, 1, 2, 3], .truncated), ([0x09, 1], .truncated),
        ([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], .truncated),
        ([0x00, 0x00], .invalidFieldNumber), ([0x80, 0x80, 0x80, 0x80, 0x10, 0x00], .invalidFieldNumber),
        ([0x0B], .unsupportedWireType(3)), ([0x0C], .unsupportedWireType(4)), ([0x0E], .unsupportedWireType(6)),
        ([0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02], .varintTooLong),
        ([0x08] + [UInt8](repeating: 0x80, count: 12), .varintTooLong),
    ])
    func malformed(_ bytes: [UInt8], _ error: ProtobufError) {
        #expect(throws: error) { try Self.fields(bytes) }
    }

    @Test func fieldsAreCounted() throws {
        let message = (0..<2000).flatMap { _ in [0x08, 0x01] as [UInt8] }
        #expect(throws: ProtobufError.tooManyFields(fieldsMax: 1999)) { try Self.fields(message, maxFields: 1999) }
        #expect(try Self.fields(message, maxFields: 2000).count == 2000)
    }
}
