import ArgumentParser
import Foundation
import NodeAPI

/// The options that give a job files.
struct JobFileOptions: ParsableArguments {
    @Option(
        name: .customLong("dir"),
        help: ArgumentHelp(
            "Show the module a folder at PATH: one of yours, an added one's CID, or CID/FOLDER in it; with :rw behind "
                + "it the module may change its copy. May be given several times.",
            valueName: "source:path"),
        completion: .directory, transform: MountArgument.folder)
    var folders: [MountArgument] = []

    @Option(
        name: .customLong("file"),
        help: ArgumentHelp(
            "Show the module a file at PATH, from a file of yours, a CID, or CID/FILE; may be given several times.",
            valueName: "source:path"),
        completion: .file(), transform: MountArgument.file)
    var files: [MountArgument] = []

    @Option(
        name: .customLong("workdir"),
        help: ArgumentHelp(
            "Where the module's relative paths begin, and where it may write: in its copy of a folder that is shown "
                + "there, else in an empty one.",
            valueName: "path"))
    var workingFolder: String?

    @Flag(name: .customLong("tmp"), help: "Give the module an empty folder /tmp to write to.")
    var hasTemporaryFolder = false

    @Option(
        help: ArgumentHelp(
            "Keep the files that fit PATTERN when the run has ended, and write them to DESTINATION, which must not be "
                + "there; the pattern may have *, ?, [a-z], and ** for folders and all below. May be given several "
                + "times; the last colon ends the pattern.",
            valueName: "pattern:destination"),
        transform: CollectArgument.read)
    var collect: [CollectArgument] = []

    @Option(
        name: .customLong("max-files"),
        help: "The most that the module has in files of its own, in bytes or for example 64Mi; by default 256 MiB.",
        transform: Quantity.bytes)
    var maxBytes: Quantity?

    @Option(
        name: .customLong("max-entries"),
        help: "The most files, folders and links of its own; by default 65536.", transform: Quantity.count)
    var maxEntries: Quantity?

    /// Whether the job has files.
    var isEmpty: Bool {
        folders.isEmpty && files.isEmpty && workingFolder == nil && !hasTemporaryFolder && collect.isEmpty
    }

    /// Whether content of the user's goes with the job.
    var hasContent: Bool { !folders.isEmpty || !files.isEmpty }

    /// Refuses what makes no sense, whatever is on the disk and at the node.
    func check() throws {
        guard !isEmpty else {
            if maxBytes != nil || maxEntries != nil {
                throw ValidationError(
                    "--max-files and --max-entries limit what --workdir, --dir SOURCE:PATH:rw or --tmp allow.")
            }
            return
        }
        if !collect.isEmpty, workingFolder == nil, folders.isEmpty, !hasTemporaryFolder {
            throw ValidationError("--collect needs a folder that the module can write to, such as --workdir /job.")
        }
        let destinations = collect.compactMap(\.destination)
        guard Set(destinations).count == destinations.count else {
            throw ValidationError("Every --collect needs a destination of its own.")
        }
        if folders.contains(where: { $0.path == "/" }), let folder = workingPath, folder != "/" {
            throw ValidationError(
                "With a folder at /, the working folder must be / too: programs take both for one place. Show it at "
                    + "another path, or use --workdir /.")
        }
        if let folder = workingPath, folder != "/",
            let file = files.first(where: { $0.path.split(separator: "/").count == 1 })
        {
            throw ValidationError(
                "A program in the working folder \(folder) does not find \(file.path): it looks for what lies at the "
                    + "root in the working folder. Show it at \(folder)\(file.path).")
        }
        if let fault = plan().fault() { throw fault }
    }

    /// The working folder in its only spelling.
    private var workingPath: String? { workingFolder.map(GuestPath.tidied) }

    /// The files of the job, with the names of outputs besides these, and without the CIDs of what is shown.
    func plan(besides taken: Set<String> = []) -> JobSubmission.Files {
        var plan = JobSubmission.Files(workingFolder: workingPath)
        plan.mounts = folders.map {
            JobSubmission.Files.Mount(path: $0.path, cid: nil, isFolder: true, isWritable: $0.isWritable)
        }
        if let folder = workingPath {
            // The innermost folder that is shown there becomes a copy to write to.
            let around = plan.mounts.indices.filter { GuestPath.isPath(folder, atOrIn: plan.mounts[$0].path) }
            if let innermost = around.max(by: { plan.mounts[$0].path.utf8.count < plan.mounts[$1].path.utf8.count }) {
                plan.mounts[innermost].isWritable = true
            } else if !(hasTemporaryFolder && GuestPath.isPath(folder, atOrIn: "/tmp")) {
                plan.mounts.append(JobSubmission.Files.Mount(path: folder, cid: nil, isFolder: true, isWritable: true))
            }
        }
        plan.mounts += files.map {
            JobSubmission.Files.Mount(path: $0.path, cid: nil, isFolder: false, isWritable: $0.isWritable)
        }
        plan.hasTemporaryFolder = hasTemporaryFolder
        plan.maxBytes = maxBytes?.value
        plan.maxEntries = maxEntries?.value
        let names = CollectArgument.names(of: collect, besides: taken.union(["stdout", "stderr", "log"]))
        plan.collect = zip(names, collect).map { NamedText(name: $0.0, text: $0.1.pattern) }
        return plan
    }

    /// What is written where once the job is over.
    func collected(besides taken: Set<String>) -> [(name: String, pattern: String, destination: String)] {
        zip(plan(besides: taken).collect, collect).compactMap { named, argument in
            argument.destination.map { (named.name, named.text, $0) }
        }
    }

    /// Looks at what is named on this machine, before anything is sent: sources must be there and be what the option
    /// says, destinations must not be there.
    func checkPaths() throws {
        for (option, mounts) in [("--dir", folders), ("--file", files)] {
            for mount in mounts { try Self.checkSource(mount, option) }
        }
        try OutputPaths.checkNew(collect.compactMap(\.destination))
    }

    private static func checkSource(_ mount: MountArgument, _ option: String) throws {
        var information = stat()
        guard stat(mount.source, &information) == 0 else {
            if (try? TreePath(mount.source)) != nil { return }
            throw LocalFileError(
                path: mount.source, reason: "no such file or folder, and no CID",
                hint: "Check what \(option) names.")
        }
        let isFolder = information.st_mode & S_IFMT == S_IFDIR
        if isFolder != (option == "--dir") {
            throw LocalFileError(
                path: mount.source, reason: isFolder ? "a folder, not a file" : "a file, not a folder",
                hint: "Show it with \(isFolder ? "--dir" : "--file").")
        }
        guard access(mount.source, isFolder ? R_OK | X_OK : R_OK) == 0 else {
            throw LocalFileError(path: mount.source, reason: String(cString: strerror(errno)))
        }
    }
}
