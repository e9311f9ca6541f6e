/// The checks of a receipt, in the order of a report.
package enum ReceiptCheckName: String, Hashable, Sendable, CaseIterable {
    /// The block has the CID that was asked for.
    case receiptBlock = "receipt_block"
    /// The executor signed it.
    case receiptSignature = "receipt_signature"
    /// Every CID in it has an accepted form.
    case contentIdentifiers = "content_identifiers"
    /// The assignment is there, has its CID, and is signed by the originator.
    case assignmentSignature = "assignment_signature"
    /// Receipt and assignment name the same job, originator and executor.
    case assignmentLinks = "assignment_links"
    /// Receipt and assignment count the same attempt.
    case attempt
    /// The bid is there, has its CID, and is signed by the executor.
    case bidSignature = "bid_signature"
    /// The bid is for this job and its originator.
    case bidLinks = "bid_links"
    /// The manifest is there, its CID is the job's, and the originator signed it.
    case manifestSignature = "manifest_signature"
    /// DIDs and PeerIDs in the chain come from the same keys.
    case identities
    /// The assignment repeats the terms of the bid.
    case terms
    /// The agreed price is within the job's budget.
    case budget
    /// The agreed terms name an issuer that the job is paid by, or none if it costs tokens.
    case payment
    /// The job's lists of executors admit this one.
    case executors
    /// The bid is of a region that the job admits.
    case region
    /// The bid has the features that the job requires.
    case features
    /// The bid has the resources that the job requires, and guarantees them.
    case resources
    /// The executor's reputation was what the job asks for at least.
    case reputation
    /// The bid promised the result by the job's date.
    case deadline
    /// The module ran no longer than the job allows.
    case timeout
    /// Module, inputs and determinism match the manifest.
    case work
    /// The fuel is within the job's limit.
    case fuelLimit = "fuel_limit"
    /// The memory is within the job's limit.
    case memoryLimit = "memory_limit"
    /// The outputs are within the job's limit.
    case outputLimit = "output_limit"
    /// The status is the one that follows from the outcome.
    case status
    /// The price is what the agreed terms give for the outcome and the fuel.
    case price
    /// The dates of the chain are in order.
    case times
    /// Every output, the standard streams and the log are there and have their CIDs.
    case outputs
    /// The receipt before it is there, is the same executor's, and no other receipt names it as the one before.
    case predecessor

    /// Whether it is about what the job demands of its executor.
    var isOfPolicy: Bool {
        switch self {
        case .budget, .payment, .executors, .region, .features, .resources, .reputation, .deadline, .timeout: true
        default: false
        }
    }

    /// What is checked, in a few words for people.
    package var title: String {
        switch self {
        case .receiptBlock: "receipt has its CID"
        case .receiptSignature: "receipt signed by its executor"
        case .contentIdentifiers: "CIDs of the accepted forms"
        case .assignmentSignature: "assignment signed by the originator"
        case .assignmentLinks: "assignment is for this run"
        case .attempt: "attempt as assigned"
        case .bidSignature: "bid signed by the executor"
        case .bidLinks: "bid is for this job"
        case .manifestSignature: "manifest signed by the originator"
        case .identities: "DIDs and PeerIDs agree"
        case .terms: "terms as bid"
        case .budget: "price within the budget"
        case .payment: "paid as the job says"
        case .executors: "executor admitted by the job"
        case .region: "region as the job asks"
        case .features: "features as the job asks"
        case .resources: "resources as the job asks"
        case .reputation: "reputation as the job asks"
        case .deadline: "result promised in time"
        case .timeout: "run within the timeout"
        case .work: "module and inputs as in the manifest"
        case .fuelLimit: "fuel within the limit"
        case .memoryLimit: "memory within the limit"
        case .outputLimit: "outputs within the limit"
        case .status: "status follows from the outcome"
        case .price: "price follows from the fuel"
        case .times: "dates in order"
        case .outputs: "outputs present"
        case .predecessor: "one after the receipt before it"
        }
    }
}
