import ArgumentParser
import Foundation
import MeshHTTP
import NodeAPI

/// `mesh pay`.
struct Pay: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Pay another member of an issuer.",
        discussion: """
            The payment is made once the issuer booked it, and showed that the entry is in its log. Where it does not \
            answer, the same command with --idempotency-key asks again, and pays once.
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var at: IssuerOption

    @Argument(help: ArgumentHelp("Who is paid.", valueName: "did"))
    var creditor: String

    @Argument(help: "The amount, in the issuer's unit, such as 12.50.")
    var amount: String

    @Option(help: "A key of your choice; the same key pays once.")
    var idempotencyKey: String?

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        let issuer = try await at.unit(node)
        let units = try CreditWords.units(amount, at: issuer)
        let key = idempotencyKey ?? UUID().uuidString.lowercased()
        // Whoever loses the answer, by Ctrl-C or a crash, has it still.
        if idempotencyKey == nil { console.note("The key of this payment is \(key); --idempotency-key asks again.") }
        let paid = try await node.pay(
            CreditPayment(issuer: issuer.did, creditor: creditor, amount: units, idempotencyKey: key))
        if global.json {
            try console.json(paid)
        } else {
            let text = CreditWords.text(paid.amount, paid.decimals)
            console.out(Terminal.safe("Paid \(text) \(paid.unit) to \(paid.creditor): entry \(paid.entry).") + "\n")
        }
        return .success
    }
}
