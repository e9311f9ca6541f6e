import IPLD
import Multiformats

/// Equality of what is signed: by bytes, as a signature and a CID see it, never by what the text looks like.
enum CanonicalEquality {
    /// Whether two values encode to the same bytes.
    static func areEqual<Body: Encodable>(_ left: Body, _ right: Body) -> Bool {
        bytes(left) == bytes(right)
    }

    /// Hashes what a value encodes to.
    static func hash<Body: Encodable>(_ body: Body, into hasher: inout Hasher) {
        hasher.combine(bytes(body))
    }

    private static func bytes<Body: Encodable>(_ body: Body) -> [UInt8]? {
        try? DAGCBOREncoder().encode(body)
    }
}

extension MeshJobParams {
    package static func == (left: Self, right: Self) -> Bool { CanonicalEquality.areEqual(left, right) }

    /// Hashes what the parameters encode to.
    package func hash(into hasher: inout Hasher) { CanonicalEquality.hash(self, into: &hasher) }
}

extension JobFiles {
    package static func == (left: Self, right: Self) -> Bool { CanonicalEquality.areEqual(left, right) }

    /// Hashes what the files encode to.
    package func hash(into hasher: inout Hasher) { CanonicalEquality.hash(self, into: &hasher) }
}

extension JobFiles.Mount {
    package static func == (left: Self, right: Self) -> Bool { CanonicalEquality.areEqual(left, right) }

    /// Hashes what the mount encodes to.
    package func hash(into hasher: inout Hasher) { CanonicalEquality.hash(self, into: &hasher) }
}

extension ExecutionPolicy {
    package static func == (left: Self, right: Self) -> Bool { CanonicalEquality.areEqual(left, right) }

    /// Hashes what the policy encodes to.
    package func hash(into hasher: inout Hasher) { CanonicalEquality.hash(self, into: &hasher) }
}

extension WorkflowStage {
    package static func == (left: Self, right: Self) -> Bool { CanonicalEquality.areEqual(left, right) }

    /// Hashes what the stage encodes to.
    package func hash(into hasher: inout Hasher) { CanonicalEquality.hash(self, into: &hasher) }
}

extension NodeCapability {
    package static func == (left: Self, right: Self) -> Bool { CanonicalEquality.areEqual(left, right) }

    /// Hashes what the capability encodes to.
    package func hash(into hasher: inout Hasher) { CanonicalEquality.hash(self, into: &hasher) }
}

extension Bid {
    package static func == (left: Self, right: Self) -> Bool { CanonicalEquality.areEqual(left, right) }

    /// Hashes what the bid encodes to.
    package func hash(into hasher: inout Hasher) { CanonicalEquality.hash(self, into: &hasher) }
}

extension AnchorEntry {
    package static func == (left: Self, right: Self) -> Bool { CanonicalEquality.areEqual(left, right) }

    /// Hashes what the entry encodes to.
    package func hash(into hasher: inout Hasher) { CanonicalEquality.hash(self, into: &hasher) }
}

extension ProtocolBid {
    package static func == (left: Self, right: Self) -> Bool {
        left.jobID == right.jobID && left.jobOriginator == right.jobOriginator && left.executorDID == right.executorDID
            && left.price == right.price && left.executionNodeID == right.executionNodeID
            && left.region.map(ExactText.init) == right.region.map(ExactText.init) && left.signedBid == right.signedBid
    }

    /// Hashes the signed bid, which contains everything else.
    package func hash(into hasher: inout Hasher) { hasher.combine(signedBid) }
}

extension EngineDescription {
    package static func == (left: Self, right: Self) -> Bool { left.texts == right.texts }

    /// Hashes the bytes of the texts.
    package func hash(into hasher: inout Hasher) { hasher.combine(texts) }

    private var texts: [ExactText?] {
        [name, version, configurationDigest, instructionSet, processorBaseline].map { $0.map(ExactText.init) }
    }
}

extension ExecutionOutcome {
    package static func == (left: Self, right: Self) -> Bool {
        switch (left, right) {
        case (.exited(let left), .exited(let right)): left == right
        case (.trapped(let leftKind, let left), .trapped(let rightKind, let right)):
            leftKind == rightKind && left.isSameBytes(as: right)
        case (.limitExceeded(let left), .limitExceeded(let right)): left == right
        case (.cancelled, .cancelled): true
        case (.moduleRefused(let left), .moduleRefused(let right)), (.filesRefused(let left), .filesRefused(let right)),
            (.fetchFailed(let left), .fetchFailed(let right)), (.nodeFailed(let left), .nodeFailed(let right)):
            left.isSameBytes(as: right)
        default: false
        }
    }

    /// Hashes the case with its values, texts by their bytes.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(responsibility)
        switch self {
        case .exited(let code): hasher.combine(code)
        case .trapped(let kind, let text):
            hasher.combine(kind)
            hasher.combine(ExactText(text))
        case .limitExceeded(let limit): hasher.combine(limit)
        case .cancelled: break
        case .moduleRefused(let text), .filesRefused(let text), .fetchFailed(let text), .nodeFailed(let text):
            hasher.combine(ExactText(text))
        }
    }
}
