import Foundation
import NodeAPI

/// The progress of an upload or a download: one rewritten line on a terminal, a few times a second, and nothing
/// elsewhere.
final class TransferLine {
    private static let pause = Duration.milliseconds(200)

    private var line: LiveLine
    private var last: ContinuousClock.Instant

    /// A line on standard error. Nothing is shown in the first moment, so that small files stay silent.
    init(_ console: Console, quiet: Bool) {
        line = LiveLine(console: console, quiet: quiet)
        last = ContinuousClock.now
    }

    /// Shows how far an upload is.
    func show(_ progress: FolderUpload.Progress) {
        showRarely { Self.text(progress) }
    }

    /// Shows how far a download is.
    func show(_ progress: FolderDownload.Progress) {
        showRarely { Self.text(progress) }
    }

    /// Shows what a node has of a tree that it fetches.
    func show(_ tree: PinnedTree) {
        showRarely { "Keeping: \(Readable.bytes(UInt64(clamping: tree.bytes))) are here" }
    }

    /// Shows how far the archive of a tree is.
    func show(_ report: ArchiveReport) {
        showRarely { "\(Readable.count(UInt64(clamping: report.blocks))) blocks, \(Readable.bytes(report.bytes))" }
    }

    /// Shows how far a backup or a restoration is.
    func show(_ copy: BackupProgress) {
        showRarely {
            let percent = copy.total > 0 ? min(100, Int(Double(copy.done) / Double(copy.total) * 100)) : 100
            let (done, total) = (UInt64(clamping: copy.done), UInt64(clamping: copy.total))
            return "\(copy.step): \(Readable.bytes(done)) of \(Readable.bytes(total)), \(percent) %"
        }
    }

    private func showRarely(_ text: () -> String) {
        let now = ContinuousClock.now
        guard now - last >= Self.pause else { return }
        last = now
        line.show(text())
    }

    /// Removes the line.
    func clear() { line.clear() }

    /// How far an upload is: `12.3 MiB of 80.0 MiB, 15 %, 34 files`.
    static func text(_ progress: FolderUpload.Progress) -> String {
        var text = Readable.bytes(progress.bytes)
        if let total = progress.bytesTotal, total > 0 {
            let percent = min(100, Int(Double(progress.bytes) / Double(total) * 100))
            text += " of \(Readable.bytes(max(total, progress.bytes))), \(percent) %"
        }
        return "Adding: \(text)\(files(progress.files))"
    }

    /// How far a download is: `12.3 MiB, 34 files`.
    static func text(_ progress: FolderDownload.Progress) -> String {
        "Getting: \(Readable.bytes(progress.bytes))\(files(progress.files))"
    }

    private static func files(_ count: Int) -> String {
        count < 2 ? "" : ", \(Readable.count(UInt64(count))) files"
    }
}
