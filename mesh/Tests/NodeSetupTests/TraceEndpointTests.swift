import Testing

@testable import NodeSetup

/// Where traces may be sent.
@Suite("The receiver of traces")
struct TraceEndpointTests {
    @Test("An address has a host and a port; a path is OTLP's own unless it has one")
    func addresses() throws {
        let usual = try #require(TraceEndpoint("http://127.0.0.1:4318"))
        #expect(usual.host == "127.0.0.1" && usual.port == 4_318 && usual.path == "/v1/traces" && usual.isLoopback)
        #expect(usual.text == "http://127.0.0.1:4318/v1/traces")
        let six = try #require(TraceEndpoint("http://[::1]:1/otlp/v1/traces"))
        #expect(six.host == "::1" && six.authority == "[::1]:1" && six.path == "/otlp/v1/traces" && six.isLoopback)
        #expect(TraceEndpoint("http://localhost:4318/")?.isLoopback == true)
        for other in ["http://collector.example:4318", "http://10.0.0.1:1", "http://[fd00::1]:1", "http://127.x:1"] {
            #expect(TraceEndpoint(other)?.isLoopback == false, "\(other)")
        }
        let none = [
            "", "127.0.0.1:4318", "https://127.0.0.1:4318", "http://127.0.0.1", "http://127.0.0.1:0",
            "http://127.0.0.1:65536", "http://a b:1", "http://u@h:1", "http://h:1/?q", "http://h:1/#f", "http://h:1/ x",
            "http://h:1/%0d%0aX", "http://:1", "http://[::1:1", "http://[x]:1", "http://h\r\n:1", "http://é:1",
            "http://h:1/" + String(repeating: "a", count: TraceEndpoint.bytesMax),
        ]
        for text in none { #expect(TraceEndpoint(text) == nil, "\(text)") }
    }

    @Test("One on another machine is set on purpose, under a key of its own")
    func elsewhere() {
        var configuration = NodeConfiguration()
        #expect(configuration.traces.receiver == nil)
        configuration.traces.endpoint = "http://collector.example:4318"
        #expect(configuration.refusal?.contains("traces.remote_endpoint") == true)
        configuration.traces.endpoint = nil
        configuration.traces.remoteEndpoint = "http://collector.example:4318"
        #expect(configuration.refusal == nil)
        #expect(configuration.traces.receiver?.host == "collector.example")
        configuration.traces.endpoint = "http://127.0.0.1:4318"
        #expect(configuration.traces.receiver?.host == "127.0.0.1")
    }
}
