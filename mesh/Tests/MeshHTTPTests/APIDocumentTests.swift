import Foundation
import Multiformats
import NodeAPI
import NodeAPITesting
import Testing

@testable import MeshHTTP

/// The description of the API, held against the API.
@Suite("The OpenAPI document", .timeLimit(.minutes(1)))
struct APIDocumentTests {
    private struct Operation: Decodable {
        let operationId: String
        let summary: String
    }

    private struct Document: Decodable {
        let openapi: String
        let paths: [String: [String: Operation]]
    }

    @Test func whatIsNullIsNotThere() throws {
        let bytes = Array(#"{"address": "/ip4/127.0.0.1/tcp/1", "note": null}"#.utf8)
        let address = try MeshJSON.decode(PeerAddress.self, from: bytes)
        #expect(try MeshJSON.unread(bytes, by: address) == nil)
    }

    @Test func itHasEveryOperationThatTheNodeAnswersAndNoOther() async throws {
        try await WebScene.run { scene in
            let answer = try await scene.ask("/openapi.json")
            #expect(answer.status == 200 && answer.headers["content-type"] == "application/json")
            let document = try JSONDecoder().decode(Document.self, from: Data(answer.body))
            #expect(document.openapi == "3.1.0")
            let told = document.paths.flatMap { path, methods in methods.keys.map { "\($0) \(path)" } }
            let known = scene.operations.map { "\($0.verb.lowercased()) \(APIDocument.path($0.path))" }
            #expect(told.sorted() == known.sorted())
            let names = document.paths.values.flatMap(\.values).map(\.operationId)
            #expect(Set(names).count == names.count)
            // The router takes each of them: none is answered as unknown.
            for operation in scene.operations {
                let target = operation.path.replacing(":cid", with: Samples.jobID.text)
                let answer = try await scene.ask(target, method: operation.verb)
                #expect(answer.status != 404 && answer.status != 405, "\(operation.verb) \(target)")
            }
        }
    }

    /// The keys of a sample, and whether the schema has them and asks for no others.
    private func check(_ sample: some Codable) throws {
        var reader = SchemaReader()
        let reference = reader.schema(of: type(of: sample))
        guard case .group(let fields) = reference, case .text(let place)? = fields["$ref"],
            let name = place.split(separator: "/").last, case .group(let schema)? = reader.schemas[String(name)],
            case .group(let properties)? = schema["properties"], case .list(let required)? = schema["required"]
        else { throw NoSchema(text: "\(type(of: sample))") }
        let object = try JSONSerialization.jsonObject(with: Data(MeshJSON.encode(sample)))
        let keys = Set(try #require(object as? [String: Any]).keys)
        #expect(keys.isSubset(of: properties.keys), "\(name) lacks \(keys.subtracting(properties.keys).sorted())")
        for case .text(let key) in required { #expect(keys.contains(key), "\(name) has no \(key)") }
    }

    @Test func everyTypeIsReadToItsEnd() async throws {
        try await WebScene.run { scene in
            var document = APIDocument(scene.table)
            _ = document.json()
            #expect(document.reader.unread == [:])
            #expect(document.reader.schemas.count > 50)
        }
    }

    private struct NoSchema: Error { let text: String }

    @Test func schemasHaveTheKeysOfWhatIsSent() throws {
        try check(Samples.status)
        try check(Samples.limits)
        try check(Samples.job)
        try check(Samples.result)
        try check(Samples.description)
        try check(Samples.receipt)
        try check(Samples.report)
        try check(Samples.peer)
        try check(Samples.wallet)
        try check(Samples.network)
    }

    @Test func optionalKeysListsAndNamesAreTold() {
        struct Inner: Codable, Sendable { let name: String }
        struct Outer: Codable, Sendable {
            let scope: APIScope
            let count: UInt64?
            let inner: [Inner]
            let outer: [Outer]?
        }
        var reader = SchemaReader()
        _ = reader.schema(of: Outer.self)
        let outer = reader.schemas.first { $0.key.hasSuffix("Outer") }
        guard case .group(let schema)? = outer?.value, case .group(let properties)? = schema["properties"] else {
            Issue.record("no schema")
            return
        }
        #expect(schema["required"] == .list([.text("inner"), .text("scope")]))
        #expect(
            properties["scope"] == .group(["type": .text("string"), "enum": .list([.text("full"), .text("read")])]))
        guard case .group(let list)? = properties["inner"], case .group(let item)? = list["items"] else {
            Issue.record("no list")
            return
        }
        #expect(list["type"] == .text("array") && item["$ref"] != nil)
        #expect(properties["outer"] != nil && properties["count"] != nil)
    }
}
