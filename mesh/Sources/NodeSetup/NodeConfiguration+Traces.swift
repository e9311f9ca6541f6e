extension NodeConfiguration {
    /// Traces of jobs, which go to a receiver of OTLP.
    package struct Traces: Hashable, Sendable, Codable {
        /// A receiver on this machine, such as `http://127.0.0.1:4318`; nil means none.
        package var endpoint: String?
        /// A receiver on another machine, which gets everything in the clear; used where there is no `endpoint`.
        package var remoteEndpoint: String?
        /// How many of a thousand jobs of this node are recorded.
        package var ratioPermille: UInt64 = 1_000
        /// Jobs of others that are recorded a minute, where their originators record them.
        package var othersPerMinuteMax = 60
        /// The name of this node among traces.
        package var service = "planetary-mesh"

        /// None.
        package init() {}

        /// Where traces are sent; nil if nothing is recorded.
        package var receiver: TraceEndpoint? { (endpoint ?? remoteEndpoint).flatMap(TraceEndpoint.init) }

        /// Writes every key, those without a value as null.
        package func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(endpoint, forKey: .endpoint)
            try container.encode(remoteEndpoint, forKey: .remoteEndpoint)
            try container.encode(ratioPermille, forKey: .ratioPermille)
            try container.encode(othersPerMinuteMax, forKey: .othersPerMinuteMax)
            try container.encode(service, forKey: .service)
        }

        private enum CodingKeys: String, CodingKey {
            case endpoint, service
            case remoteEndpoint = "remote_endpoint"
            case ratioPermille = "ratio_permille"
            case othersPerMinuteMax = "others_per_minute_max"
        }

        /// Reads what is given; `ConfigurationRule` has checked it.
        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            endpoint = try container.decodeIfPresent(String.self, forKey: .endpoint)
            remoteEndpoint = try container.decodeIfPresent(String.self, forKey: .remoteEndpoint)
            try container.read(.ratioPermille, into: &ratioPermille)
            try container.read(.othersPerMinuteMax, into: &othersPerMinuteMax)
            try container.read(.service, into: &service)
        }
    }
}
