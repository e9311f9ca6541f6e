import MeshTypes
import Testing

@testable import CoVM

@Suite("Every limit has an outcome of its own")
struct LimitTests {
    @Test("fuel, for an endless loop")
    func fuel() async throws {
        let result = try await Machine().run(Guests.endlessLoop) { $0.limits.maxFuel = 1_000_000 }
        #expect(result.outcome == .limitExceeded(.fuel))
        #expect(result.usage.fuel == 1_000_000)
    }

    @Test("fuel, for a flood of host calls, of blocks and of bulk operations")
    func fuelOfHostCalls() async throws {
        let machine = try Machine()
        let calls = try await machine.run(Guests.hostCallFlood) { $0.limits.maxFuel = 1_000_000 }
        #expect(calls.outcome == .limitExceeded(.fuel))
        #expect(calls.usage.fuel == 1_000_000)
        let made = try #require(calls.usage.hostCalls["wasi_snapshot_preview1.sched_yield"])
        #expect(made <= 1_000_000 / HostCall.callFuel)
        let fills = try await machine.run(Guests.fillFlood) { job in
            job.limits.maxFuel = 200_000_000
            job.limits.maxMemoryBytes = 128 << 20
        }
        #expect(fills.outcome == .limitExceeded(.fuel))
        let blocks = try await machine.run(Guests.blockFlood) { job in
            job.limits.maxFuel = 20_000_000
            job.limits.maxOutputBytes = .max
        }
        #expect(blocks.outcome == .limitExceeded(.fuel))
        #expect(machine.host.blockCount == 1)
    }

    @Test("wall clock, for an endless loop with fuel left")
    func wallClock() async throws {
        let machine = try Machine.patient()
        let result = try await machine.run(Guests.endlessLoop) { job in
            job.limits.maxFuel = .max
            job.limits.timeoutSeconds = 1
        }
        #expect(result.outcome == .limitExceeded(.wallClock))
        // The host hears at each yield what was used at least.
        #expect(machine.host.fuelTold > 0 && machine.host.fuelTold <= result.usage.fuel)
        #expect(result.usage.fuel < UInt64.max)
        #expect(result.interruptions.count > 0)
        #expect(result.interruptions.afterCancel == 0)
    }

    @Test("wall clock, for a guest that sleeps: in virtual time, so nobody waits and it is the same everywhere")
    func sleeping() async throws {
        let machine = try Machine()
        let long = try await machine.run(Guests.sleeping(nanoseconds: 3_600_000_000_000, forever: false))
        #expect(long.outcome == .limitExceeded(.wallClock))
        let short = try await machine.run(Guests.sleeping(nanoseconds: 1_000_000_000, forever: true))
        #expect(short.outcome == .limitExceeded(.wallClock))
        #expect(short.usage.hostCalls["wasi_snapshot_preview1.poll_oneoff"] == 60)
        let fine = try await machine.run(Guests.sleeping(nanoseconds: 1_000_000_000, forever: false))
        #expect(fine.outcome == .exited(code: 0))
        let idle = try await machine.run(Guests.sleeping(nanoseconds: 0, forever: true)) {
            $0.limits.maxFuel = 1_000_000
        }
        #expect(idle.outcome == .limitExceeded(.fuel))
    }

    @Test("memory, for a module that starts too large, before it is instantiated")
    func initialMemory() async throws {
        let text = #"(module (memory (export "memory") 65536) (func (export "_start")))"#
        let result = try await Machine().run(text)
        #expect(result.outcome == .limitExceeded(.memory))
        #expect(result.usage.fuel == 0)
    }

    @Test("memory, for a guest that cannot go on after a refused growth")
    func memoryBomb() async throws {
        let machine = try Machine()
        let trapped = try await machine.run(Guests.memoryBomb)
        #expect(trapped.outcome == .limitExceeded(.memory))
        #expect(trapped.usage.peakMemoryBytes <= 64 << 20)
        #expect(trapped.usage.peakMemoryBytes > 62 << 20)
        let exited = try await machine.run(Guests.growThenExit(1))
        #expect(exited.outcome == .limitExceeded(.memory))
    }

