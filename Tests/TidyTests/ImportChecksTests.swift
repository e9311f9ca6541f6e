import Testing

/// The checks themselves, on small samples that must fail and ones that must not.
@Suite struct ImportChecksTests {
    @Test(arguments: [
        ("Sources/JobMarket/A.swift", "import Foundation", "JobMarket is a cores target and imports Foundation"),
        ("Sources/IPLD/A.swift", "import NIOPosix", "IPLD is a formats target and imports NIOPosix"),
        ("Sources/Yamux/A.swift", "@preconcurrency import Dispatch", "imports Dispatch"),
        ("Sources/Noise/A.swift", "import struct Foundation.Date", "imports Foundation"),
        ("Sources/GossipSub/A.swift", "import Swarm", "GossipSub (cores) imports Swarm (shells), a layer above"),
        ("Sources/MeshStore/A.swift", "internal import MeshHTTP", "imports MeshHTTP (composition)"),
        ("Sources/Kademlia/A.swift", "import NIOCore", "which only Multistream, Noise, Yamux may"),
        ("Sources/Novelty/A.swift", "", "the target Novelty has no layer"),
    ])
    func refuses(path: String, text: String, reason: String) throws {
        let findings = ImportChecks.findings(in: SourceFile(path: path, text: text))
        try #require(findings.count == 1)
        #expect(findings[0].message.contains(reason))
        #expect(findings[0].line == 1)
    }

    @Test(arguments: [
        ("Sources/JobMarket/A.swift", "import Economics\nimport OrderedCollections\nimport Crypto"),
        ("Sources/Yamux/A.swift", "import NIOCore"),
        ("Sources/Swarm/A.swift", "import NIOPosix\nimport Yamux\nimport Foundation"),
        ("Sources/IPLD/A.swift", "// import Foundation\nlet text = \"import Foundation\""),
        ("Tests/IPLDTests/A.swift", "import Foundation"),
    ])
    func allows(path: String, text: String) {
        #expect(ImportChecks.findings(in: SourceFile(path: path, text: text)) == [])
    }
}
