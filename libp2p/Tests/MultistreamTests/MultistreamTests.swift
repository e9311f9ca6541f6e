import Determinism
import Multiformats
import Multistream
import NIOCore
import P2PTesting
import Testing

private func line(_ text: String) -> [UInt8] {
    var bytes: [UInt8] = []
    MultistreamMessage.append(text, to: &bytes)
    return bytes
}

@Suite("Multistream-select")
struct MultistreamTests {
    /// Runs dialer against listener; the bytes each sent.
    private func negotiate(_ wanted: [String], _ offered: [String]) throws -> (String, rounds: Int) {
        var dialer = MultistreamDialer(protocols: wanted)
        var listener = MultistreamListener(protocols: offered)
        var toListener = ByteBuffer(bytes: dialer.start())
        var toDialer = ByteBuffer()
        for round in 1...10 {
            let step = try listener.received(&toListener)
            toDialer.writeBytes(step.send)
            switch try dialer.received(&toDialer) {
            case .needsMore: continue
            case .send(let bytes): toListener.writeBytes(bytes)
            case .agreed(let name):
                #expect(step.agreed == name)
                return (name, round)
            }
        }
        throw MultistreamError.noneSupported
    }

    @Test("The first proposal goes with the header, so that one round trip is enough")
    func firstRound() throws {
        #expect(try negotiate(["/noise"], ["/tls/1.0.0", "/noise"]) == ("/noise", 1))
    }

    @Test("Refused proposals are followed by the next")
    func fallsBack() throws {
        #expect(
            try negotiate(["/libp2p/simultaneous-connect", "/tls/1.0.0", "/noise"], ["/noise"]) == ("/noise", 3))
        #expect(throws: MultistreamError.noneSupported) { try negotiate(["/tls/1.0.0", "/x"], ["/noise"]) }
    }

    @Test("Bytes after the agreement stay in the buffer")
    func leftovers() throws {
        var listener = MultistreamListener(protocols: ["/noise"])
        var bytes = ByteBuffer(bytes: line(MultistreamMessage.header) + line("/noise") + [1, 2, 3])
        #expect(try listener.received(&bytes).agreed == "/noise")
        #expect(Array(bytes.readableBytesView) == [1, 2, 3])
    }

    @Test("ls lists at most 128 protocols")
    func list() throws {
        var listener = MultistreamListener(protocols: (0..<200).map { "/p/\($0)" })
        var bytes = ByteBuffer(bytes: line(MultistreamMessage.header) + line("ls"))
        let answer = try listener.received(&bytes).send
        #expect(answer.filter { $0 == UInt8(ascii: "/") }.count == 2 + 2 * MultistreamListener.listedMax)
    }

    @Test("The 33rd proposal is refused")
    func proposals() throws {
        var listener = MultistreamListener(protocols: ["/noise"])
        var bytes = ByteBuffer(bytes: line(MultistreamMessage.header))
        for _ in 0..<32 { bytes.writeBytes(line("/x")) }
        _ = try listener.received(&bytes)
        bytes.writeBytes(line("/noise"))
        #expect(throws: MultistreamError.tooManyProposals(limit: 32)) { try listener.received(&bytes) }
    }

    @Test("Each malformed line has its reason")
    func malformed() throws {
        func error(_ bytes: [UInt8]) -> MultistreamError? {
            var listener = MultistreamListener(protocols: ["/noise"])
            var buffer = ByteBuffer(bytes: bytes)
            do throws(MultistreamError) {
                _ = try listener.received(&buffer)
                return nil
            } catch {
                return error
            }
        }
        #expect(error([0]) == .malformedMessage)
        #expect(error([1, UInt8(ascii: "x")]) == .malformedMessage)
        #expect(error([3, 0xFF, 0xFE, 0x0A]) == .malformedMessage)
        #expect(error([0x80, 0x00]) == .messageTooLong)
        #expect(error([0x81, 0x08]) == .messageTooLong, "1,025")
        #expect(error([0x80, 0x08]) == nil, "1,024 is waited for")
        #expect(error([0xFF, 0xFF, 0xFF]) == .messageTooLong)
        #expect(error(line("/multistream/2.0.0")) == .wrongHeader)
        #expect(error(Array("GET / HTTP/1.1\r\n\r\n".utf8)) == nil, "71 bytes are waited for; the handshake limit cuts")
        var dialer = MultistreamDialer(protocols: ["/a"])
        var answer = ByteBuffer(bytes: line(MultistreamMessage.header) + line("/b"))
        #expect(throws: MultistreamError.unexpectedAnswer) { try dialer.received(&answer) }
    }

    @Test("Mutated bytes end the same way, whole or in pieces")
    func fuzz() {
        let seed = UInt64.random(in: 0...(.max))
        print("multistream fuzz seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        let valid = line(MultistreamMessage.header) + line("ls") + line("/noise")
        var ends: [String: Int] = [:]
        for _ in 0..<4_000 {
            let bytes = Bool.random(using: &generator) ? generator.mutated(valid) : valid
            let cut = Int.random(in: 0...bytes.count, using: &generator)
            let (whole, pieces) = (listened([bytes]), listened([Array(bytes[..<cut]), Array(bytes[cut...])]))
            #expect(whole == pieces, "seed \(seed), cut \(cut) of \(bytes)")
            #expect(dialed([bytes]) == dialed([Array(bytes[..<cut]), Array(bytes[cut...])]), "seed \(seed), \(bytes)")
            ends[whole.end, default: 0] += 1
        }
        #expect(ends["agreed on /noise", default: 0] > 1_000 && ends.count > 3, "seed \(seed): \(ends)")
    }

    private struct Outcome: Equatable {
        var sent: [UInt8] = []
        var end = "waits"
    }

    private func listened(_ pieces: [[UInt8]]) -> Outcome {
        var (outcome, buffer, listener) = (Outcome(), ByteBuffer(), MultistreamListener(protocols: ["/noise"]))
        do throws(MultistreamError) {
            for piece in pieces where outcome.end == "waits" {
                buffer.writeBytes(piece)
                let step = try listener.received(&buffer)
                outcome.sent += step.send
                if let agreed = step.agreed { outcome.end = "agreed on \(agreed)" }
            }
        } catch {
            // Answers given before the refusal are lost with the connection.
            outcome = Outcome(end: "\(error)")
        }
        return outcome
    }

    private func dialed(_ pieces: [[UInt8]]) -> Outcome {
        var (outcome, buffer, dialer) = (Outcome(), ByteBuffer(), MultistreamDialer(protocols: ["/noise", "ls"]))
        do throws(MultistreamError) {
            for piece in pieces {
                buffer.writeBytes(piece)
                while outcome.end == "waits" {
                    let step = try dialer.received(&buffer)
                    if step == .needsMore { break }
                    if case .send(let bytes) = step { outcome.sent += bytes }
                    if case .agreed(let name) = step { outcome.end = "agreed on \(name)" }
                }
            }
        } catch {
            outcome.end = "\(error)"
        }
        return outcome
    }
}
