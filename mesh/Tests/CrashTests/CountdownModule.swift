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
        module += section(10, [0x01, UInt8(body.count)] + body)
        return module
    }

    private static func section(_ id: UInt8, _ content: [UInt8]) -> [UInt8] {
        [id, UInt8(content.count)] + content
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
