import Foundation
import NodeAPI
import NodeSetup
import P2PTesting
import Testing

@Suite struct APITokensTests {
    @Test func tokensAreMadeOnceOwnerOnlyAndReadBack() throws {
        let folder = try TestFolder()
        let home = NodeHome(path: folder.path)
        let tokens = try APITokens.obtain(in: home)
        #expect(tokens.full != tokens.read && tokens.full.text.count == 64)
        #expect(try APITokens.obtain(in: home) == tokens)
        for path in [home.apiTokenPath, home.apiReadTokenPath] {
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect(attributes[.posixPermissions] as? Int == 0o600)
        }
        // One that was removed is another one from then on.
        try FileManager.default.removeItem(atPath: home.apiReadTokenPath)
        let other = try APITokens.obtain(in: home)
        #expect(other.full == tokens.full && other.read != tokens.read)
    }

    @Test func aTokenSaysWhatItsHolderMayDo() {
        let tokens = APITokens(full: .random(), read: .random())
        #expect(tokens.scope(of: tokens.full.text) == .full)
        #expect(tokens.scope(of: tokens.read.text) == .read)
        let full = tokens.full.text
        for wrong in ["", String(full.dropLast()), full + "0", String(full.dropFirst()), full.uppercased() + "x"] {
            #expect(tokens.scope(of: wrong) == nil)
        }
    }

    @Test func aFileThatOthersCanReadIsRefused() throws {
        let folder = try TestFolder()
        let home = NodeHome(path: folder.path)
        _ = try APITokens.obtain(in: home)
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: home.apiTokenPath)
        #expect(
            throws: NodeServiceError(
                .keyUnusable, "The token file \(home.apiTokenPath) is open to others (mode 644).",
                hint: "Close it with: chmod 600 \(home.apiTokenPath)")
        ) { _ = try APITokens.obtain(in: home) }
    }

    @Test(arguments: ["", "short\n", String(repeating: "x", count: 257), String(repeating: "x ", count: 32)])
    func aFileWithoutATokenIsRefused(_ text: String) throws {
        let folder = try TestFolder()
        let home = NodeHome(path: folder.path)
        try write(text, to: home.apiTokenPath)
        let error = try #require(throws: NodeServiceError.self) { try APITokens.obtain(in: home) }
        #expect(error.message.hasSuffix("has no token of 32 to 256 visible characters."))
    }

    @Test func twoFilesWithOneTokenAreRefused() throws {
        let folder = try TestFolder()
        let home = NodeHome(path: folder.path)
        for path in [home.apiTokenPath, home.apiReadTokenPath] {
            try write(String(repeating: "x", count: 32), to: path)
        }
        let error = try #require(throws: NodeServiceError.self) { try APITokens.obtain(in: home) }
        #expect(error.message.hasSuffix("has the token that may do everything."))
    }

    private func write(_ text: String, to path: String) throws {
        try Data(text.utf8).write(to: URL(filePath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    }
}
