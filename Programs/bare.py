"""Runs a step under the bare engine: the same module on a real folder of this machine, without a mesh around it."""

import hashlib
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

# The engine's own Python package, as scripts/fetch-programs.sh brings it: the same library as that of the node.
PACKAGE = Path(__file__).resolve().parent.parent / "vendor/programs/wasmtime"
sys.path.insert(0, str(PACKAGE))
import wasmtime  # noqa: E402


@dataclass
class BareRun:
    """What a run left behind."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    root: Path
    milliseconds: float
    fuel: int


class BareEngine:
    """An engine in the profile of the node's, with compiled modules kept on disk."""

    fuel = 10**13

    def __init__(self, cache: Path):
        config = wasmtime.Config()
        config.consume_fuel = True
        config.epoch_interruption = True
        config.cranelift_nan_canonicalization = True
        config.gc_support = True
        config.wasm_exceptions = True
        config.wasm_threads = True
        self.engine = wasmtime.Engine(config)
        self.version = (PACKAGE / ".sha256").read_text().strip()[:16]
        self.cache = cache
        self.modules: dict[Path, wasmtime.Module] = {}
        cache.mkdir(parents=True, exist_ok=True)

    def module(self, path: Path) -> wasmtime.Module:
        """A module, compiled at most once by this engine's version."""
        if path not in self.modules:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            compiled = self.cache / f"{digest}-{self.version}.cwasm"
            if not compiled.exists():
                partial = compiled.with_suffix(f".{os.getpid()}")
                partial.write_bytes(wasmtime.Module.from_file(self.engine, str(path)).serialize())
                partial.rename(compiled)
            self.modules[path] = wasmtime.Module.deserialize_file(self.engine, str(compiled))
        return self.modules[path]

    def run(self, step, place, root: Path) -> BareRun:
        """Lays out what the step is given below root, and runs it there; `place` turns its paths into real ones."""
        module = self.module(place(step.module))
        open_folders = lay_out(step, place, root)
        store = wasmtime.Store(self.engine)
        store.set_fuel(self.fuel)
        store.set_epoch_deadline(1)
        wasi = wasmtime.WasiConfig()
        wasi.argv = ["job", *step.args]
        wasi.env = list(step.env.items())
        for name, folder, is_writable in open_folders:
            wasi.preopen_dir(str(folder), name, is_writable)
        outputs = {name: root.with_name(f"{root.name}.{name}") for name in ("stdout", "stderr")}
        wasi.stdout_file, wasi.stderr_file = (str(path) for path in outputs.values())
        if step.stdin:
            wasi.stdin_file = str(place(step.stdin))
        store.set_wasi(wasi)
        linker = wasmtime.Linker(self.engine)
        linker.define_wasi()
        # A program that brings calls of its own maker's ends when it uses one of them.
        linker.define_unknown_imports_as_traps(module)
        begun, code = time.monotonic(), 0
        try:
            linker.instantiate(store, module).exports(store)["_start"](store)
        except wasmtime.ExitTrap as end:
            code = end.code
        except (wasmtime.Trap, wasmtime.WasmtimeError) as trap:
            raise RuntimeError(f"{step.module} trapped under the bare engine: {trap}") from trap
        milliseconds = (time.monotonic() - begun) * 1000
        fuel = self.fuel - store.get_fuel()
        return BareRun(code, outputs["stdout"].read_bytes(), outputs["stderr"].read_bytes(), root, milliseconds, fuel)


def lay_out(step, place, root: Path) -> list[tuple[str, Path, bool]]:
    """Copies what the step is given to where it finds it; returns the folders that are open from the start."""
    below = lambda path: root / path.lstrip("/")  # noqa: E731
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    named = set()
    for path, source in {**step.folders, **step.writable}.items():
        shutil.copytree(place(source), below(path), dirs_exist_ok=True)
        named.add(path)
    for path, source in step.files.items():
        below(path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(place(source), below(path))
        named.add(os.path.dirname(path))
    if step.tmp:
        below("/tmp").mkdir(exist_ok=True)
        named.add("/tmp")
    # Programs that want to be unpredictable read this one; under the bare engine a file has to stand for it.
    below("/dev").mkdir(exist_ok=True)
    below("/dev/urandom").write_bytes(hashlib.sha512(b"urandom").digest())
    named.add("/dev")
    if step.workdir:
        below(step.workdir).mkdir(parents=True, exist_ok=True)
        named.add(step.workdir)
    is_writable = {*step.writable, "/tmp", step.workdir}
    folders = [(path, below(path), path in is_writable) for path in sorted(named)]
    if step.workdir:
        folders.append((".", below(step.workdir), True))
    return folders
