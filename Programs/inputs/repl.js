// A loop that reads a line, evaluates it, and prints what that gives, until the end of its input.
import * as std from "qjs:std"

const evaluate = globalThis.eval
for (let line; (line = std.in.getline()) !== null; ) {
    try {
        std.out.puts(`${evaluate(line)}\n`)
    } catch (error) {
        std.out.puts(`${error}\n`)
    }
    std.out.flush()
}
std.out.puts("the end\n")
