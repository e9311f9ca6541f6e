import NIOHTTP1

extension HTTPRequestHead {
    /// Whether it asks for another protocol than HTTP.
    ///
    /// NIO's decoder reads nothing behind such a head, and keeps whatever comes, without a bound. So its connection
    /// takes nothing more in, and ends with its answer.
    var endsDecoding: Bool { method == .CONNECT || headers.contains(name: "upgrade") }
}
