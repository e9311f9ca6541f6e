import IPLD
import Multiformats
import Receipts
import Testing

/// Files of receipts that an earlier build wrote: every later one reads them and comes to the same verdict.
@Suite struct ReceiptFileVectorTests {
    struct Row: Decodable {
        let name: String
        let receipts: [String]
        /// Checks that could not be made, by their code; all others passed.
        let skipped: [String]
        let car: String
    }

    struct File: Decodable {
        let files: [Row]
    }

    @Test func earlierFilesVerifyAsTheyDid() throws {
        let rows = try Fixtures.json("receipt_files", as: File.self).files
        #expect(rows.map(\.name) == ["without outputs", "with outputs", "two receipts"])
        for row in rows {
            let bytes = try hex(row.car)
            let file = try CAR(decoding: bytes)
            #expect(file.encoded == bytes, "\(row.name)")
            let archive = ReceiptArchive(file)
            #expect(archive.receipts.map(\.text) == row.receipts, "\(row.name)")
            for receipt in archive.receipts {
                let report = archive.verify(receipt)
                #expect(report.isVerified, "\(row.name): \(report.failures)")
                let skipped = report.lines.filter { $0.result == .notCheckable }.map(\.code)
                #expect(skipped == row.skipped, "\(row.name)")
                let settlement = report.lines.first { $0.code == "settlement" }
                #expect(settlement?.result == .passed && settlement?.detail.contains("paid 101") == true, "\(row.name)")
            }
        }
    }
}
