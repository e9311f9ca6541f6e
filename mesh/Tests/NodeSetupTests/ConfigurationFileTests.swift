import Foundation
import Multiformats
import NodeAPI
import P2PTesting
import Testing

@testable import NodeSetup

/// A configuration that is changed key by key.
@Suite("Settings, key by key")
struct ConfigurationFileTests {
    private let folder: TestFolder
    private var path: String { folder.path + "/config.json" }

    init() throws {
        folder = try TestFolder()
        try NodeConfiguration().encoded().write(to: URL(filePath: path))
    }

    private func write(_ text: String) throws { try Data(text.utf8).write(to: URL(filePath: path)) }
    private func text() throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "nothing is wrong"
        } catch {
            return "\(error)"
        }
    }

    @Test("Every key of a fresh file can be read, and given the value that it has")
    func everyKey() throws {
        let before = try Data(contentsOf: URL(filePath: path))
        var file = try ConfigurationFile(path: path)
        #expect(file.settings.count == ConfigurationFile.keys.count && file.settings.count > 50)
        for setting in file.settings {
            #expect(setting.value == setting.standard, "\(setting.key)")
            #expect(setting.isInFile == (setting.value != .null), "\(setting.key)")
            if setting.value != .null { try file.set(setting.key, to: setting.value.words) }
        }
        try file.write()
        #expect(try Data(contentsOf: URL(filePath: path)) == before)
    }

    @Test("A value is what the node then loads; --default takes the key out, and the others stay as they were")
    func changes() throws {
        try write(#"{"region": "eu", "executor": {"nice": 3}}"#)
        var file = try ConfigurationFile(path: path)
        try file.set("executor.price_base", to: ["250"])
        try file.set("bootstrap", to: ["/ip4/192.0.2.1/tcp/4001", "/ip4/192.0.2.2/tcp/4001"])
        try file.set("executor.hours", to: ["22:00-06:00, 12:00-13:00", ",08:00-09:00,"])
        #expect(try file.setting("executor.hours").value.words == ["22:00-06:00", "12:00-13:00", "08:00-09:00"])
        try file.set("executor.features", to: [])
        try file.set("executor.enabled", to: ["false"])
        try file.set("api.listen", to: ["127.0.0.1:4080"])
        try file.reset("region")
        try file.reset("gateway.listen")
        try file.write()
        let loaded = try NodeConfiguration.load(path: path)
        #expect(loaded.executor.priceBase == 250 && loaded.executor.nice == 3 && !loaded.executor.isEnabled)
        #expect(loaded.bootstrap.map(\.text) == ["/ip4/192.0.2.1/tcp/4001", "/ip4/192.0.2.2/tcp/4001"])
        #expect(loaded.api.listen == "127.0.0.1:4080" && loaded.region == nil)
        let text = try text()
        #expect(!text.contains("region") && !text.contains("gateway") && !text.contains("limits"))
        let read = try ConfigurationFile(path: path)
        #expect(try read.setting("executor.nice").isInFile)
        let price = try read.setting("executor.price_per_million_fuel")
        #expect(price.value == .count(10) && !price.isInFile)
    }

    @Test("What is not allowed changes nothing, and the sentence names the key and what is")
    func refusals() throws {
        var file = try ConfigurationFile(path: path)
        let before = file.settings
        #expect(message { try file.set("executor.nice", to: ["20"]) }.contains("a whole number from 0 to 19"))
        #expect(message { try file.set("executor.nice", to: ["-1"]) }.contains(#"executor.nice is "-1""#))
        #expect(message { try file.set("executor.nice", to: ["99999999999999999999"]) }.contains("whole number"))
        #expect(message { try file.set("executor.nice", to: ["1", "2"]) }.contains("one value, and 2 are given"))
        #expect(message { try file.set("executor.nice", to: []) }.contains("one value, and 0 are given"))
        #expect(message { try file.set("executor.enabled", to: ["yes"]) }.contains("true or false"))
        #expect(message { try file.set("listen", to: ["localhost"]) }.contains("listen[0]"))
        #expect(message { try file.set("api.listen", to: ["localhost:80"]) }.contains("an IP address of"))
        #expect(message { try file.set("nice", to: ["1"]) }.contains("executor.nice"))
        #expect(message { try file.set("executor", to: ["1"]) }.contains("It is a group, with executor.enabled"))
        #expect(message { _ = try file.setting("colour") }.contains("\"colour\" is no setting"))
        for (key, meant) in [
            ("executor.pice_base", "executor.price_base"), ("lissten", "listen"), ("pricebase", "executor.price_base"),
            ("mdns_netwrk", "mdns_network"),
        ] {
            let error = #expect(throws: NodeServiceError.self) { _ = try file.setting(key) }
            #expect(error?.hint?.hasPrefix("Did you mean \(meant)?") == true, "\(error as Any)")
        }
        #expect(message { try file.reset("colour") }.contains("\"colour\" is no setting"))
        #expect(file.settings == before)
    }

    @Test("A file with several faults is mended fault by fault, and what is still wrong is told each time")
    func mending() throws {
        try write(#"{"log_level": "loud", "lissten": [], "executor": {"nice": 99, "prize": {}}, "api": true}"#)
        func change(_ body: (inout ConfigurationFile) throws -> Void) throws -> [String] {
            var file = try ConfigurationFile(path: path, isToChange: true)
            try body(&file)
            try file.write()
            return file.faults
        }
        #expect(message { try ConfigurationFile(path: path).requireSound() }.contains("api is true"))
        let first = try change { try $0.set("log_level", to: ["info"]) }
        #expect(first.count == 4 && !first.contains { $0.contains("log_level is") }, "\(first)")
        let second = try change { try $0.reset("lissten") }
        #expect(second.count == 3 && !second.contains { $0.contains("lissten") }, "\(second)")
        let third = try change { try $0.set("executor.nice", to: ["3"]) }
        let fourth = try change { try $0.reset("executor.prize") }
        let fifth = try change { try $0.set("api.listen", to: ["127.0.0.1:4080"]) }
        #expect(third.count == 2 && fourth == ["api is true, and must be a group of settings, in braces"])
        #expect(fifth.isEmpty)
        let loaded = try NodeConfiguration.load(path: path)
        #expect(loaded.logLevel == "info" && loaded.executor.nice == 3 && loaded.api.listen == "127.0.0.1:4080")
        // A group of settings is not taken out as if it were none.
        #expect(message { _ = try change { try $0.reset("executor") } }.contains("It is a group"))
        try write("[]")
        #expect(message { _ = try ConfigurationFile(path: path) }.contains("a group of settings"))
        try write("{")
        #expect(message { _ = try ConfigurationFile(path: path) }.contains("no JSON"))
    }

    @Test("Who changes the file keeps others out; a link that leads elsewhere meanwhile changes nothing there")
    func changing() throws {
        let link = folder.path + "/link.json"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "config.json")
        let elsewhere = folder.path + "/elsewhere"
        try FileManager.default.createDirectory(atPath: elsewhere, withIntermediateDirectories: false)
        try Data("{}".utf8).write(to: URL(filePath: elsewhere + "/other.json"))
        var file: ConfigurationFile? = try ConfigurationFile(path: link, isToChange: true)
        let descriptor = open(folder.path, O_RDONLY | O_DIRECTORY)
        defer { close(descriptor) }
        #expect(flock(descriptor, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK)
        try FileManager.default.removeItem(atPath: link)
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "elsewhere/other.json")
        try file?.set("region", to: ["eu"])
        try file?.write()
        #expect(try NodeConfiguration.load(path: path).region == "eu")
        #expect(try String(contentsOfFile: elsewhere + "/other.json", encoding: .utf8) == "{}")
        // A link in the place of the file itself is not followed either.
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "elsewhere/other.json")
        #expect(throws: NodeServiceError.self) { try file?.write() }
        file = nil
        #expect(flock(descriptor, LOCK_EX | LOCK_NB) == 0)
    }

    @Test("Who waits for the folder too long is told which process has it, and changes nothing")
    func waiting() throws {
        let descriptor = open(folder.path, O_RDONLY | O_DIRECTORY)
        defer { close(descriptor) }
        #expect(flock(descriptor, LOCK_EX | LOCK_NB) == 0)
        let error = try #require(throws: NodeServiceError.self) {
            _ = try ReplacedFile(path: path, isLocked: true, waiting: 0)
        }
        #expect(error.code == .conflict)
        #expect(error.message.contains("the process \(getpid()) ("), "\(error.message)")
        #expect(error.message.contains("locked the folder"))
        #expect(FolderLock.waitMilliseconds == 5_000, "docs/configuration.md says so")
        flock(descriptor, LOCK_UN)
        _ = try ReplacedFile(path: path, isLocked: true, waiting: 0)
    }

    @Test("The file keeps its mode, a link to it stays one, and nothing else is left beside it")
    func replacing() throws {
        let link = folder.path + "/link.json"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "config.json")
        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path)
        var file = try ConfigurationFile(path: link)
        try file.set("region", to: ["eu"])
        try file.write()
        #expect(try NodeConfiguration.load(path: path).region == "eu")
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == "config.json")
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o640)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["config.json", "link.json"])
    }
}
