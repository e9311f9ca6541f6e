// The smallest job that does something: adds the numbers on standard input and prints the sum.

@main
struct Sum {
    static func main() {
        var sum: Int64 = 0
        var number: Int64 = 0
        for byte in Standard.readAll() + [0x0A] {
            if byte >= 0x30 && byte <= 0x39 {
                number = number &* 10 &+ Int64(byte - 0x30)
            } else {
                sum &+= number
                number = 0
            }
        }
        Standard.write("\(sum)\n")
    }
}
