// A small adventure in a lighthouse, played while it runs: `mesh run -i Adventure.wasm`.
// It reads what the player types line by line, waits for it in between, and ends with the score as exit code 0.

@_extern(wasm, module: "wasi_snapshot_preview1", name: "fd_read") @_extern(c)
private func wasiRead(
    _ descriptor: Int32, _ vector: UnsafePointer<UInt32>, _ count: Int32, _ got: UnsafeMutablePointer<Int32>
) -> Int32

@main
struct Adventure {
    static func main() {
        var game = Game()
        var input = LineReader()
        Standard.write("The Lamp of Far Point. Type help for the words that the game knows.\n\n")
        game.look()
        while !game.isOver {
            Standard.write("> ")
            guard let line = input.next() else {
                Standard.write("\nYou leave, and the lamp stays dark.\n")
                return
            }
            game.obey(words(of: line))
        }
        Standard.write("The lamp burns after \(game.turns) turns. Ships will find their way.\n")
    }

    /// The words of a line, in lower case, as bytes.
    static func words(of line: [UInt8]) -> [[UInt8]] {
        line.split { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }.map { word in
            word.map { $0 >= 0x41 && $0 <= 0x5A ? $0 + 0x20 : $0 }
        }
    }
}

/// Lines of standard input, each as soon as it is there.
struct LineReader {
    private var held: [UInt8] = []
    private var isOver = false

    /// The next line without its end; `nil` when there is none any more.
    mutating func next() -> [UInt8]? {
        while true {
            if let end = held.firstIndex(of: 0x0A) {
                let line = Array(held[..<end])
                held.removeFirst(end + 1)
                return line
            }
            if isOver {
                defer { held = [] }
                return held.isEmpty ? nil : held
            }
            read()
        }
    }

    private mutating func read() {
        var chunk = [UInt8](repeating: 0, count: 512)
        var got: Int32 = 0
        let failure = chunk.withUnsafeMutableBufferPointer { buffer in
            wasiRead(0, [UInt32(UInt(bitPattern: buffer.baseAddress)), UInt32(buffer.count)], 1, &got)
        }
        if failure != 0 || got <= 0 { isOver = true } else { held += chunk[..<Int(got)] }
    }
}

/// What the player can ask for.
enum Verb: Int, CaseIterable {
    case look, north, south, east, west, up, down, take, inventory, unlock, fill, light, help, quit

    private static let names = [
        "look", "north", "south", "east", "west", "up", "down", "take", "inventory", "unlock", "fill", "light", "help",
        "quit",
    ]

    /// The verb that a word is, or begins if it is a way; compared by bytes, which needs no tables of Unicode.
    init?(_ word: [UInt8]) {
        for verb in Verb.allCases {
            let name = Array(Verb.names[verb.rawValue].utf8)
            if word == name || (verb.rawValue < 7 && word == [name[0]]) {
                self = verb
                return
            }
        }
        return nil
    }
}

/// Where the player is, what they carry, and what has happened.
struct Game {
    /// The rooms of the lighthouse, from below.
    enum Room { case shore, hall, store, stairs, lantern }
    /// What can be carried.
    enum Thing: Int { case key, oil, matches }

    private(set) var turns = 0
    private(set) var isOver = false
    private var room = Room.shore
    private var places: [Room?] = [.shore, .store, .hall]
    private var isOpen = false
    private var isFilled = false

    private static let names = ["key", "oil", "matches"]

    func look() {
        switch room {
        case .shore: Standard.write("You stand on a shore below a dark lighthouse. Its door is to the north.\n")
        case .hall: Standard.write("A round hall. A store is to the east, stairs go up, the shore is to the south.\n")
        case .store: Standard.write("A store that smells of tar. The hall is to the west.\n")
        case .stairs:
            Standard.write("Stairs without end. A trapdoor above you is ")
            Standard.write(isOpen ? "open.\n" : "locked.\n")
        case .lantern:
            Standard.write("The lantern room. The great lamp is ")
            Standard.write(isFilled ? "full of oil, and cold.\n" : "empty.\n")
        }
        for index in places.indices where places[index] == room {
            Standard.write("There is \(Self.names[index]) here.\n")
        }
    }

    mutating func obey(_ words: [[UInt8]]) {
        guard let verb = words.first else { return }
        turns += 1
        let object = words.count > 1 ? words[1] : []
        switch Verb(verb) {
        case .look: look()
        case .north: go(room == .shore ? .hall : nil)
        case .south: go(room == .hall ? .shore : nil)
        case .east: go(room == .hall ? .store : nil)
        case .west: go(room == .store ? .hall : nil)
        case .up: climb()
        case .down: go(room == .lantern ? .stairs : room == .stairs ? .hall : nil)
        case .take: take(object)
        case .inventory: tellCarried()
        case .unlock: unlock()
        case .fill: fill()
        case .light: light()
        case .help:
            Standard.write(
                "look, north, south, east, west, up, down, take THING, inventory, unlock, fill, light, quit\n")
        case .quit:
            Standard.write("You leave, and the lamp stays dark.\n")
            Standard.exit(1)
        case nil: Standard.write("Nobody here understands that.\n")
        }
    }

    private func carries(_ thing: Thing) -> Bool { places[thing.rawValue] == nil }

    private mutating func go(_ next: Room?) {
        guard let next else { return Standard.write("There is no way there.\n") }
        room = next
        look()
    }

    private mutating func climb() {
        switch room {
        case .hall: go(.stairs)
        case .stairs where isOpen: go(.lantern)
        case .stairs: Standard.write("The trapdoor is locked.\n")
        default: go(nil)
        }
    }

    private mutating func take(_ word: [UInt8]) {
        for index in places.indices where places[index] == room && Array(Self.names[index].utf8) == word {
            places[index] = nil
            return Standard.write("Taken.\n")
        }
        Standard.write("There is no such thing here.\n")
    }

    private func tellCarried() {
        var isEmpty = true
        for index in places.indices where places[index] == nil {
            Standard.write("You carry \(Self.names[index]).\n")
            isEmpty = false
        }
        if isEmpty { Standard.write("You carry nothing.\n") }
    }

    private mutating func unlock() {
        guard room == .stairs, carries(.key) else { return Standard.write("That does not work here.\n") }
        isOpen = true
        Standard.write("The lock gives way.\n")
    }

    private mutating func fill() {
        guard room == .lantern, carries(.oil) else { return Standard.write("That does not work here.\n") }
        isFilled = true
        Standard.write("The lamp drinks the oil.\n")
    }

    private mutating func light() {
        guard room == .lantern, isFilled, carries(.matches) else {
            return Standard.write("That does not work here.\n")
        }
        isOver = true
    }
}
