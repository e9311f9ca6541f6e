import MeshTypes
import Receipts

extension ReceiptRefusal {
    /// Why a receipt that breaks one of the `ReceiptRules` does not count.
    init(_ fault: ReceiptFault) {
        self =
            switch fault {
            case .differs(.executorDID): .wrongExecutor
            case .differs(let field): .chainMismatch(field: field.rawValue)
            case .statusContradicted: .statusMismatch
            case .endsBeforeItBegins, .idleTooSoon: .datesOutOfOrder
            case .tooMany(let field, _, _), .tooLong(let field, _, _): .tooMany(field: field.rawValue)
            case .nameNotAccepted(let field):
                .notVerified(reason: "a name in \(field.rawValue) is empty or has control characters")
            case .cidNotAccepted(let cid): .cidNotAccepted(cid)
            case .overLimit(let field, let used, let max): .overLimit(field: field.rawValue, used: used, max: max)
            case .priceNotDue(let asked, let due): .priceMismatch(asked: asked, due: due)
            }
    }
}
