import NodeAPI
import Testing

@testable import MeshCLI

/// What a person reads of an executor that rests.
@Suite struct ExecutorOrderTests {
    @Test(
        arguments: [
            (ExecutorState(state: "open"), "The node takes jobs.", "yes"),
            (
                ExecutorState(state: "open", running: 1, waiting: 1, hours: ["22:00-06:00"], nice: 5),
                "The node takes jobs.",
                "yes, at 22:00-06:00, 2 jobs here, nice 5"
            ),
            (
                ExecutorState(state: "paused"), "Paused: the node takes no new jobs, and has none.",
                "paused (mesh resume)"
            ),
            (
                ExecutorState(state: "paused", running: 1, keptMilliseconds: 42_000),
                "Paused: the node takes no new jobs, and 1 job stands still, for 42 s yet; then others run it.",
                "paused (mesh resume), 1 job here"
            ),
            (
                ExecutorState(state: "paused", running: 1, waiting: 2),
                "Paused: the node takes no new jobs, and 3 jobs stand still.", "paused (mesh resume), 3 jobs here"
            ),
            (
                ExecutorState(state: "draining", running: 1, waiting: 1_200),
                "Draining: the node takes no new jobs, and finishes 1,201 jobs (1 running).",
                "draining, 1,201 jobs here"
            ),
            (
                ExecutorState(state: "drained"), "Drained: the node takes no new jobs, and has none.",
                "drained (mesh resume)"
            ),
            (
                ExecutorState(state: "out_of_hours", running: 1, hours: ["22:00-06:00", "12:00-13:00"]),
                "The node takes jobs at 22:00-06:00, 12:00-13:00, and not now; 1 job goes on.",
                "not now, at 22:00-06:00, 12:00-13:00, 1 job here"
            ),
            (ExecutorState(state: "stopping"), "The node is about to stop.", "stopping"),
            (ExecutorState(state: "off"), "The node runs no jobs for others.", "no"),
        ] as [(ExecutorState, String, String)])
    func words(state: ExecutorState, sentence: String, fact: String) {
        #expect(ExecutorWords.text(state) == sentence)
        #expect(ExecutorWords.fact(state) == fact)
    }
}
