"""What `profile_command.py` runs: a cubragg command line with a clock around the functions that name its parts.

Every moment belongs to one part, that of the innermost function, so the parts add up to the
whole. Functions are wrapped as their modules are loaded: nothing is loaded that the command
itself does not load. Only what is needed here is imported: it counts as start of the interpreter.
"""

import builtins
import resource
import sys
import threading
import time

#: Function -> part of the run. ``*`` matches the rest of a name, which joins the part.
PARTS = {
    "cubragg.cli.parser:parse": "flags",
    "cubragg.cli.build:build": "flags",
    "cubragg.cli.inputs:load_config": "read config",
    "cubragg.io.*:read_*": "read",
    "cubragg.experiment.structure_factors:StructureFactors.from_list": "grid of structure factors",
    "cubragg.plan.make_plan:make_plan": "plan",
    "cubragg.engine.select:select_backend": "choose and set up backend",
    "cubragg.engine.reference.factor_table:bordered": "table of structure factors",
    "cubragg.device.host_build:HostKernel.__init__": "kernels: compile or load",
    "cubragg.device.cuda_device:kernel_module": "kernels: compile or load",
    "cubragg.engine.reference.numpy_engine:NumpyEngine.render": "render",
    "cubragg.engine.host.host_engine:HostEngine.render": "render",
    "cubragg.engine.cuda.cuda_engine:CudaEngine.render": "render",
    "cubragg.run.simulated_image:figures_of": "figures of the image",
    "cubragg.detect.noise:noise_counts": "noise",
    "cubragg.detect.nanobragg_images:noise_image": "whole counts",
    "cubragg.detect.nanobragg_images:int_image": "whole counts",
    "cubragg.detect.nanobragg_images:pgm_image": "whole counts",
    "cubragg.detect.stored_pixels:stored_pixels": "whole counts",
    "cubragg.reflections.predict:reflection_table": "truth",
    "cubragg.io.reflections.read:Reflections.structure_factors": "grid of structure factors",
    "cubragg.cli.outputs:ImageFiles._write_*": "write",
    "cubragg.cli.summary:summary": "summary",
}
IMPORTS, OTHER = "imports", "everything else"


class Clock:
    """Seconds of each part, and the process's peak memory [MB] when it last ended."""

    def __init__(self):
        self.seconds = {OTHER: 0.0}
        self.peak_MB = {}
        self._open = [OTHER]
        self._last = time.monotonic()
        self._thread = threading.get_ident()

    def _charge(self):
        now = time.monotonic()
        self.seconds[self._open[-1]] += now - self._last
        self._last = now

    def timed(self, part, function, args, kwargs):
        """Call a function; threads other than the first are not timed, since parts must add up."""
        if threading.get_ident() != self._thread or self._open[-1] == part:
            return function(*args, **kwargs)
        self._charge()
        self._open.append(part)
        self.seconds.setdefault(part, 0.0)
        try:
            return function(*args, **kwargs)
        finally:
            self._charge()
            self._open.pop()
            self.peak_MB[part] = peak_memory()

    def result(self):
        """Parts in the order in which they began, the rest last."""
        self._charge()
        self.peak_MB[OTHER] = peak_memory()
        rest = self.seconds.pop(OTHER)
        return [[part, seconds, self.peak_MB[part]] for part, seconds in [*self.seconds.items(), (OTHER, rest)]]


def peak_memory():
    """Peak memory of this process so far [MB]."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 if sys.platform != "darwin" else 1024**2)


def wrap(clock, module):
    """Put the clock around the functions of a loaded module that are parts."""
    for name, part in PARTS.items():
        home, _, path = name.partition(":")
        if module.__name__ != home and not (home.endswith("*") and module.__name__.startswith(home[:-1])):
            continue
        *owners, attribute = path.split(".")
        owner = getattr(module, owners[0]) if owners else module
        names = [attribute] if not attribute.endswith("*") else [
            each for each, value in vars(owner).items() if each.startswith(attribute[:-1])
            and getattr(value, "__module__", "") == module.__name__]
        for each in names:
            if not owners and getattr(owner, each).__module__ != module.__name__:
                continue
            label = f"{part} {each[len(attribute) - 1:]}" if attribute.endswith("*") else part
            original = vars(owner)[each]
            setattr(owner, each, timed(clock, label, original))


def timed(clock, part, original):
    """A function, or class method, under the clock."""
    if isinstance(original, classmethod):
        return classmethod(timed(clock, part, original.__func__))

    def call(*args, **kwargs):
        return clock.timed(part, original, args, kwargs)

    call.__wrapped__ = original
    call.__module__ = original.__module__
    return call


def watch_imports(clock):
    """Count imports as a part, and wrap modules before those who import them take names out of them."""
    original, seen = builtins.__import__, set(sys.modules)

    def load(*args, **kwargs):
        module = original(*args, **kwargs)
        for name in [name for name in sys.modules if name not in seen]:
            loaded = sys.modules[name]
            if getattr(getattr(loaded, "__spec__", None), "_initializing", False):
                continue
            seen.add(name)
            if name.startswith("cubragg."):
                wrap(clock, loaded)
        return module

    builtins.__import__ = lambda *args, **kwargs: clock.timed(IMPORTS, load, args, kwargs)


def main():
    """``profiled.py ROOT RESULT SPAWNED line...``: run the line; write the figures, the last stamp at the very end."""
    begin = time.monotonic()
    root, result, spawned, *line = sys.argv[1:]
    sys.path.insert(0, root)
    clock = Clock()
    watch_imports(clock)
    sys.argv = ["cubragg", *line]
    try:
        from cubragg.cli.commands import cli

        cli(prog_name="cubragg")
    finally:
        parts = clock.result()
        with open(result, "w", encoding="utf-8") as file:
            print(repr({"start": begin - float(spawned), "parts": parts, "end": time.monotonic()}), file=file)


if __name__ == "__main__":
    main()
