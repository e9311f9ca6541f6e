import Foundation
import MeshTypes
import NodeCore

/// An `ExportTraceServiceRequest` of OTLP, in its JSON encoding
/// (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding): fields in lowerCamelCase, identifiers in hex,
/// enums and small integers as numbers, 64-bit integers as texts.
struct OTLPRequest: Encodable {
    private let resourceSpans: [ResourceSpans]

    /// Whose spans they are.
    struct Resource: Hashable, Sendable {
        /// The name that the owner gives the node among traces.
        let service: String
        let version: String
        /// The node.
        let did: String
    }

    init(_ spans: [TraceSpan], of resource: Resource) {
        let attributes = [
            Attribute("service.name", resource.service), Attribute("service.version", resource.version),
            Attribute("service.instance.id", resource.did),
        ]
        let scope = Scope(name: "planetary-mesh", version: resource.version)
        resourceSpans = [
            ResourceSpans(
                resource: .init(attributes: attributes),
                scopeSpans: [ScopeSpans(scope: scope, spans: spans.map(Span.init))])
        ]
    }

    /// The body of a request.
    func encoded() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(self))
    }

    private struct ResourceSpans: Encodable {
        struct Described: Encodable { let attributes: [Attribute] }
        let resource: Described
        let scopeSpans: [ScopeSpans]
    }

    private struct ScopeSpans: Encodable {
        let scope: Scope
        let spans: [Span]
    }

    private struct Scope: Encodable {
        let name: String
        let version: String
    }

    private struct Attribute: Encodable {
        struct Value: Encodable {
            var stringValue: String?
            var intValue: String?
        }

        let key: String
        let value: Value

        init(_ key: String, _ text: String) {
            self.key = key
            value = Value(stringValue: text)
        }

        init(_ attribute: TraceSpan.Attribute) {
            key = attribute.key
            value =
                switch attribute.value {
                case .text(let text): Value(stringValue: text)
                // A signed one there.
                case .count(let count): Value(intValue: String(Int64(clamping: count)))
                }
        }
    }

    private struct Span: Encodable {
        struct Event: Encodable {
            let timeUnixNano: String
            let name: String
        }

        struct Link: Encodable {
            let traceId: String
            let spanId: String
            let flags: UInt32
        }

        struct Status: Encodable {
            /// 2 is an error; 0, without one, says nothing.
            let code: Int
            var message: String?
        }

        let traceId: String
        let spanId: String
        let parentSpanId: String?
        let flags: UInt32
        let name: String
        let kind: Int
        let startTimeUnixNano: String
        let endTimeUnixNano: String
        let attributes: [Attribute]
        let events: [Event]
        let links: [Link]
        let status: Status?

        init(_ span: TraceSpan) {
            traceId = TraceContext.text(of: span.context.traceID)
            spanId = TraceContext.text(of: span.context.spanID)
            parentSpanId = span.parentID.map(TraceContext.text)
            flags = Self.flags(span.context)
            name = span.name
            kind = span.kind.rawValue
            startTimeUnixNano = Self.nanoseconds(span.start)
            endTimeUnixNano = Self.nanoseconds(span.end)
            attributes =
                span.attributes.map(Attribute.init) + (span.failure.map { [Attribute("error.type", $0)] } ?? [])
            events = span.events.map { Event(timeUnixNano: Self.nanoseconds($0.at), name: $0.name) }
            links = span.links.map {
                Link(
                    traceId: TraceContext.text(of: $0.traceID), spanId: TraceContext.text(of: $0.spanID),
                    flags: Self.flags($0))
            }
            status = span.failure.map { Status(code: 2, message: $0) }
        }

        /// The flags of W3C Trace Context, in the low byte.
        private static func flags(_ context: TraceContext) -> UInt32 { context.isSampled ? 1 : 0 }

        private static func nanoseconds(_ date: UnixMilliseconds) -> String {
            let (nanoseconds, isOver) = date.value.multipliedReportingOverflow(by: 1_000_000)
            return String(isOver ? UInt64.max : nanoseconds)
        }
    }
}

/// What a receiver says of a request that it took: how many spans it did not, as far as it says.
struct OTLPResponse: Decodable {
    private struct Partial: Decodable {
        /// A number as a text, as 64-bit integers are in JSON; some send a number.
        let rejectedSpans: Count?
    }

    private struct Count: Decodable {
        let value: UInt64

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let number = try? container.decode(UInt64.self) {
                value = number
            } else {
                value = UInt64(try container.decode(String.self)) ?? 0
            }
        }
    }

    private let partialSuccess: Partial?

    /// The spans that the receiver says it rejected; 0 where its answer says nothing; nil where it is none of OTLP.
    static func rejected(in body: [UInt8]) -> UInt64? {
        if body.isEmpty { return 0 }
        let answer = try? JSONDecoder().decode(Self.self, from: Data(body))
        return answer.map { $0.partialSuccess?.rejectedSpans?.value ?? 0 }
    }
}
