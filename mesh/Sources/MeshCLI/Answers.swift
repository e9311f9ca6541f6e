import ArgumentParser
import Multiformats
import NodeAPI

/// The answers of a command that was given several receipts: one that cannot be had does not keep the others back.
struct Answers<Answer: Encodable> {
    /// What became of one receipt, as JSON: the answer, or the failure under the receipt's CID.
    private enum Entry: Encodable {
        case answer(Answer)
        case failure(ReceiptFailure)

        func encode(to encoder: any Encoder) throws {
            switch self {
            case .answer(let answer): try answer.encode(to: encoder)
            case .failure(let failure): try failure.encode(to: encoder)
            }
        }
    }

    private let console: Console
    private let isJSON: Bool
    /// Whether JSON is a list: whoever gives a list gets one, whatever is in it.
    private let isList: Bool
    private let count: Int
    /// An answer for people.
    private let text: (Answer) -> String
    private var entries: [Entry] = []
    private var isFirst = true

    init(
        console: Console, global: GlobalOptions, arguments: [String], count: Int,
        text: @escaping (Answer) -> String
    ) {
        self.console = console
        self.text = text
        self.count = count
        isJSON = global.json
        isList = count > 1 || arguments.contains(LocalFile.stream)
    }

    /// Asks about a receipt, and prints the answer or the failure; the failure of the only one ends the command.
    mutating func add(
        _ receipt: NamedReceipt, _ ask: () async throws(NodeServiceError) -> Answer
    ) async throws {
        do throws(NodeServiceError) {
            let answer = try await ask()
            entries.append(.answer(answer))
            if !isJSON { console.out((isFirst ? "" : "\n") + text(answer)) }
        } catch {
            if !isList || error.code == .nodeNotRunning { throw error }
            entries.append(.failure(ReceiptFailure(receiptCID: receipt.cid.text, error: error)))
            if !isJSON { console.failure(error, status: ExitStatus(error.code), json: false) }
        }
        isFirst = false
    }

    /// Prints the JSON, or what became of several; the exit code is that of the worst.
    func end(_ status: (Answer) -> ExitStatus) throws -> ExitCode {
        let statuses = entries.map { entry in
            switch entry {
            case .answer(let answer): status(answer)
            case .failure(let failure): ExitStatus(failure.error.code)
            }
        }
        if isJSON {
            if isList { try console.json(entries) } else { for entry in entries { try console.json(entry) } }
        } else if count > 1 {
            let good = statuses.count { $0 == .success }
            console.note("\(good) of \(count) receipts are in order.")
        }
        return ExitCode(Self.worst(statuses).rawValue)
    }

    /// A check that failed, else a failure, else what could not be checked.
    static func worst(_ statuses: [ExitStatus]) -> ExitStatus {
        if statuses.contains(.verificationFailed) { return .verificationFailed }
        return statuses.first { $0 != .success && $0 != .verificationIncomplete }
            ?? statuses.first { $0 != .success } ?? .success
    }
}

/// A receipt that a command could do nothing with, as JSON.
struct ReceiptFailure: Encodable {
    let receiptCID: String
    let error: NodeServiceError

    private enum CodingKeys: String, CodingKey {
        case error
        case receiptCID = "receipt_cid"
    }
}
