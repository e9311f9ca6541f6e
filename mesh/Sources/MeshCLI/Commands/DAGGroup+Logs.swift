import ArgumentParser
import Foundation
import IPLD
import MeshHTTP
import MeshTypes
import Multiformats
import NodeAPI
import Receipts
import SignedObjects
import Workflows

// `mesh dag` about the logs of others.
extension DAGGroup {
    /// `mesh dag logs`.
    struct Logs: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the logs of others that this node keeps, follows or has heard of.",
            discussion: """
                mesh config set log.follow DID,DID follows those of some authors, and all the logs of whoever is heard \
                of. HEAD is how many entries the author's newest signed head has.
                """)

        @OptionGroup var global: GlobalOptions

        func perform(_ console: Console) async throws -> ExitCode {
            let logs = try await global.node.followedLogs()
            if global.json {
                try console.json(logs)
            } else if logs.isEmpty {
                console.note("This node has heard of no other's log.")
            } else {
                console.out(DAGGroup.table(logs))
            }
            return .success
        }
    }

    /// `mesh dag sync`.
    struct Sync: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Fetch the logs of others that this node follows now, without waiting for their heads.")

        @OptionGroup var global: GlobalOptions

        @Option(help: ArgumentHelp("Fetch the log of this author alone.", valueName: "did"))
        var author: String?

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            let authors =
                if let author { [author] } else {
                    try await node.followedLogs().filter(\.isFollowed).map(\.author)
                }
            var synced: [LogSyncView] = []
            for author in authors {
                let views = try await node.syncLogs(of: author)
                synced += views
                if !global.json { for view in views { console.out(DAGGroup.line(view) + "\n") } }
            }
            if global.json { try console.json(synced) }
            if synced.isEmpty, !global.json {
                console.note("This node follows no log; mesh config set log.follow DID follows one.")
            }
            if synced.contains(where: \.log.hasForked) { return ExitCode(ExitStatus.verificationFailed.rawValue) }
            return synced.allSatisfy { $0.log.obstacle == nil }
                ? .success : ExitCode(ExitStatus.peerUnreachable.rawValue)
        }
    }

    /// `mesh dag forget`.
    struct Forget: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove what is kept of the logs of an author that is not followed.",
            discussion: "Proofs that it told two histories stay. Whoever is followed again is fetched again.")

        @OptionGroup var global: GlobalOptions

        @Argument(help: ArgumentHelp("Whose logs.", valueName: "did"))
        var author: String

        func perform(_ console: Console) async throws -> ExitCode {
            let gone = try await global.node.forgetLog(of: author)
            if global.json {
                try console.json(gone)
            } else if gone.entries == 0 {
                console.note("Nothing is kept of a log of that author; mesh dag logs lists what is.")
            } else {
                console.out("Removed \(Readable.count(gone.entries)) entries, \(Readable.bytes(gone.bytes)).\n")
            }
            return .success
        }
    }

    /// `mesh dag forks`.
    struct Forks: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the proofs that authors told two histories of their logs.",
            discussion: """
                With --author the proof itself is printed, for a file that anybody checks without a network: mesh dag \
                forks --author DID > two.fork, then mesh dag verify two.fork.
                """)

        @OptionGroup var global: GlobalOptions

        @Option(help: ArgumentHelp("Print the proof about this author.", valueName: "did"))
        var author: String?

        /// Proofs of one question.
        static let pageForks = 50

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            let own = try await node.status().did
            var forks = try await node.logForks(of: author, after: nil, limit: Self.pageForks)
            var last = forks.count
            while last == Self.pageForks, let after = forks.last?.author {
                let page = try await node.logForks(of: author, after: after, limit: Self.pageForks)
                last = page.count
                forks += page
            }
            if global.json {
                try console.json(forks)
            } else if let author {
                guard let fork = forks.first else {
                    throw NodeServiceError(.receiptNotFound, "This node has no proof about \(author).")
                }
                console.out(fork.text)
            } else if forks.isEmpty {
                console.note("This node has no proof that somebody told two histories.")
            } else {
                for fork in forks { console.out(Terminal.safe("\(fork.author): \(fork.place)") + "\n") }
                if forks.contains(where: { $0.author == own }) {
                    console.note(
                        "One of them is about this node: a copy of its home or key runs elsewhere, or did. "
                            + "docs/anchoring.md says what to do.")
                }
            }
            return .success
        }
    }

    /// `mesh dag export`.
    struct Export: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write the entries that are here, and the receipts of them, as JSON lines, or as a CAR.",
            discussion: """
                A line has an entry with its signed block in base64, or a receipt, settlement or proof of fraud that \
                one anchors, with its CID. Entries come by author and in their order; what they anchor besides, or is \
                not on this node, is left out.
                """)

        @OptionGroup var global: GlobalOptions

        @Option(help: ArgumentHelp("Of this author alone; by default of all.", valueName: "did"))
        var author: String?

        @Flag(help: "The entries alone.")
        var entriesOnly = false

        @Option(help: ArgumentHelp("Write a CAR (version 1) to this file instead.", valueName: "file"))
        var car: String?

        /// Entries of one question.
        static let pageEntries = 500

        /// What an entry anchors, as a line.
        struct Anchored: Encodable {
            let cid: String
            let block: String
        }

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            if let car { try OutputPaths.check([car]) }
            let own = try await node.status().did
            let authors =
                if let author { [author] } else {
                    [own] + (try await node.followedLogs()).filter { $0.entries > 0 }.map(\.author)
                }
            var (archive, roots, seen) = ([CAR.Block](), [CID](), Set<CID>())
            func add(_ cid: CID, _ bytes: [UInt8]) throws {
                guard seen.insert(cid).inserted else { return }
                archive.append(CAR.Block(cid: cid, bytes: bytes))
                guard archive.count <= CAR.Limits().blocksMax else {
                    throw NodeServiceError(
                        .tooLarge, "One file can hold \(CAR.Limits().blocksMax) blocks.",
                        hint: "Export one author at a time, --entries-only, or JSON lines.")
                }
            }
            for author in authors {
                var (next, last) = (UInt64(0), CID?.none)
                while case let page = try await node.logBlocks(of: author, from: next, limit: Self.pageEntries),
                    !page.isEmpty
                {
                    for entry in page {
                        next = entry.number + 1
                        if car == nil {
                            try console.jsonLine(entry)
                        } else {
                            last = try CID(parsing: entry.entryCID)
                            let bytes = try Multibase.decodeWithoutPrefix(entry.block, .base64pad)
                            if let last { try add(last, bytes) }
                        }
                    }
                    if entriesOnly { continue }
                    for (cid, bytes) in try await anchored(by: page, node) {
                        if car == nil {
                            let block = Multibase.encodeWithoutPrefix(bytes, .base64pad)
                            try console.jsonLine(Anchored(cid: cid.text, block: block))
                        } else {
                            try add(cid, bytes)
                        }
                    }
                }
                if let last { roots.append(last) }
            }
            if let car {
                try LocalFile.write(CAR(roots: roots, blocks: archive).encoded, to: car)
                console.note(Terminal.safe("\(car): \(archive.count) blocks."))
            }
            return .success
        }

        /// Whether a block is a receipt, of a job or a workflow, a settlement or a proof of fraud.
        static func isForAuditors(_ block: [UInt8]) -> Bool {
            (try? SignedObject<ExecutionReceipt>(verifiedBefore: block)) != nil
                || (try? SignedObject<WorkflowReceipt>(verifiedBefore: block)) != nil
                || (try? SignedObject<Settlement>(verifiedBefore: block)) != nil || ProofRecord.proof(of: block) != nil
        }

        /// What some entries anchor and this node has.
        private func anchored(by page: [LogBlockView], _ node: NodeClient) async throws -> [(CID, [UInt8])] {
            var seen: Set<CID> = []
            let cids = try page.flatMap(\.anchors).map { try CID(parsing: $0) }.filter {
                $0.codec == .dagCBOR && seen.insert($0).inserted
            }
            var (found, rest) = ([(CID, [UInt8])](), cids[...])
            while !rest.isEmpty {
                let asked = Array(rest.prefix(ContentBlock.askedMax))
                rest = rest.dropFirst(asked.count)
                let missing = Set(try await node.missing(asked))
                for cid in asked where !missing.contains(cid) {
                    let block = try await node.block(cid)
                    // An author may anchor the name of anything; what is exported is what logs are for.
                    if Self.isForAuditors(block) { found.append((cid, block)) }
                }
            }
            return found
        }
    }

    /// `mesh dag watch`.
    struct Watch: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print entries as they join this node's log and those that it keeps, until it is interrupted.",
            discussion: "With --json each is a JSON object of one line, with its signed block.")

        @OptionGroup var global: GlobalOptions

        @Option(help: ArgumentHelp("Of this author alone.", valueName: "did"))
        var author: String?

        /// How often it looks, in milliseconds.
        static let lookMilliseconds = 500

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            let own = try await node.status().did
            // How far each log was shown, by its name: a log that begins again has another.
            var places: [String: UInt64] = [:]
            for log in try await sizes(own, node) { places[log.origin] = log.size }
            while true {
                try await Task.sleep(for: .milliseconds(Self.lookMilliseconds))
                for log in try await sizes(own, node) {
                    var next = places[log.origin] ?? 0
                    while next < log.size {
                        let page = try await node.logBlocks(of: log.author, from: next, limit: Export.pageEntries)
                        guard let last = page.last else { break }
                        for entry in page { try show(entry, console) }
                        next = last.number + 1
                    }
                    places[log.origin] = next
                }
            }
        }

        private func show(_ entry: LogBlockView, _ console: Console) throws {
            if global.json { return try console.jsonLine(entry) }
            let what = entry.anchors.prefix(2).joined(separator: ", ")
            let others = entry.anchors.count > 2 ? " and \(entry.anchors.count - 2) more" : ""
            console.out(
                Terminal.safe(
                    "\(Readable.date(entry.recordedAt))  \(Readable.short(entry.author)) "
                        + "\(Readable.count(entry.number)): \(what)\(others)") + "\n")
        }

        /// How many entries each log has.
        private func sizes(
            _ own: String, _ node: NodeClient
        ) async throws -> [(author: String, origin: String, size: UInt64)] {
            var sizes: [(author: String, origin: String, size: UInt64)] = []
            if author == nil || author == own {
                let newest = try await node.log(below: nil, limit: 1).first
                sizes.append((own, own, newest.map { $0.number + 1 } ?? 0))
            }
            for log in try await node.followedLogs() where author == nil || author == log.author {
                sizes.append((log.author, log.origin ?? log.author, log.entries))
            }
            return sizes
        }
    }

    /// A line per log.
    static func table(_ logs: [FollowedLogView]) -> String {
        var table = Table([
            ("AUTHOR", .left), ("ENTRIES", .right), ("HEAD", .right), ("BYTES", .right), ("STATE", .left),
        ])
        for log in logs {
            table.add([
                Terminal.safe(log.author), Readable.count(log.entries), log.headEntries.map(Readable.count) ?? "-",
                Readable.bytes(log.bytes), Terminal.safe(state(log)),
            ])
        }
        return table.text + "\n"
    }

    /// What is to say of a log, in a few words.
    static func state(_ log: FollowedLogView) -> String {
        if log.hasForked { return "told two histories" }
        guard log.isFollowed else { return log.entries > 0 ? "kept, not followed" : "heard of" }
        return log.obstacle ?? (log.headEntries ?? 0 > log.entries ? "behind" : "followed")
    }

    /// What a fetch brought, in a line.
    static func line(_ view: LogSyncView) -> String {
        let rate = view.milliseconds > 0 ? view.newEntries * 1_000 / view.milliseconds : view.newEntries
        let new = "\(Readable.count(view.newEntries)) new entries, \(Readable.bytes(view.newBytes))"
        let state = view.log.hasForked || view.log.obstacle != nil ? "; \(state(view.log))" : ""
        return Terminal.safe(
            "\(view.log.author): \(new), in \(view.milliseconds) ms (\(Readable.count(rate)) a second); "
                + "\(Readable.count(view.log.entries)) in all\(state)")
    }
}
