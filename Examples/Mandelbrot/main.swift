// Draws the Mandelbrot set: `mesh run Mandelbrot.wasm --workdir /job --collect set.png:./set.png -- 640 480`.
// Floating-point numbers are the same on every machine here, so whoever replays it gets the same picture to the bit.

@main
struct Mandelbrot {
    static let sideMax = 4_096

    static func main() {
        let sides = Standard.arguments().map { number($0) }
        let width = sides.isEmpty ? 640 : sides[0]
        let height = sides.count < 2 ? width * 3 / 4 : sides[1]
        guard sides.count <= 2, (1...sideMax).contains(width), (1...sideMax).contains(height) else {
            Standard.complain("Give the width and the height in pixels, each from 1 to 4096.\n")
            Standard.exit(2)
        }
        var inside = 0
        var rows: [UInt8] = []
        rows.reserveCapacity(height * (1 + 3 * width))
        for y in 0..<height {
            // Each row of a PNG begins with the number of its filter; 0 is none.
            rows.append(0)
            for x in 0..<width {
                let scale = 3.0 / Double(width)
                let steps = escape((Double(x) + 0.5) * scale - 2.25, (Double(y) + 0.5 - Double(height) / 2) * scale)
                if steps == stepsMax { inside += 1 }
                rows += color(steps)
            }
        }
        let picture = PNG.encode(rows, width: width, height: height)
        guard Files.write(Array("set.png".utf8), picture) else {
            Standard.complain("set.png cannot be written: the job needs a working folder with room for it.\n")
            Standard.exit(1)
        }
        Standard.write("\(width) x \(height) pixels, \(inside) of them inside the set\n")
    }

    static let stepsMax = 256

    /// How many steps a point takes to leave, at most ``stepsMax``.
    private static func escape(_ real: Double, _ imaginary: Double) -> Int {
        var (x, y) = (0.0, 0.0)
        for step in 0..<stepsMax {
            let (xx, yy) = (x * x, y * y)
            if xx + yy > 4 { return step }
            y = 2 * x * y + imaginary
            x = xx - yy + real
        }
        return stepsMax
    }

    /// Black inside; outside from deep blue over white to gold.
    private static func color(_ steps: Int) -> [UInt8] {
        if steps == stepsMax { return [0, 0, 0] }
        let level = steps * 8 % 512
        if level < 256 { return [UInt8(level), UInt8(level), UInt8(96 + level * 5 / 8)] }
        let rest = 511 - level
        return [UInt8(155 + rest * 100 / 255), UInt8(90 + rest * 165 / 255), UInt8(rest)]
    }

    private static func number(_ text: [UInt8]) -> Int {
        guard !text.isEmpty, text.count <= 5 else { return 0 }
        var value = 0
        for byte in text {
            guard byte >= 0x30 && byte <= 0x39 else { return 0 }
            value = value * 10 + Int(byte - 0x30)
        }
        return value
    }
}

/// Writes PNG files without compressing them, which is the least that the format asks.
enum PNG {
    /// A picture of 24 bits a pixel.
    static func encode(_ rows: [UInt8], width: Int, height: Int) -> [UInt8] {
        var file: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
        chunk("IHDR", big(UInt32(width)) + big(UInt32(height)) + [8, 2, 0, 0, 0], to: &file)
        chunk("IDAT", stored(rows), to: &file)
        chunk("IEND", [], to: &file)
        return file
    }

    /// A zlib stream of stored blocks.
    private static func stored(_ bytes: [UInt8]) -> [UInt8] {
        var stream: [UInt8] = [0x78, 0x01]
        stream.reserveCapacity(bytes.count + bytes.count / 8_192 + 16)
        var offset = 0
        while offset < bytes.count {
            let count = min(bytes.count - offset, 65_535)
            let isLast: UInt8 = offset + count == bytes.count ? 1 : 0
            let length = [UInt8(count & 0xFF), UInt8(count >> 8)]
            stream += [isLast, length[0], length[1], ~length[0], ~length[1]]
            stream += bytes[offset..<(offset + count)]
            offset += count
        }
        var (low, high): (UInt32, UInt32) = (1, 0)
        for byte in bytes {
            low = (low + UInt32(byte)) % 65_521
            high = (high + low) % 65_521
        }
        return stream + big(high << 16 | low)
    }

    private static func chunk(_ name: String, _ body: [UInt8], to file: inout [UInt8]) {
        let named = Array(name.utf8) + body
        var sum: UInt32 = 0xFFFF_FFFF
        for byte in named {
            sum ^= UInt32(byte)
            for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ 0xEDB8_8320 : sum >> 1 }
        }
        file += big(UInt32(body.count)) + named + big(~sum)
    }

    private static func big(_ value: UInt32) -> [UInt8] {
        [UInt8(value >> 24), UInt8(value >> 16 & 0xFF), UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)]
    }
}
