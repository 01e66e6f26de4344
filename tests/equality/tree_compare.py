"""What the comparisons of tree models share: runs of the program, rows that are hard to get right, equality of bits."""

import concurrent.futures
import os
import signal
import subprocess

import numpy as np


class Report:
    """Counts comparisons by group (an objective, a booster) and keeps what differed."""

    def __init__(self, verbose):
        self.verbose, self.groups, self.failed, self.refused = verbose, {}, [], []

    def add(self, group, name, problem):
        count = self.groups.setdefault(group, [0, 0])
        count[0 if problem is None else 1] += 1
        if problem is not None:
            self.failed.append(name)
        if self.verbose or problem is not None:
            print(f"{'equal' if problem is None else 'DIFFERS'}  {name}{'' if problem is None else ': ' + problem}", flush=True)

    def summary(self):
        """Prints the groups; the number of equal comparisons."""
        for group, (equal, differ) in self.groups.items():
            print(f"{group:<44} {equal:5} equal{f', {differ} DIFFER' if differ else ''}")
        return sum(equal for equal, _ in self.groups.values())


class Crash(RuntimeError):
    """The program ended by a signal, or ran longer than it may."""


class Engine:
    """Runs the program under test on one model and one set of inputs: on the reference backend, and on native with
    every instruction set that this processor has."""

    def __init__(self, program, folder, seconds_max=None):
        self.program, self.folder, self.seconds_max = program, folder, seconds_max
        self.pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
        self.ways = [("reference", "")] + [("native", isa) for isa in self.isas()]

    def isas(self):
        model = os.path.join(self.folder, "isa.txt")
        with open(model, "w") as file:
            file.write("tree\nnum_class=1\nmax_feature_idx=0\n\nTree=0\nnum_leaves=1\nnum_cat=0\nleaf_value=1\n\n")
        return [isa for isa in ("amx", "avx512", "avx2", "sse4", "neon", "plain") if self.runs(model, isa)]

    def runs(self, model, isa):
        try:
            self.run(model, {"input": np.zeros((1, 1))}, ("native", isa))
            return True
        except RuntimeError as error:
            if "is not what this processor runs" not in str(error):
                raise
            return False

    def save(self, inputs):
        path = os.path.join(self.folder, "in.npz")
        np.savez(path, **inputs)
        return path

    def run(self, model, inputs, way, raw=False):
        """`inputs`: arrays by name, or the path of a file that save() wrote."""
        given = inputs if isinstance(inputs, str) else self.save(inputs)
        made = os.path.join(self.folder, f"out_{'_'.join(way)}.npz")
        command = [self.program, "run", model, "--inputs", given, "--output", made, "--backend", way[0]]
        command += (["--isa", way[1]] if way[1] else []) + (["--raw-score"] if raw else [])
        self.call(command)
        with np.load(made) as arrays:
            return {key: arrays[key] for key in arrays.files}

    def call(self, command):
        """What the command prints; RuntimeError with what it says where it fails. A busy machine may stretch the seconds of
        the processor, which are what is bounded, up to twelve times."""
        if self.seconds_max:
            command = ["prlimit", f"--cpu={self.seconds_max}"] + command
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=self.seconds_max and 12 * self.seconds_max)
        except subprocess.TimeoutExpired:
            raise Crash(f"stands still: no answer within {12 * self.seconds_max} s") from None
        if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL) and self.seconds_max:
            raise Crash(f"runs longer than {self.seconds_max} s")
        if done.returncode < 0:
            raise Crash(f"ended by signal {-done.returncode}: {done.stderr.strip()[:300]}")
        if done.returncode != 0:
            raise RuntimeError((done.stderr or done.stdout).strip())
        return done.stdout


def difference(got, wanted):
    """None where all bits agree (any NaN equals any NaN), else what differs."""
    wanted = np.asarray(wanted)
    if got.size != wanted.size:
        return f"{got.shape} instead of {wanted.shape}"
    if got.dtype != wanted.dtype:
        return f"{got.dtype} instead of {wanted.dtype}"
    got = got.reshape(wanted.shape)
    if wanted.dtype.kind != "f":
        bad = got != wanted
    else:
        bits = {2: np.uint16, 4: np.uint32, 8: np.uint64}[wanted.dtype.itemsize]
        bad = (got.view(bits) != np.ascontiguousarray(wanted).view(bits)) & ~(np.isnan(got) & np.isnan(wanted))
    if not bad.any():
        return None
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"{int(bad.sum())} of {bad.size} values, first at {at}: {got[at]!r}, library {wanted[at]!r}"


def close(got, wanted):
    """None where recorded values are met to 1e-9 relative (they were written with fewer digits than a float64 has)."""
    wanted = np.asarray(wanted, dtype=np.float64)
    if got.size != wanted.size:
        return f"{got.shape} instead of {wanted.shape}"
    error = np.abs(got.reshape(wanted.shape) - wanted) / np.maximum(np.abs(wanted), 1e-3)
    return None if error.max() <= 1e-9 else f"relative error {error.max():.3g}"


def moved(wanted):
    return any(value.size < 8 or np.unique(value, axis=0).shape[0] > 1 for value in wanted.values())


def compare(report, engine, group, name, model, inputs, wanted, raw=False, same=difference, still=False):
    """One comparison per backend and instruction set. `still`: the inputs need not move the outputs."""
    given = engine.save(inputs)

    def problem(way):
        try:
            got = engine.run(model, given, way, raw)
            return next((p for p in (same(got[key], value) for key, value in wanted.items()) if p), None)
        except (RuntimeError, KeyError) as error:
            return str(error)

    dull = None if still or moved(wanted) else "the inputs do not move the outputs"
    for way, what in zip(engine.ways, engine.pool.map(problem, engine.ways)):
        report.add(group, f"{name} [{' '.join(way).strip()}]", what or dull)


def awkward(random, rows, columns, thresholds, single=False):
    """Rows that hit thresholds exactly and their neighbours, zeros, tiny, huge and infinite values, and NaN. `single`:
    the neighbours are those of float32."""
    x = random.standard_normal((rows, columns)) * 2
    for f in range(columns):
        pool = np.asarray(thresholds.get(f, [0.0]), dtype=np.float64)
        kind = np.float32 if single else np.float64
        near = [np.nextafter(pool.astype(kind), kind(side)).astype(np.float64) for side in (np.inf, -np.inf)]
        pool = np.concatenate([pool, *near, pool * 1.01 + 0.1])
        pick = random.random(rows) < 0.7
        x[pick, f] = random.choice(pool, pick.sum())
    # fmt: off
    special = [np.nan] * 10 + [0.0] * 6 + [1e-36, -1e-36, 1e-35, -1e-35, -0.0, -0.5, -0.9, 3.7, 1e12, np.inf, -np.inf,
               1e38, -1e38, 3.5e38, 1e300, -1e300, 5e-324, -1e-310, 1e-40, -1e-44, 2147483647.0, 2147483648.0, 16777216.0]
    # fmt: on
    pick = random.random((rows, columns)) < 0.2
    x[pick] = random.choice(special, pick.sum())
    return x
