@testable import GuestFiles

extension DifferentialTests {
    private static let page = [UInt8](repeating: 7, count: 4_096)

    private static func bytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 * 31 + 1) } }

    /// What several calls do together.
    static let sequences: [(String, [FileStep])] = contents + naming + directories + links

    private static let contents: [(String, [FileStep])] = [
        ("write and read back", [.create("f"), .put(1, "abc"), .seek(1, 0, whence: 0), .read(1, 10)]),
        (
            "read moves the position",
            [.create("f"), .put(1, "abcdef"), .seek(1, 1, whence: 0), .read(1, 2), .read(1, 9)]
        ),
        ("read at the end", [.create("f"), .put(1, "abc"), .read(1, 5)]),
        ("pread does not move", [.create("f"), .put(1, "abcdef"), .readAt(1, 3, 2), .seek(1, 0, whence: 1)]),
        ("pread past the end", [.create("f"), .put(1, "abc"), .readAt(1, 3, 100)]),
        ("pwrite does not move", [.create("f"), .writeAt(1, [1, 2], 5), .put(1, "x"), .statusOf(1)]),
        ("hole is zeros", [.create("f"), .writeAt(1, [9], 10_000), .readAt(1, 20, 9_985), .statusOf(1)]),
        ("hole over pages", [.create("f"), .writeAt(1, [9], 70_000), .readAt(1, 65_536, 0)]),
        ("write over a page boundary", [.create("f"), .writeAt(1, bytes(100), 4_050), .readAt(1, 200, 4_000)]),
        ("write of many pages", [.create("f"), .write(1, bytes(20_000)), .readAt(1, 30_000, 0)]),
        (
            "overwrite in the middle",
            [.create("f"), .write(1, bytes(9_000)), .writeAt(1, [0, 0, 0], 4_095), .readAt(1, 9_000, 0)]
        ),
        ("write of nothing", [.create("f"), .write(1, []), .statusOf(1)]),
        ("write of nothing far out", [.create("f"), .writeAt(1, [], 9_000), .statusOf(1)]),
        ("read of nothing", [.create("f"), .put(1, "abc"), .readAt(1, 0, 0)]),
        ("seek from the end", [.create("f"), .put(1, "abcdef"), .seek(1, -2, whence: 2), .read(1, 9)]),
        ("seek past the end and write", [.create("f"), .seek(1, 5, whence: 2), .put(1, "x"), .readAt(1, 9, 0)]),
        ("seek before the start", [.create("f"), .seek(1, -1, whence: 0), .seek(1, 0, whence: 1)]),
        ("seek with no such start", [.create("f"), .seek(1, 0, whence: 7)]),
        (
            "append after seeking",
            [
                .append("f"), .put(1, "abc"), .seek(1, 0, whence: 0), .put(1, "de"), .seek(1, 0, whence: 1),
                .readAt(1, 9, 0),
            ]
        ),
        (
            "append with pwrite",
            [.append("f"), .put(1, "abc"), .writeAt(1, [68], 0), .readAt(1, 9, 0), .seek(1, 0, whence: 1)]
        ),
        (
            "two that append",
            [.append("f"), .append("f"), .put(1, "abc"), .put(2, "def"), .put(1, "ghi"), .readAt(2, 20, 0)]
        ),
        ("two positions", [.create("f"), .openRead("f"), .put(1, "abc"), .read(2, 2), .put(1, "def"), .read(2, 9)]),
        (
            "read of what was opened to write",
            [.create("f"), .close(1), .open("f", .init(access: .write), base: 0), .read(2, 1), .readAt(2, 1, 0)]
        ),
        (
            "write of what was opened to read",
            [.create("f"), .close(1), .openRead("f"), .put(2, "x"), .writeAt(2, [1], 0)]
        ),
        ("truncate what was opened to read", [.create("f"), .close(1), .openRead("f"), .setSize(2, 0)]),
        ("truncate shorter", [.create("f"), .write(1, bytes(9_000)), .setSize(1, 5_000), .readAt(1, 9_000, 0)]),
        ("truncate longer", [.create("f"), .put(1, "abc"), .setSize(1, 9_000), .readAt(1, 9_000, 0)]),
        (
            "truncate and grow shows zeros",
            [.create("f"), .write(1, bytes(9_000)), .setSize(1, 100), .setSize(1, 5_000), .readAt(1, 9_000, 0)]
        ),
        (
            "truncate at a page",
            [.create("f"), .write(1, bytes(9_000)), .setSize(1, 4_096), .setSize(1, 8_192), .readAt(1, 9_000, 0)]
        ),
        (
            "truncate leaves the position",
            [.create("f"), .put(1, "abcdef"), .setSize(1, 2), .put(1, "x"), .readAt(1, 20, 0)]
        ),
        (
            "truncate a sparse giant",
            [
                .create("f"), .writeAt(1, [1], 1 << 30), .writeAt(1, [2], 5), .setSize(1, 6), .readAt(1, 9, 0),
                .statusOf(1),
            ]
        ),
        (
            "truncate by another descriptor",
            [.create("f"), .put(1, "abcdef"), .openBoth("f"), .setSize(2, 1), .read(1, 9), .statusOf(1)]
        ),
        (
            "open that truncates",
            [
                .create("f"), .put(1, "abcdef"), .open("f", .init(access: .write, truncates: true), base: 0),
                .statusOf(1), .put(1, "x"), .readAt(1, 9, 0),
            ]
        ),
        ("truncate a directory", [.mkdir("d"), .openDirectory("d"), .setSize(1, 0)]),
        ("read of a directory", [.mkdir("d"), .openDirectory("d"), .read(1, 5), .readAt(1, 5, 0)]),
        ("write of a directory", [.mkdir("d"), .openDirectory("d"), .put(1, "x"), .writeAt(1, [1], 0)]),
        (
            "calls on what is closed",
            [.create("f"), .close(1), .read(1, 1), .put(1, "x"), .seek(1, 0, whence: 0), .statusOf(1), .close(1)]
        ),
        (
            "page of zeros at the end",
            [.create("f"), .write(1, page), .write(1, page), .setSize(1, 4_097), .readAt(1, 9_000, 4_000)]
        ),
    ]

    private static let naming: [(String, [FileStep])] = [
        (
            "unlinked file lives on",
            [
                .create("f"), .put(1, "abc"), .rm("f"), .statusOf(1), .readAt(1, 9, 0), .put(1, "d"), .readAt(1, 9, 0),
                .stat("f"), .close(1),
            ]
        ),
        (
            "unlinked and made anew",
            [
                .create("f"), .put(1, "old"), .rm("f"), .create("f"), .put(2, "newer"), .readAt(1, 9, 0),
                .readAt(2, 9, 0),
            ]
        ),
        ("renamed while open", [.create("f"), .put(1, "abc"), .mv("f", "g"), .put(1, "d"), .stat("g"), .statusOf(1)]),
        (
            "renamed over an open file",
            [
                .create("f"), .create("g"), .put(1, "f"), .put(2, "gg"), .mv("f", "g"), .statusOf(2), .readAt(2, 9, 0),
                .stat("g"),
            ]
        ),
        ("renamed to itself", [.create("f"), .mv("f", "f"), .stat("f")]),
        ("renamed to its other name", [.create("f"), .ln("f", "g"), .mv("f", "g"), .stat("f"), .stat("g")]),
        (
            "renamed to its other name elsewhere",
            [.mkdir("d"), .create("f"), .ln("f", "d/g"), .mv("f", "d/g"), .stat("f")]
        ),
        ("rename needs its old name", [.mv("f", "g"), .mkdir("d"), .mv("d/x", "g")]),
        ("rename into a file", [.create("f"), .create("g"), .mv("f", "g/x")]),
        ("rename of a link keeps it", [.sym("x", "l"), .mv("l", "m"), .readLink("m", base: 0)]),
        (
            "rename over a link replaces it",
            [.create("f"), .sym("f", "l"), .create("g"), .mv("g", "l"), .lstat("l"), .stat("f")]
        ),
        ("long name", [.create(String(repeating: "n", count: 255)), .create(String(repeating: "n", count: 256))]),
        (
            "long names elsewhere",
            [
                .mkdir(String(repeating: "m", count: 256)), .sym("x", String(repeating: "s", count: 256)),
                .stat(String(repeating: "n", count: 256) + "/x"),
                .stat("missing/" + String(repeating: "n", count: 256)),
            ]
        ),
        (
            "long path",
            [.stat(String(repeating: "./", count: 2_047) + "f"), .stat(String(repeating: "./", count: 2_048) + "f")]
        ),
        (
            "path at the limit",
            [
                .create("f"),
                .stat(String(repeating: "/", count: 0) + "./" + String(repeating: "/", count: 4_092) + "f"),
                .stat("." + String(repeating: "/", count: 4_093) + "f"),
            ]
        ),
        (
            "long target",
            [
                .sym(String(repeating: "t", count: 4_095), "l"), .sym(String(repeating: "t", count: 4_096), "m"),
                .readLink("l", base: 0), .stat("l"),
            ]
        ),
        (
            "names of any letters",
            [
                .create("é"), .create("e\u{301}"), .create("É"), .create("a b"), .create("A"), .create("a"),
                .openDirectory("."), .list(7),
            ]
        ),
        ("names of dots", [.create("..."), .create(".a"), .create("a."), .openDirectory("."), .list(4)]),
    ]

    private static let directories: [(String, [FileStep])] = [
        (
            "directory into itself",
            [.mkdir("d"), .mkdir("d/e"), .mv("d", "d/x"), .mv("d", "d/e/x"), .mv("d", "d/e"), .mv("d/e", "d")]
        ),
        (
            "directory over its parent",
            [.mkdir("a"), .mkdir("a/b"), .mkdir("a/b/c"), .mv("a/b/c", "a"), .mv("a/b/c", "a/b")]
        ),
        (
            "directory over an empty one",
            [.mkdir("d"), .create("d/f"), .mkdir("e"), .mv("d", "e"), .stat("e/f"), .stat("d")]
        ),
        ("directory over a full one", [.mkdir("d"), .mkdir("e"), .create("e/f"), .mv("d", "e")]),
        ("directory over a file and back", [.mkdir("d"), .create("f"), .mv("d", "f"), .mv("f", "d")]),
        (
            "moved directory takes all along",
            [
                .mkdir("a"), .mkdir("b"), .mkdir("a/x"), .create("a/x/f"), .mv("a/x", "b/y"), .stat("b/y/f"),
                .stat("a/x"),
            ]
        ),
        (
            "paths from a moved directory",
            [
                .mkdir("a"), .openDirectory("a"), .create("a/f"), .mv("a", "b"), .status("f", follows: true, base: 1),
                .createDirectory("g", base: 1), .stat("b/g"),
            ]
        ),
        (
            "making in a removed directory",
            [
                .mkdir("a"), .openDirectory("a"), .rmdir("a"), .createDirectory("x", base: 1),
                .open("f", .init(access: .both, creates: true), base: 1), .symlink(target: "t", "l", base: 1),
                .status("f", follows: true, base: 1), .list(1), .statusOf(1), .status(".", follows: true, base: 1),
            ]
        ),
        (
            "moving into a removed directory",
            [
                .mkdir("a"), .openDirectory("a"), .rmdir("a"), .create("f"), .rename("f", "f", base: 0, newBase: 1),
                .link("f", "f", follows: false, base: 0, newBase: 1),
            ]
        ),
        (
            "removed directory made anew",
            [
                .mkdir("a"), .openDirectory("a"), .rmdir("a"), .mkdir("a"), .create("a/f"), .list(1),
                .status("f", follows: true, base: 1),
            ]
        ),
        (
            "directory replaced while open",
            [
                .mkdir("a"), .mkdir("b"), .openDirectory("b"), .mv("a", "b"), .createDirectory("x", base: 1),
                .stat("b/x"),
            ]
        ),
        ("path from a file", [.create("f"), .status("x", follows: true, base: 1), .createDirectory("x", base: 1)]),
        (
            "listing in order",
            [.create("b"), .create("a"), .create("B"), .create("aa"), .mkdir("0"), .openDirectory("."), .list(5)]
        ),
        (
            "listing after changes",
            [
                .create("a"), .create("b"), .openDirectory("."), .list(3), .rm("a"), .create("c"), .list(3),
                .mv("b", "z"), .list(3),
            ]
        ),
        ("listing of a file", [.create("f"), .list(1)]),
        ("remove what is full", [.mkdir("d"), .create("d/f"), .rmdir("d"), .rm("d/f"), .rmdir("d")]),
        (
            "trailing slashes of rename",
            [
                .mkdir("s"), .mv("s/", "t"), .mv("t", "s/"), .mv("s/", "t/"), .mv("t", "s"), .create("f"),
                .mv("f", "g/"), .mv("f/", "g"), .mv("s", "f/"),
            ]
        ),
        ("trailing slashes of mkdir", [.mkdir("a/"), .mkdir("b//"), .mkdir("a/"), .create("f"), .mkdir("f/")]),
        (
            "dots of rename",
            [.mkdir("d"), .mkdir("d/e"), .mv("d/.", "x"), .mv("d/e/..", "x"), .mv("d", "d/."), .mv("d/e", "d/e/..")]
        ),
    ]

    private static let links: [(String, [FileStep])] = [
        (
            "hard links are one file",
            [.create("f"), .ln("f", "g"), .put(1, "abc"), .stat("g"), .rm("f"), .stat("g"), .statusOf(1)]
        ),
        (
            "hard link count",
            [
                .create("f"), .ln("f", "a"), .ln("a", "b"), .stat("f"), .rm("f"), .rm("a"), .stat("b"), .rm("b"),
                .statusOf(1),
            ]
        ),
        ("hard link of an unlinked file's name", [.create("f"), .rm("f"), .ln("f", "g")]),
        ("hard link to a directory", [.mkdir("d"), .ln("d", "e")]),
        ("hard link to a link", [.sym("x", "l"), .ln("l", "m"), .lstat("m"), .readLink("m", base: 0)]),
        (
            "hard link through a link",
            [.create("f"), .sym("f", "l"), .link("l", "m", follows: true, base: 0, newBase: 0), .lstat("m")]
        ),
        ("hard link over a name", [.create("f"), .create("g"), .ln("f", "g"), .ln("f", "f")]),
        (
            "link chain",
            [
                .create("f"), .put(1, "abc"), .sym("f", "a"), .sym("a", "b"), .sym("b", "c"), .stat("c"),
                .openRead("c"), .read(2, 9),
            ]
        ),
        (
            "link into a directory",
            [
                .mkdir("d"), .create("d/f"), .sym("d", "l"), .stat("l/f"), .create("l/g"), .stat("d/g"), .rm("l/f"),
                .rmdir("l"),
            ]
        ),
        ("create through a dangling link", [.sym("t", "l"), .create("l"), .put(1, "x"), .lstat("l"), .stat("t")]),
        (
            "create anew through a dangling link",
            [.sym("t", "l"), .open("l", .init(access: .both, creates: true, isExclusive: true), base: 0), .stat("t")]
        ),
        ("create through a link to nowhere", [.sym("no/t", "l"), .create("l")]),
        ("link upward inside", [.mkdir("a"), .mkdir("b"), .create("b/f"), .sym("../b/f", "a/l"), .stat("a/l")]),
        (
            "loops",
            [.sym("b", "a"), .sym("a", "b"), .stat("a"), .openRead("a"), .create("a"), .mkdir("a/x"), .lstat("a")]
        ),
        (
            "forty links",
            (0...41).map { .sym($0 == 0 ? "." : "l\($0 - 1)", "l\($0)") } + [.stat("l39"), .stat("l40"), .stat("l41")]
        ),
        (
            "link with slash at its end",
            [
                .create("f"), .mkdir("d"), .sym("f/", "lf"), .sym("d/", "ld"), .stat("lf"), .stat("ld"),
                .openRead("lf"), .openRead("ld"), .create("lf"), .sym("n/", "ln"), .create("ln"),
            ]
        ),
        (
            "link is no directory to rmdir",
            [.mkdir("d"), .sym("d", "l"), .rmdir("l"), .rmdir("l/"), .rm("l/"), .rm("l")]
        ),
    ]
}
