extension FileSystemPlan {
    /// What is wrong with the plan whatever its mounts hold; nil if nothing is. What only their content can tell, such
    /// as a preopen that is a file, shows when the tree is built.
    package func fault(limits: GuestFileSystem.Limits = GuestFileSystem.Limits()) -> FileSystemPlanFault? {
        do throws(FileSystemPlanFault) {
            _ = try placedMounts(limits: limits)
            for preopen in preopens {
                guard !preopen.name.isEmpty, preopen.name.count < limits.pathBytesMax, !preopen.name.contains(0) else {
                    throw .preopenName(preopen.name)
                }
                guard FilePath.names(fromRoot: preopen.path, limits: limits) != nil else { throw .path(preopen.path) }
            }
            return nil
        } catch {
            return error
        }
    }

    /// The mounts with the names of their paths, a folder before what lies in it.
    func placedMounts(
        limits: GuestFileSystem.Limits
    ) throws(FileSystemPlanFault) -> [(names: [FileName], mount: Mount)] {
        // Three descriptors are the standard streams.
        let preopensMax = min(limits.mountsMax, limits.descriptorsMax - 3)
        guard mounts.count <= limits.mountsMax else { throw .tooMany(max: limits.mountsMax) }
        guard preopens.count <= preopensMax else { throw .tooMany(max: preopensMax) }
        var placed: [(names: [FileName], mount: Mount)] = []
        for mount in mounts {
            guard let names = FilePath.names(fromRoot: mount.path, limits: limits) else { throw .path(mount.path) }
            if let first = names.first, first.bytes.elementsEqual("dev".utf8) { throw .occupied(mount.path) }
            placed.append((names, mount))
        }
        placed.sort { $0.names.lexicographicallyPrecedes($1.names) }
        for (left, right) in zip(placed, placed.dropFirst()) where left.names == right.names {
            throw .occupied(right.mount.path)
        }
        return placed
    }
}
