/// A module that counts down and ends: as many rounds as it is told, about five units of fuel each.
///
///     (module (func (export "_start") (local i64)
///       i64.const ROUNDS  local.set 0
///       loop  local.get 0  i64.const 1  i64.sub  local.tee 0  i64.const 0  i64.ne  br_if 0  end))
enum CountdownModule {
    static func bytes(rounds: Int64) -> [UInt8] {
        var body: [UInt8] = [0x01, 0x01, 0x7E, 0x42] + signedLEB128(rounds)
        body += [
            0x21, 0x00, 0x03, 0x40, 0x20, 0x00, 0x42, 0x01, 0x7D, 0x22, 0x00, 0x42, 0x00, 0x52, 0x0D, 0x00, 0x0B, 0x0B,
        ]
        var module: [UInt8] = [0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00]
        module += section(1, [0x01, 0x60, 0x00, 0x00])
        module += section(3, [0x01, 0x00])
        module += section(7, [0x01, 0x06] + Array("_start".utf8) + [0x00, 0x00])
        module += section(10, [0x01] + unsignedLEB128(body.count) + body)
        return module
    }

    /// A module that takes an engine seconds to compile, and does nothing: some megabytes of functions, with a name so
    /// that no engine has it already.
    static func slowToCompile(_ name: String) -> [UInt8] {
        let (functions, rounds) = (2_000, 300)
        // (local.set 0 (i64.add (i64.mul (local.get 0) (local.get 0)) (i64.const 1)))
        let step: [UInt8] = [0x20, 0x00, 0x20, 0x00, 0x7E, 0x42, 0x01, 0x7C, 0x21, 0x00]
        let body = [0x01, 0x01, 0x7E] + Array(repeatElement(step, count: rounds).joined()) + [0x0B]
        let start: [UInt8] = [0x02, 0x00, 0x0B]
        var module: [UInt8] = [0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00]
        module += section(0, [UInt8(name.utf8.count)] + Array(name.utf8))
        module += section(1, [0x01, 0x60, 0x00, 0x00])
        module += section(3, unsignedLEB128(functions + 1) + Array(repeating: 0, count: functions + 1))
        module += section(7, [0x01, 0x06] + Array("_start".utf8) + [0x00, 0x00])
        let bodies = Array(repeatElement(unsignedLEB128(body.count) + body, count: functions).joined())
        module += section(10, unsignedLEB128(functions + 1) + start + bodies)
        return module
    }

    private static func section(_ id: UInt8, _ content: [UInt8]) -> [UInt8] {
        [id] + unsignedLEB128(content.count) + content
    }

    private static func unsignedLEB128(_ value: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = value
        repeat {
            bytes.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
            rest >>= 7
        } while rest > 0
        return bytes
    }

    private static func signedLEB128(_ value: Int64) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = value
        while true {
            let low = UInt8(truncatingIfNeeded: rest) & 0x7F
            rest >>= 7
            let isLast = (rest == 0 && low & 0x40 == 0) || (rest == -1 && low & 0x40 != 0)
            bytes.append(isLast ? low : low | 0x80)
            if isLast { return bytes }
        }
    }
}
