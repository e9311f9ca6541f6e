import IPLD
package import Multiformats

/// How the originator checks what a receipt says before it counts (PROTOCOL.md, "Verification").
package enum VerificationLevel: Hashable, Sendable, Codable {
    /// It is believed, but for a refused module.
    case none
    /// The originator runs a share of such jobs again, in thousandths, drawn once the receipt is here.
    case spot(permille: UInt64)
    /// The originator runs every such job again.
    case replay

    /// Whether it may ask for a replay.
    package var mayReplay: Bool { self != .none }

    /// Whether its share is one.
    package var isWellFormed: Bool {
        guard case .spot(let permille) = self else { return true }
        return (1...1_000).contains(permille)
    }
}

/// What a job's commitment hides until its result is settled: how the result is checked, and the seed of the draw.
///
/// A manifest has the same commitment whatever the level, so that no executor can tell a watched job from another; and
/// neither side can choose the draw: the seed is fixed before the receipt, and the receipt before the seed is told.
package struct VerificationOpening: Hashable, Sendable, Codable {
    /// How the result is checked.
    package var level: VerificationLevel
    /// Secret random bytes, which also keep others from guessing the level.
    package var seed: [UInt8]

    package init(level: VerificationLevel, seed: [UInt8]) {
        self.level = level
        self.seed = seed
    }

    /// The length of the seed, in bytes.
    package static let seedBytes = 32
    /// The length of a commitment, in bytes.
    package static let commitmentBytes = 32
    private static let commitmentDomain = Array("icn-mesh/v1/VerificationOpening\0".utf8)
    private static let drawDomain = Array("icn-mesh/v1/VerificationDraw\0".utf8)

    /// What the manifest says of it: SHA-256 of the domain and this opening as DAG-CBOR; `nil` if it cannot be encoded.
    package var commitment: [UInt8]? {
        guard let bytes = try? DAGCBOREncoder().encode(self) else { return nil }
        return CID.hashing(Self.commitmentDomain + bytes, codec: .raw).multihash.digest
    }

    /// Whether it is what a manifest committed to.
    package func opens(_ commitment: [UInt8]?) -> Bool {
        seed.count == Self.seedBytes && level.isWellFormed && commitment != nil && self.commitment == commitment
    }

    /// Whether the originator has to run the job of this receipt again: the first 8 bytes of SHA-256 over the domain,
    /// the seed and the receipt's binary CID, as a big-endian number, modulo 1,000 are below the share.
    package func draws(_ receipt: CID) -> Bool {
        switch level {
        case .none: return false
        case .replay: return true
        case .spot(let permille):
            let digest = CID.hashing(Self.drawDomain + seed + receipt.bytes, codec: .raw).multihash.digest
            return digest.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) } % 1_000 < permille
        }
    }
}

/// What the originator says that it found when it checked a receipt.
package enum VerificationFinding: String, Hashable, Sendable, Codable, CaseIterable {
    /// It was not to be checked, by level and draw.
    case unchecked
    /// Its run was made again, and gave the same.
    case confirmed
    /// The same, but the fuel of its engine cannot be compared; paid is at most what the originator's own run used.
    case fuelUnknown = "fuel_unknown"
    /// It was to be checked, and the job's owner ended that.
    case waived
    /// Its run was made again, and gave something else.
    case refuted
    /// It was to be checked, and could not be.
    case unverified
}

extension VerificationLevel: CustomStringConvertible {
    /// As on the command line: `none`, `spot:10%`, `replay`.
    package var description: String {
        switch self {
        case .none: "none"
        case .replay: "replay"
        case .spot(let permille):
            "spot:\(permille / 10)" + (permille.isMultiple(of: 10) ? "" : ".\(permille % 10)") + "%"
        }
    }

    /// The level of a text as on the command line; a share has at most one decimal. `nil` for any other text.
    package init?(text: String) {
        switch text {
        case "none": self = .none
        case "replay": self = .replay
        default:
            guard text.hasPrefix("spot:"), text.hasSuffix("%") else { return nil }
            let share = text.dropFirst("spot:".count).dropLast()
            let parts = share.split(separator: ".", omittingEmptySubsequences: false)
            guard (1...2).contains(parts.count), parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy(\.isNumber) }),
                parts[0].count <= 3, let whole = UInt64(parts[0]),
                let tenths = parts.count == 1 ? 0 : (parts[1].count == 1 ? UInt64(parts[1]) : nil)
            else { return nil }
            let level = VerificationLevel.spot(permille: whole * 10 + tenths)
            guard level.isWellFormed else { return nil }
            self = level
        }
    }
}
