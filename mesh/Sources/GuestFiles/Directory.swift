/// A number of a node, by order of creation from 1 on; never given twice.
typealias InodeNumber = UInt64

/// The entries of a directory in the order of their bytes.
///
/// A listing goes on where it was however the directory changes: a cookie names the entry after which to go on, and
/// the name of an entry that a listing gave is kept while any descriptor lists the directory, also when the entry is
/// gone. Such a name of the past takes the place of its entry in the quota, so it needs no bound of its own.
struct Directory: Sendable {
    /// One entry.
    struct Entry: Sendable {
        let name: FileName
        let inode: InodeNumber
        /// Where a listing goes on after it.
        let cookie: UInt64
        /// Whether the guest made it, so that it counts in the quota.
        let isCounted: Bool
    }

    /// The cookies of `.` and `..`; those of entries come after.
    static let ownCookie: UInt64 = 1
    static let parentCookie: UInt64 = 2

    private(set) var entries: [Entry] = []
    private var nextCookie = parentCookie + 1
    /// The names that listings gave, by their cookies.
    private var given: [UInt64: FileName] = [:]
    /// Descriptors that list.
    private var readers = 0
    /// Names in `given` whose entries are gone and were counted.
    private(set) var countedPastNames = 0
    private var isChangedByGuest = false

    /// Whether the entries are still those of the mount.
    var isUnchanged: Bool { !isChangedByGuest }

    init() {}

    /// A directory of a mount; the names are in order and differ.
    init(mounted names: [(name: FileName, inode: InodeNumber)]) {
        entries.reserveCapacity(names.count)
        for (name, inode) in names {
            entries.append(Entry(name: name, inode: inode, cookie: nextCookie, isCounted: false))
            nextCookie += 1
        }
    }

    /// Where a name is or would be.
    private func place(of name: FileName) -> (index: Int, isThere: Bool) {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].name < name { low = middle + 1 } else { high = middle }
        }
        return (low, low < entries.count && entries[low].name == name)
    }

    subscript(name: FileName) -> Entry? {
        let (index, isThere) = place(of: name)
        return isThere ? entries[index] : nil
    }

    /// Adds a name that is not there.
    mutating func insert(_ name: FileName, _ inode: InodeNumber, isCounted: Bool) {
        let (index, isThere) = place(of: name)
        precondition(!isThere, "a second entry \(name)")
        entries.insert(Entry(name: name, inode: inode, cookie: nextCookie, isCounted: isCounted), at: index)
        nextCookie += 1
        isChangedByGuest = true
    }

    /// Lets a name that is there stand for another node.
    mutating func replace(_ name: FileName, with inode: InodeNumber) {
        let (index, isThere) = place(of: name)
        precondition(isThere, "no entry \(name) to replace")
        let old = entries[index]
        entries[index] = Entry(name: name, inode: inode, cookie: old.cookie, isCounted: old.isCounted)
        isChangedByGuest = true
    }

    /// How many counted entries `remove` would free.
    func freed(byRemoving name: FileName) -> Int {
        guard let entry = self[name] else { return 0 }
        return entry.isCounted && given[entry.cookie] == nil ? 1 : 0
    }

    /// Takes a name away that is there; returns how many counted entries that frees.
    mutating func remove(_ name: FileName) -> Int {
        let (index, isThere) = place(of: name)
        precondition(isThere, "no entry \(name) to remove")
        let entry = entries.remove(at: index)
        isChangedByGuest = true
        guard entry.isCounted else { return 0 }
        if given[entry.cookie] == nil { return 1 }
        countedPastNames += 1
        return 0
    }

    // MARK: Listing

    /// A descriptor lists from now on.
    mutating func beginReading() { readers += 1 }

    /// A descriptor lists no longer; returns how many counted names that frees.
    mutating func endReading() -> Int {
        readers -= 1
        return readers == 0 ? forget() : 0
    }

    /// A descriptor lists from the start; what it was given is forgotten, unless another lists, too. Returns how many
    /// counted names that frees.
    mutating func rewind() -> Int { readers == 1 ? forget() : 0 }

    private mutating func forget() -> Int {
        given = [:]
        defer { countedPastNames = 0 }
        return countedPastNames
    }

    /// Whether a listing gave the entry of this cookie, so that it is found at once.
    func hasGiven(_ cookie: UInt64) -> Bool { given[cookie] != nil }

    /// The index of the first entry after a cookie of an entry; nil if no listing can have given it.
    func index(after cookie: UInt64) -> Int? {
        if let name = given[cookie] {
            let (index, isThere) = place(of: name)
            return isThere ? index + 1 : index
        }
        return entries.firstIndex { $0.cookie == cookie }.map { $0 + 1 }
    }

    /// Remembers that a listing gave these entries.
    mutating func gave(_ range: Range<Int>) {
        for entry in entries[range] { given[entry.cookie] = entry.name }
    }

    func checkInvariants() {
        for (left, right) in zip(entries, entries.dropFirst()) {
            precondition(left.name < right.name, "\(left.name) stands before \(right.name)")
        }
        precondition(Set(entries.map(\.cookie)).count == entries.count, "two entries with one cookie")
        precondition(entries.allSatisfy { $0.cookie < nextCookie }, "a cookie that was not given yet")
        precondition(readers >= 0 && (readers > 0 || given.isEmpty), "names are kept for nobody")
        precondition(countedPastNames <= given.count, "more past names than names")
    }
}