    @Test("not memory, for a guest that went on after a refused growth")
    func memoryHandled() async throws {
        let machine = try Machine()
        #expect(try await machine.run(Guests.growThenExit(0)).outcome == .exited(code: 0))
        let other = try await machine.run(Guests.growthRefusedThenGranted)
        #expect(
            other.outcome
                == .trapped(kind: .arithmetic, message: "integer division by zero in function 0"))
    }

    @Test("table, for a module that starts with too many elements")
    func table() async throws {
        let text = #"(module (table 100001 funcref) (func (export "_start")))"#
        let result = try await Machine().run(text)
        #expect(result.outcome == .limitExceeded(.table))
    }

    @Test("a table's growth past the limit is refused as the specification has it")
    func tableGrowth() async throws {
        let text = """
            (module (table 1 funcref)
              (func (export "_start") (result i32) (table.grow (ref.null func) (i32.const 200000))))
            """
        let result = try await Machine().run(text)
        #expect(result.outcome == .exited(code: -1))
    }

    @Test("stack, for an endless recursion")
    func stack() async throws {
        let machine = try Machine()
        let result = try await machine.run(Guests.endlessRecursion)
        #expect(result.outcome == .limitExceeded(.stack))
        #expect(try await machine.run(Guests.nothing).outcome == .exited(code: 0))
    }

    @Test("stack, for a recursion through frames with many locals")
    func wideStack() async throws {
        let locals = String(repeating: "i64 ", count: 40_000)
        let text = #"(module (func $f (export "_start") (local \#(locals)) (call $f)))"#
        let result = try await Machine().run(text)
        #expect(result.outcome == .limitExceeded(.stack))
    }

    @Test("output, over all streams together; what fitted is kept", arguments: [1, 2])
    func output(descriptor: Int) async throws {
        let machine = try Machine()
        let flood = Guests.writing("0123456789", descriptor: descriptor, times: 1_000_000)
        let result = try await machine.run(flood) { $0.limits.maxOutputBytes = 1_234 }
        #expect(result.outcome == .limitExceeded(.output))
        let cid = descriptor == 1 ? result.standardOutputCID : result.standardErrorCID
        #expect(machine.host.text(cid)?.utf8.count == 1_230)
        #expect(result.usage.bytesWritten == 1_230)
    }

    @Test("output, for blocks and for log lines")
    func outputOfBlocks() async throws {
        let machine = try Machine()
        let blocks = try await machine.run(Guests.blockFlood) { job in
            job.limits.maxFuel = .max
            job.limits.maxOutputBytes = 3 << 20
        }
        #expect(blocks.outcome == .limitExceeded(.output))
        #expect(blocks.usage.bytesWritten == 3 << 20)
        let text = """
            (module
              (import "mesh_host_v1" "log" (func $log (param i32 i32 i32) (result i32)))
              (memory (export "memory") 1)
              (func (export "_start")
                (loop $l (drop (call $log (i32.const 1) (i32.const 0) (i32.const 100))) (br $l))))
            """
        let log = try await machine.run(text) { $0.limits.maxOutputBytes = 1_000 }
        #expect(log.outcome == .limitExceeded(.output))
        // "info: ", a hundred bytes, a line end.
        #expect(machine.host.logLines.count == 1_000 / 107)
    }

    @Test("arguments and environment have a bound, and hold no NUL")
    func arguments() async throws {
        let machine = try Machine()
        let long = try await machine.run(Guests.nothing) {
            $0.arguments = [String(repeating: "x", count: MeshHostABI.argumentBytesMax)]
        }
        #expect(
            long.outcome
                == .moduleRefused(reason: "arguments and environment have 65537 bytes but at most 65536 are allowed"))
        let broken = try await machine.run(Guests.nothing) { $0.environment = [("A", "b\0c")] }
        #expect(
            broken.outcome
                == .moduleRefused(reason: "an argument or environment variable holds a NUL byte"))
    }
}
