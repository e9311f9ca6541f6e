import Foundation
import NodeAPI
import P2PTesting
import Testing

@testable import NodeSetup

/// The file of a backup: what is written is read again, and nothing else is.
@Suite struct BackupFileTests {
    private let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private var path: String { folder.path + "/backup" }
    private static let small: [(String, [UInt8])] = [
        (BackupFile.note, Array("{}".utf8)), (BackupFile.key, [1, 2, 3]), (BackupFile.configuration, []),
        (BackupFile.database, [UInt8](repeating: 5, count: 512)), ("mesh.sqlite-blocks/3", [9]),
    ]

    private func write(_ members: [(String, [UInt8])] = small, replacing: Bool = false) throws {
        let writer = try BackupWriter(path: path, replacing: replacing)
        for (name, bytes) in members { try writer.add(name, bytes) }
        try writer.finish()
    }

    /// Why the file is refused; nil if it is not.
    private func fault(limits: BackupFile.Limits = BackupFile.Limits()) -> String? {
        do throws(NodeServiceError) {
            try BackupReader(path: path, limits: limits).verify { _, _ in }
            return nil
        } catch {
            return error.message
        }
    }

    private func change(_ body: (inout Data) -> Void) throws {
        var data = try Data(contentsOf: URL(fileURLWithPath: path))
        body(&data)
        try data.write(to: URL(fileURLWithPath: path))
    }

