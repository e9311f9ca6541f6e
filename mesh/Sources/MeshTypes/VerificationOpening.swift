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
    /// So many executors run the work, and so many of them have to give the same where the originator cannot run it.
    case quorum(agreeing: UInt64, of: UInt64)
    /// The originator runs a share of such jobs again, the smaller the more of the executor's results it found right.
    case adaptive
    /// As the level in it, but another executor makes the second run, for pay, and both results are compared.
    indirect case byExecutor(VerificationLevel)

    /// The most executors of one work.
    package static let executorsMax: UInt64 = 8
    /// The most that run a work which executors check: one to do it, one to check it, and one more where their results
    /// differ and the originator can run neither.
    package static let checkedExecutorsMax: UInt64 = 3

    /// Whether it may ask for a replay.
    package var mayReplay: Bool { self != .none }

    /// How many executors run the work, whatever they find.
    package var executors: UInt64 { if case .quorum(_, let count) = self { count } else { 1 } }

    /// How many executors may run the work, each for its own price.
    package var executorsMost: UInt64 { isByExecutor ? Self.checkedExecutorsMax : executors }

    /// Whether another executor makes its second run.
    package var isByExecutor: Bool { if case .byExecutor = self { true } else { false } }

    /// What says when a result is checked, whoever does it.
    package var share: VerificationLevel { if case .byExecutor(let level) = self { level } else { self } }

    /// Whether its share is one, or its quorum more than half of a few.
    package var isWellFormed: Bool {
        switch self {
        case .none, .replay, .adaptive: true
        case .byExecutor(.replay), .byExecutor(.adaptive): true
        case .byExecutor(.spot(let permille)): (1...1_000).contains(permille)
        case .byExecutor: false
        case .spot(let permille): (1...1_000).contains(permille)
        case .quorum(let agreeing, let count):
            (2...Self.executorsMax).contains(count) && agreeing <= count && 2 * agreeing > count
        }
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
    ///
    /// - Parameter adaptivePermille: the share at the level `adaptive`, which only the originator knows.
    package func draws(_ receipt: CID, adaptivePermille: UInt64 = 1_000) -> Bool {
        switch level.share {
        case .none, .byExecutor: false
        case .replay, .quorum: true
        case .spot(let permille): draw(receipt) < permille
        case .adaptive: draw(receipt) < adaptivePermille
        }
    }

    private func draw(_ receipt: CID) -> UInt64 {
        let digest = CID.hashing(Self.drawDomain + seed + receipt.bytes, codec: .raw).multihash.digest
        return digest.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) } % 1_000
    }
}

extension VerificationOpening {
    private enum CodingKeys: String, CodingKey {
        case level
        case seed
        case checker
    }

    /// Who makes the second run, where it is not the originator.
    private enum Checker: String, Codable {
        case executor
    }

    /// Reads an opening.
    ///
    /// - Throws: also for a checker that this version does not know.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        seed = try container.decode([UInt8].self, forKey: .seed)
        let share = try container.decode(VerificationLevel.self, forKey: .level)
        let checker = try container.decodeIfPresent(Checker.self, forKey: .checker)
        level = checker == nil ? share : .byExecutor(share)
    }

    /// The level is that of a check by the originator, as earlier versions read it; who else makes it stands beside it.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(level.share, forKey: .level)
        try container.encode(seed, forKey: .seed)
        if level.isByExecutor { try container.encode(Checker.executor, forKey: .checker) }
    }
}

/// What the originator says that it found when it checked a receipt.
package enum VerificationFinding: String, Hashable, Sendable, Codable, CaseIterable {
    /// It was not to be checked, by level and draw.
    case unchecked
    /// Its run was made again, and gave the same.
    case confirmed
    /// Enough other executors gave the same.
    case agreed
    /// The same as in a second run, but the fuel of its engine cannot be compared; paid is at most what the
    /// originator's own run used.
    case fuelUnknown = "fuel_unknown"
    /// It was to be checked, and the job's owner ended that.
    case waived
    /// Its run was made again, and gave something else.
    case refuted
    /// It was to be checked, and could not be.
    case unverified
}

extension VerificationLevel: CustomStringConvertible {
    /// What a level ends with that another executor checks.
    private static let byExecutorSuffix = "@executor"

    /// As on the command line: `none`, `spot:10%`, `replay`, `quorum:2/3`, `adaptive`, `spot:10%@executor`.
    package var description: String {
        switch self {
        case .byExecutor(let level): "\(level)\(Self.byExecutorSuffix)"
        case .none: "none"
        case .replay: "replay"
        case .adaptive: "adaptive"
        case .quorum(let agreeing, let count): "quorum:\(agreeing)/\(count)"
        case .spot(let permille):
            "spot:\(permille / 10)" + (permille.isMultiple(of: 10) ? "" : ".\(permille % 10)") + "%"
        }
    }

    /// The level of a text as on the command line; a share has at most one decimal. `nil` for any other text.
    package init?(text: String) {
        let isByExecutor = text.hasSuffix(Self.byExecutorSuffix)
        let share = isByExecutor ? String(text.dropLast(Self.byExecutorSuffix.count)) : text
        guard let level = Self.plain(of: share) else { return nil }
        self = isByExecutor ? .byExecutor(level) : level
        guard isWellFormed else { return nil }
    }

    /// The level of a text that does not say who checks.
    private static func plain(of text: String) -> VerificationLevel? {
        switch text {
        case "none": VerificationLevel.none
        case "replay": .replay
        case "adaptive": .adaptive
        default: spot(of: text) ?? quorum(of: text)
        }
    }

    private static func spot(of text: String) -> VerificationLevel? {
        guard text.hasPrefix("spot:"), text.hasSuffix("%") else { return nil }
        let share = text.dropFirst("spot:".count).dropLast()
        let parts = share.split(separator: ".", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy(\.isNumber) }),
            parts[0].count <= 3, let whole = UInt64(parts[0]),
            let tenths = parts.count == 1 ? 0 : (parts[1].count == 1 ? UInt64(parts[1]) : nil)
        else { return nil }
        return .spot(permille: whole * 10 + tenths)
    }

    private static func quorum(of text: String) -> VerificationLevel? {
        guard text.hasPrefix("quorum:") else { return nil }
        let parts = text.dropFirst("quorum:".count).split(separator: "/", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { $0.count == 1 ? UInt64($0) : nil }
        guard parts.count == 2, numbers.count == 2 else { return nil }
        return .quorum(agreeing: numbers[0], of: numbers[1])
    }
}
