import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects

extension JobSubmission {
    /// The job that a manifest's parameters ask for.
    init(_ params: MeshJobParams) {
        let policy = params.executionPolicy ?? ExecutionPolicy()
        self.init(
            moduleCID: params.wasmCID.text, entry: params.entry, args: params.args,
            env: params.env.map { NamedText(name: $0.key, text: $0.value) },
            inputs: params.inputCIDs.map { NamedText(name: $0.key, text: $0.value.text) },
            limits: Limits(
                timeoutSeconds: params.timeoutSeconds, maxFuel: params.maxFuel, maxMemoryBytes: params.maxMemoryBytes,
                maxOutputBytes: params.maxOutputBytes),
            budget: params.maxAcceptableBidTokens?.units,
            policy: Policy(
                minReputation: policy.minReputation, regions: policy.regionFilter,
                allowedDIDs: policy.allowedDIDs?.map(\.text), deniedDIDs: policy.deniedDIDs?.map(\.text),
                bidWindowMilliseconds: policy.bidWindowMilliseconds, sufficientBids: policy.sufficientBids))
        self.policy.requiredFeatures = policy.requiredFeatures
        let resources = params.resourcesRequired.map { Policy.Amount(name: $0.key, amount: $0.value) }
        self.policy.resources = resources.isEmpty ? nil : resources
        self.policy.deadline = policy.deadline?.value
        self.policy.weights = policy.weights.map {
            Policy.Weights(
                price: $0.price, reputation: $0.reputation, region: $0.region, latency: $0.latency, load: $0.load)
        }
        self.policy.maxAttempts = policy.maxAttempts
        (self.policy.publicBids, self.policy.publicStatus) = (policy.publicBids, policy.publicStatus)
        self.policy.hedge = policy.hedge
        self.policy.payBy = policy.payBy?.issuers.map(\.text)
        self.policy.token = params.scopedResourceToken
        files = params.files.map(Files.init)
        determinism = params.determinism == .deterministic ? nil : params.determinism.rawValue
    }
}
