import NodeAPI

/// The description of the API in OpenAPI 3.1, made of its table of operations. Source:
/// https://spec.openapis.org/oas/v3.1.1.html
struct APIDocument {
    private let table: APITable
    private(set) var reader = SchemaReader()

    init(_ table: APITable) { self.table = table }

    /// The document as JSON.
    mutating func json() -> APIJSON {
        var paths: [String: APIJSON] = [:]
        for operation in table.operations {
            let path = Self.path(operation.path)
            var methods: [String: APIJSON] = [:]
            if case .group(let known)? = paths[path] { methods = known }
            methods[operation.verb.lowercased()] = describe(operation)
            paths[path] = .group(methods)
        }
        let problem = reader.schema(of: Problem.self)
        var schemas = reader.schemas
        for operation in table.operations {
            if case .json(let type)? = operation.about.body { close(reader.schema(of: type), in: &schemas) }
        }
        return .group([
            "openapi": .text("3.1.0"),
            "info": .group([
                "title": .text("Planetary Mesh node"), "version": .text(NodeVersion.current),
                "description": .text("What a node does for its owner. docs/api.md tells how to reach it."),
            ]),
            "paths": .group(paths),
            "components": .group([
                "schemas": .group(schemas),
                "responses": .group([
                    "Problem": .group([
                        "description": .text("A failure, with a stable code."),
                        "content": .group(["application/problem+json": .group(["schema": problem])]),
                    ])
                ]),
                "securitySchemes": .group([
                    "token": .group(["type": .text("http"), "scheme": .text("bearer")])
                ]),
            ]),
            "security": .list([.group(["token": .list([])])]),
        ])
    }

    /// Says of all that a body is made of that it has no other fields.
    private func close(_ schema: APIJSON, in schemas: inout [String: APIJSON]) {
        switch schema {
        case .group(let fields):
            if case .text(let reference)? = fields["$ref"] {
                let name = String(reference.split(separator: "/").last ?? "")
                guard case .group(var own)? = schemas[name], own["additionalProperties"] == nil,
                    reader.unread[name] == nil
                else { return }
                own["additionalProperties"] = .flag(false)
                schemas[name] = .group(own)
                close(.group(own), in: &schemas)
            } else {
                for field in fields.values { close(field, in: &schemas) }
            }
        case .list(let list): for item in list { close(item, in: &schemas) }
        case .text, .flag, .number: break
        }
    }

    /// A path of the table as the document writes it.
    static func path(_ path: String) -> String {
        path.split(separator: "/").map { $0.hasPrefix(":") ? "/{\($0.dropFirst())}" : "/\($0)" }.joined()
    }

    private mutating func describe(_ operation: APIOperation) -> APIJSON {
        let about = operation.about
        var fields: [String: APIJSON] = [
            "summary": .text(about.summary),
            "operationId": .text(operation.verb.lowercased() + Self.words(operation.path)),
            "responses": .group(answers(about)),
        ]
        let inPath = operation.path.split(separator: "/").filter { $0.hasPrefix(":") }.map { part in
            parameter(APIOperation.Parameter(String(part.dropFirst()), .cid), place: "path")
        }
        let parameters =
            inPath + about.query.map { parameter($0, place: "query") }
            + (about.headers + Self.headers(about.conditions)).map { parameter($0, place: "header") }
        if !parameters.isEmpty { fields["parameters"] = .list(parameters) }
        if let body = about.body {
            fields["requestBody"] = .group(["required": .flag(!body.mayBeEmpty), "content": content(body)])
        }
        if operation.access == .anyone { fields["security"] = .list([]) }
        if operation.access == .change { fields["x-scope"] = .text(APIScope.full.rawValue) }
        return .group(fields)
    }

    private static func words(_ path: String) -> String {
        let words = path.split { !$0.isLetter && !$0.isNumber }
        // Most begin with the version.
        return words.dropFirst(words.count > 1 ? 1 : 0).map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }

    private mutating func answer(_ answer: APIOperation.Content?) -> APIJSON {
        guard let answer else { return .group(["description": .text("Done.")]) }
        return .group(["description": .text("The answer."), "content": content(answer)])
    }

    private mutating func content(_ content: APIOperation.Content) -> APIJSON {
        switch content {
        case .json(let type): .group(["application/json": .group(["schema": reader.schema(of: type)])])
        case .lines(let type): .group(["application/x-ndjson": .group(["schema": reader.schema(of: type)])])
        case .bytes(let type): .group([type: .group([:])])
        }
    }

    private mutating func answers(_ about: APIOperation.About) -> [String: APIJSON] {
        var answers = [
            String(about.status): answer(about.answer),
            "default": .group(["$ref": .text("#/components/responses/Problem")]),
        ]
        if about.conditions != .none {
            answers["304"] = .group(["description": .text("The caller has the answer: If-None-Match names its ETag.")])
        }
        if about.conditions == .tagAndRange { answers["206"] = answer(about.answer) }
        return answers
    }

    /// The headers that say under which conditions an answer is wanted.
    private static func headers(_ conditions: APIOperation.Conditions) -> [APIOperation.Parameter] {
        let names =
            switch conditions {
            case .none: [String]()
            case .tag: ["If-None-Match"]
            case .tagAndRange: ["If-None-Match", "Range", "If-Range"]
            }
        return names.map { APIOperation.Parameter($0, .text) }
    }

    private func parameter(_ parameter: APIOperation.Parameter, place: String) -> APIJSON {
        var fields: [String: APIJSON] = [
            "name": .text(parameter.name), "in": .text(place),
            "required": .flag(place == "path" || parameter.isRequired),
            "schema": Self.schema(parameter.form),
        ]
        // Commas between the values.
        if case .someOf = parameter.form { (fields["style"], fields["explode"]) = (.text("form"), .flag(false)) }
        return .group(fields)
    }

    private static func schema(_ form: APIOperation.Parameter.Form) -> APIJSON {
        switch form {
        case .cid:
            .group([
                "type": .text("string"),
                // CIDs of version 1 by SHA-256, as nodes print them; those of other forms are read too.
                "pattern": .text("^baf(kr|yr|yb)ei[a-h][a-z2-7]{50}[aeimquy4]$"),
            ])
        case .number(let range):
            .group([
                "type": .text("integer"), "minimum": .number(range.lowerBound), "maximum": .number(range.upperBound),
            ])
        case .flag: .group(["type": .text("boolean")])
        case .text: .group(["type": .text("string")])
        case .oneOf(let names): Self.names(names)
        case .someOf(let names):
            .group(["type": .text("array"), "items": Self.names(names), "minItems": .number(1)])
        }
    }

    private static func names(_ names: [String]) -> APIJSON {
        .group(["type": .text("string"), "enum": .list(names.map(APIJSON.text))])
    }
}