    @Test func comesBackAsItWasAndIsItsOwnersAlone() throws {
        try write()
        let reader = try BackupReader(path: path)
        try reader.verify { _, _ in }
        #expect(reader.members.map(\.name) == Self.small.map(\.0))
        #expect(try reader.bytes(of: BackupFile.key) == [1, 2, 3])
        #expect(try reader.bytes(of: "mesh.sqlite-blocks/4") == nil)
        let place = folder.path + "/out"
        try reader.extract(reader.members[3], to: place) { _ in }
        #expect(FileManager.default.contents(atPath: place) == Data(Self.small[3].1))
        for file in [path, place] {
            #expect(try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int == 0o600)
        }
        // Nothing is left beside it.
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["backup", "out"])
    }

    @Test func holesStayHoles() throws {
        let source = folder.path + "/sparse"
        _ = FileManager.default.createFile(atPath: source, contents: Data([7]))
        try #require(truncate(source, 8 << 20) == 0)
        let writer = try BackupWriter(path: path, replacing: false)
        for (name, bytes) in Self.small { try writer.add(name, bytes) }
        try writer.add("mesh.sqlite-blocks/4", contentsOf: source, bytes: 8 << 20) { _ in }
        try writer.finish()
        let reader = try BackupReader(path: path)
        let place = folder.path + "/out"
        try reader.extract(try #require(reader.members.last), to: place) { _ in }
        var file = stat()
        try #require(stat(place, &file) == 0)
        #expect(file.st_size == 8 << 20 && file.st_blocks * 512 <= 2 << 20)
        #expect(FileManager.default.contentsEqual(atPath: source, andPath: place))
    }

    /// Files of 8 GiB and more have another form of their size; other programs read both.
    @Test(arguments: [0, 1, (1 << 33) - 1, 1 << 33, (1 << 33) + 512, 1 << 50]) func sizes(_ bytes: Int) throws {
        let header = BackupFile.header(BackupFile.database, bytes: bytes)
        let member = try #require(BackupFile.member(header))
        #expect(member == (BackupFile.database, bytes))
        try Data(header).write(to: URL(fileURLWithPath: path))
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["tar", "--list", "--verbose", "--file", path]
        let output = Pipe()
        (process.standardOutput, process.standardError) = (output, Pipe())
        try process.run()
        let listed = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        #expect(listed.contains(" \(bytes) ") && listed.contains("mesh.sqlite"), "\(listed)")
        // No number is negative, or too large to be one.
        var wrong = header
        wrong.replaceSubrange(124..<136, with: [0x80, 0, 0, 0] + [UInt8](repeating: 0xFF, count: 8))
        #expect(BackupFile.member(wrong) == nil)
    }

    @Test func whatChangesBetweenCheckAndCopyIsNoticed() throws {
        try write()
        let reader = try BackupReader(path: path)
        try reader.verify { _, _ in }
        try change { $0[reader.members[3].offset] ^= 1 }
        let error = #expect(throws: NodeServiceError.self) {
            try reader.extract(reader.members[3], to: folder.path + "/out") { _ in }
        }
        #expect(error?.message == "The backup \(path) changed while it was read: mesh.sqlite does not have its sum.")
    }

    @Test func replacesNothingUnlessAsked() throws {
        try write()
        #expect(throws: NodeServiceError.self) { try BackupWriter(path: path, replacing: false) }
        try write(Array(Self.small.dropLast()), replacing: true)
        #expect(try BackupReader(path: path).members.count == 4)
        // One that was given up leaves what was there, and nothing beside it.
        do {
            let writer = try BackupWriter(path: path, replacing: true)
            try writer.add(BackupFile.key, [4])
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["backup"])
        #expect(try BackupReader(path: path).bytes(of: BackupFile.key) == [1, 2, 3])
    }

    @Test func everyByteThatIsChangedOrMissingIsNoticed() throws {
        try write()
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        let texts = Set([0, 124, 512, 513, 1_024, 1_536, 2_560, 3_000].map { whole[$0] })
        #expect(texts.count > 1)
        for place in [0, 3, 124, 136, 150, 156, 257, 513, 1_536, 2_600, whole.count - 2_000] where place < whole.count {
            try change { $0[place] ^= 0x01 }
            #expect(fault() != nil, "byte \(place)")
            try whole.write(to: URL(fileURLWithPath: path))
        }
        for count in stride(from: 0, to: whole.count, by: 512) {
            try whole.prefix(count).write(to: URL(fileURLWithPath: path))
            #expect(fault() != nil, "\(count) bytes of \(whole.count)")
        }
        try (whole + Data(count: 512)).write(to: URL(fileURLWithPath: path))
        #expect(fault() == "The backup \(path) does not end where a backup does.")
    }

    @Test(
        "Names that lead elsewhere, or that no home has, are refused",
        arguments: [
            "../key", "/etc/passwd", "mesh.sqlite-blocks/../x", "mesh.sqlite-blocks/01", "mesh.sqlite-blocks/0",
            "mesh.sqlite-blocks/", "mesh.sqlite-blocks/4294967296", "api-token", "mesh.sqlite-blocks/+1", "",
        ])
    func names(_ name: String) throws {
        try write(Self.small + [(name, [1])])
        #expect(fault() == "The backup \(path) is damaged, or not whole.")
    }

    @Test func whatIsMissingTwiceOrTooMuchIsRefused() throws {
        for index in 0..<4 {
            var members = Self.small
            let (name, _) = members.remove(at: index)
            try write(members, replacing: true)
            #expect(fault() == "The backup \(path) has no \(name).")
        }
        try write(Self.small + [Self.small[1]], replacing: true)
        #expect(fault() == "The backup \(path) has identity.key twice.")
        try write(replacing: true)
        var limits = BackupFile.Limits()
        limits.membersMax = 6
        #expect(fault(limits: limits) == nil)
        limits.membersMax = 5
        #expect(fault(limits: limits) == "The backup \(path) has more than 5 files.")
        // What is not read is not written either.
        let writer = try BackupWriter(path: path, replacing: true, limits: limits)
        let error = #expect(throws: NodeServiceError.self) {
            for (name, bytes) in Self.small + [("mesh.sqlite-blocks/4", [1])] { try writer.add(name, bytes) }
        }
        #expect(error?.message == "The backup \(path) cannot be written: it would have more than 5 files.")
        limits = BackupFile.Limits()
        limits.sumsBytesMax = 10
        #expect(fault(limits: limits) == "The backup \(path) has a SHA256SUMS of more than 10 bytes.")
        limits = BackupFile.Limits()
        limits.smallBytesMax = 2
        let reader = try BackupReader(path: path, limits: limits)
        #expect(throws: NodeServiceError.self) { try reader.bytes(of: BackupFile.key) }
        try change { $0.replaceSubrange(0..<512, with: Data(repeating: 65, count: 512)) }
        #expect(fault() == "The backup \(path) is no backup of a node.")
    }
}
