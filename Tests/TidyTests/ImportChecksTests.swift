import Testing

/// The checks themselves, on small samples that must fail and ones that must not.
@Suite struct ImportChecksTests {
    @Test(arguments: [
        ("mesh/Sources/JobMarket/A.swift", "import Foundation", "JobMarket is a cores target and imports Foundation"),
        ("mesh/Sources/IPLD/A.swift", "import NIOPosix", "IPLD is a formats target and imports NIOPosix"),
        ("libp2p/Sources/Yamux/A.swift", "@preconcurrency import Dispatch", "imports Dispatch"),
        ("libp2p/Sources/Noise/A.swift", "import struct Foundation.Date", "imports Foundation"),
        (
            "libp2p/Sources/GossipSub/A.swift", "import LibP2P",
            "GossipSub (cores) imports LibP2P (shells), a layer above"
        ),
        ("mesh/Sources/MeshStore/A.swift", "internal import MeshHTTP", "imports MeshHTTP (composition)"),
        ("libp2p/Sources/Kademlia/A.swift", "import NIOCore", "which only Multistream, Noise, Yamux may"),
        ("libp2p/Sources/LibP2P/A.swift", "import MeshTypes", "LibP2P is of the network and imports MeshTypes"),
        ("mesh/Sources/Novelty/A.swift", "", "the target Novelty has no layer"),
    ])
    func refuses(path: String, text: String, reason: String) throws {
        let findings = ImportChecks.findings(in: SourceFile(path: path, text: text))
        try #require(findings.count == 1)
        #expect(findings[0].message.contains(reason))
        #expect(findings[0].line == 1)
    }

    @Test(arguments: [
        ("mesh/Sources/JobMarket/A.swift", "import Economics\nimport OrderedCollections\nimport Crypto"),
        ("libp2p/Sources/Yamux/A.swift", "import NIOCore"),
        ("libp2p/Sources/LibP2P/A.swift", "import NIOPosix\nimport Yamux\nimport Foundation"),
        ("mesh/Sources/IPLD/A.swift", "// import Foundation\nlet text = \"import Foundation\""),
        ("mesh/Tests/IPLDTests/A.swift", "import Foundation"),
    ])
    func allows(path: String, text: String) {
        #expect(ImportChecks.findings(in: SourceFile(path: path, text: text)) == [])
    }
}
