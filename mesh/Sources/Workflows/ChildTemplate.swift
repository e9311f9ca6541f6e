import MeshTypes
package import Multiformats
import SignedObjects

/// What a stage's jobs are made from.
package struct ChildTemplate: Sendable {
    /// What an item stands for.
    package struct Item: Hashable, Sendable {
        /// The name, the text or the number.
        package var text: String
        /// Its position among all.
        package var index: Int

        package init(text: String, index: Int) {
            self.text = text
            self.index = index
        }
    }

    /// Content that a job reads.
    package struct Content: Hashable, Sendable {
        /// What it is.
        package var cid: CID
        /// Whether it is a folder.
        package var isFolder: Bool

        package init(cid: CID, isFolder: Bool) {
            self.cid = cid
            self.isFolder = isFolder
        }
    }

    private let stage: StageDefinition

    package init(_ stage: StageDefinition) { self.stage = stage }

    /// A job with stand-ins for all that is not known yet, for the rules.
    func sample(_ isFolder: (WorkflowSource) -> Bool) -> MeshJobParams {
        params(module: CID.hashing([], codec: .raw), item: nil) { source in
            let isFolder = isFolder(source)
            return Content(cid: CID.hashing([], codec: isFolder ? .dagPB : .raw), isFolder: isFolder)
        }
    }

    /// The job for an item, as its manifest will say.
    func params(module: CID, item: Item?, _ content: (WorkflowSource) -> Content?) -> MeshJobParams {
        let given = stage.limits
        var limits = ExecutionLimits.standard
        limits.timeoutSeconds = given.timeoutSeconds ?? limits.timeoutSeconds
        limits.maxFuel = given.maxFuel ?? limits.maxFuel
        limits.maxMemoryBytes = given.maxMemoryBytes ?? limits.maxMemoryBytes
        limits.maxOutputBytes = given.maxOutputBytes ?? limits.maxOutputBytes
        var params = MeshJobParams(wasmCID: module.version1, limits: limits)
        params.entry = stage.entry
        params.args = stage.args.map { Self.filled($0, item) }
        params.env = CanonicalMap(stage.env.map { ($0.key, Self.filled($0.value, item)) })
        params.inputCIDs = CanonicalMap(
            stage.inputs.compactMap { input in content(input.value).map { (input.key, $0.cid.version1) } })
        params.resourcesRequired = stage.policy.resources ?? ResourceAmounts()
        var policy = ExecutionPolicy(stage.policy)
        if stage.hasFiles {
            params.files = files(content)
            policy.require(JobFiles.feature)
        }
        if stage.isAttested {
            params.determinism = .attested
            policy.require(AttestedRun.feature)
        }
        params.executionPolicy = policy
        params.maxAcceptableBidTokens = stage.jobBudget.map { TokenAmount($0) }
        return params
    }

    private func files(_ content: (WorkflowSource) -> Content?) -> JobFiles {
        var files = JobFiles(workingFolder: stage.workingFolder)
        for mount in stage.mounts {
            var made = JobFiles.Mount(emptyFolderAt: mount.path)
            if let source = mount.source, let content = content(source) {
                made.cid = content.cid.version1
                made.isFolder = content.isFolder
                made.isWritable = mount.isWritable
            }
            files.mounts.append(made)
        }
        if let folder = stage.workingFolder, !stage.mounts.contains(where: { $0.path == folder }) {
            files.mounts.append(JobFiles.Mount(emptyFolderAt: folder))
        }
        files.hasTemporaryFolder = stage.hasTemporaryFolder
        files.maxBytes = stage.limits.maxFileBytes ?? files.maxBytes
        files.maxEntries = stage.limits.maxEntries ?? files.maxEntries
        files.collect = stage.collect
        return files
    }

    /// A text with the item's words in it.
    private static func filled(_ text: String, _ item: Item?) -> String {
        guard let item, text.utf8.contains(UInt8(ascii: "{")) else { return text }
        var (filled, rest) = ("", text[...])
        while let brace = rest.firstIndex(of: "{") {
            filled += rest[..<brace]
            rest = rest[brace...]
            if rest.hasPrefix("{item}") {
                filled += item.text
                rest = rest.dropFirst("{item}".count)
            } else if rest.hasPrefix("{index}") {
                filled += "\(item.index)"
                rest = rest.dropFirst("{index}".count)
            } else {
                filled += "{"
                rest = rest.dropFirst()
            }
        }
        return filled + rest
    }
}

extension ExecutionPolicy {
    /// A stage's policy as its jobs' manifests say it, with the features that it takes.
    fileprivate init(_ policy: StagePolicy) {
        self.init()
        minReputation = policy.minReputation
        regionFilter = policy.regions
        allowedDIDs = policy.allowedDIDs?.compactMap { try? DID(parsing: $0) }
        deniedDIDs = policy.deniedDIDs?.compactMap { try? DID(parsing: $0) }
        bidWindowMilliseconds = policy.bidWindowMilliseconds
        sufficientBids = policy.sufficientBids
        requiredFeatures = policy.features
        deadline = policy.deadline.map(UnixMilliseconds.init)
        weights = policy.weights
        maxAttempts = policy.maxAttempts
        publicBids = policy.publicBids == true ? true : nil
        publicStatus = policy.publicStatus == true ? true : nil
        if hasPublicBids || hasPublicStatus { require(PublicJob.feature) }
        hedge = policy.hedge == true ? true : nil
        if allowsHedge { require(HedgedJob.feature) }
    }
}
