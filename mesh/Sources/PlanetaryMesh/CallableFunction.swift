import CoVM
import MeshTypes
import NodeAPI

/// A function of a module that a job calls with numbers, as its owner names it and gives them.
struct CallableFunction: Sendable {
    /// The types of its parameters.
    let parameters: [WasmNumber.Kind]
    /// The function with its types, such as `add(i32, i32) -> i32`.
    let signature: String
    /// All functions of the module that can be called so, in words.
    let others: String

    /// The function of this name; what is wrong with it is the owner's mistake.
    init(_ name: String, of inspection: ModuleInspection) throws(NodeServiceError) {
        let signatures = inspection.callableSignatures
        others =
            signatures.isEmpty
            ? "It exports no function that takes and returns numbers alone."
            : "It exports \(ModuleRefusal.list(signatures))."
        do {
            let function = try inspection.numericType(ofFunction: name)
            (parameters, signature) = (function.parameters, function.signature)
        } catch {
            let hint = if case .noFunction = error { error.advice } else { others }
            throw NodeServiceError(.moduleRefused, "The module is refused: \(error).", hint: hint)
        }
    }

    /// The numbers that texts stand for, as the function takes them.
    func numbers(_ texts: [String]) throws(NodeServiceError) -> [WasmNumber] {
        guard texts.count == parameters.count else {
            let taken = parameters.count == 1 ? "1 number" : "\(parameters.count) numbers"
            throw NodeServiceError(.invalidRequest, "\(signature) takes \(taken), not \(texts.count).", hint: others)
        }
        var numbers: [WasmNumber] = []
        for (text, type) in zip(texts, parameters) {
            do throws(WasmNumber.TextFault) {
                numbers.append(try WasmNumber(text, as: type))
            } catch {
                let given = PlainText.sanitized(text, bytesMax: 64)
                let place = "number \(numbers.count + 1) of \(signature)"
                let message =
                    switch error {
                    case .notANumber: "\"\(given)\" is no \(type.form), which \(place) has to be."
                    case .outOfRange: "\(given) is out of the range of \(type.rawValue), which \(place) has to be."
                    }
                throw NodeServiceError(.invalidRequest, message, hint: others)
            }
        }
        return numbers
    }
}

extension WasmNumber.Kind {
    /// What a text of the type is.
    fileprivate var form: String {
        switch self {
        case .i32: "whole number (i32)"
        case .i64: "whole number (i64)"
        case .f32: "number (f32)"
        case .f64: "number (f64)"
        }
    }
}
