/// One open descriptor. WASI has no way to open the same one twice, so it holds its position itself.
struct Descriptor: Sendable {
    let inode: InodeNumber
    /// What may still be done with it.
    var rights: WASIRights
    /// What it passes on to those opened below it.
    var inheriting: WASIRights
    /// Whether it was opened to be read and to be written, whatever rights were given up since.
    let isForReading: Bool
    let isForWriting: Bool
    var flags: DescriptorFlags = []
    var position: UInt64 = 0
    /// What the guest knows a preopened directory as.
    var preopenName: [UInt8]?
    /// Whether it lists its directory.
    var isListing = false

    init(
        inode: InodeNumber, rights: WASIRights, inheriting: WASIRights = [], isForReading: Bool = false,
        isForWriting: Bool = false, flags: DescriptorFlags = []
    ) {
        self.inode = inode
        self.rights = rights
        self.inheriting = inheriting
        self.isForReading = isForReading
        self.isForWriting = isForWriting
        self.flags = flags
    }
}

/// The open descriptors by their numbers; a new one gets the lowest that is free, as POSIX has it.
struct DescriptorTable: Sendable {
    private let openMax: Int
    private var slots: [Descriptor?] = []
    private var lowestFree = 0
    private(set) var count = 0

    init(openMax: Int) {
        self.openMax = openMax
    }

    /// Whether one more can be opened.
    var hasRoom: Bool { count < openMax }

    /// Opens; the caller has seen that there is room.
    mutating func open(_ descriptor: Descriptor) -> UInt32 {
        precondition(hasRoom, "more than \(openMax) descriptors")
        let number = lowestFree
        if number == slots.count { slots.append(descriptor) } else { slots[number] = descriptor }
        count += 1
        lowestFree = slots[number...].firstIndex { $0 == nil } ?? slots.count
        return UInt32(number)
    }

    subscript(number: UInt32) -> Descriptor? { number < slots.count ? slots[Int(number)] : nil }

    /// Changes one that is open.
    mutating func change(_ number: UInt32, _ body: (inout Descriptor) -> Void) {
        guard var descriptor = self[number] else { preconditionFailure("descriptor \(number) is not open") }
        body(&descriptor)
        slots[Int(number)] = descriptor
    }

    mutating func close(_ number: UInt32) {
        precondition(self[number] != nil, "descriptor \(number) is not open")
        slots[Int(number)] = nil
        count -= 1
        lowestFree = min(lowestFree, Int(number))
    }

    /// Gives an open one the number of another open one, which was closed by the caller.
    mutating func renumber(_ from: UInt32, to: UInt32) {
        slots[Int(to)] = slots[Int(from)]
        count += 1
        close(from)
        lowestFree = slots.firstIndex { $0 == nil } ?? slots.count
    }

    /// All, with their numbers.
    var all: [(number: UInt32, descriptor: Descriptor)] {
        slots.enumerated().compactMap { index, slot in slot.map { (UInt32(index), $0) } }
    }

    func checkInvariants() {
        precondition(count == slots.count { $0 != nil }, "\(count) descriptors are counted")
        precondition(count <= openMax, "\(count) descriptors")
        precondition(lowestFree == slots.firstIndex { $0 == nil } ?? slots.count, "\(lowestFree) is not the lowest")
        for (number, descriptor) in all {
            precondition(!descriptor.rights.contains(.read) || descriptor.isForReading, "\(number) may be read")
            precondition(!descriptor.rights.contains(.write) || descriptor.isForWriting, "\(number) may be written")
        }
    }
}
