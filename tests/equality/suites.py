#!/usr/bin/env python3
"""Runs the folders of test models of other engines ($HAYATE_DATA/models) on `reference` and `native`.

onnx2c_cases: every recorded output is reproduced (`hayate verify FOLDER`). All other models, those of
onnxruntime_testdata above all, are fed values made up for the types and shapes they declare, and either equal ONNX
Runtime or are refused with a reason; the reasons that may stand are listed below (MAY_REFUSE), any other is a failure.
`native` is held against `reference`: within 1e-5 relative + 1e-6 absolute, or with at most twice ONNX Runtime's own error.
`reference`, whose sums are exact, is held against ONNX Runtime, whose sums are float32's: 20 times that bound, of the
largest element where one cancels; 2 % with 16-bit floats, between which ONNX Runtime keeps float32; quantised models may
round some elements to another step, how many is printed.
A model that ONNX Runtime refuses may run or be refused. A crash, or a call over SECONDS_MAX, is a failure anywhere.

Prints one line per model, the refusals by reason, and counts last.
Exit status: 0 when everything holds, 1 when something does not, 2 when there was nothing to run.
"""

import argparse
import collections
import concurrent.futures
import glob
import json
import os
import re
import sys
import tempfile
import threading
import zlib

import numpy as np
import onnx
import onnxruntime

from tree_compare import Crash, Engine
from trees import ROOT

SECONDS_MAX = 5
SWAYS_MAX = 10  # an error past the bound still holds within so many times what the last bits of inputs and weights do
ELEMENTS_MAX = 1 << 23  # of one input made up
QUANTISED_SHARE_MAX = 0.05  # of elements that may be rounded to another step than the peer's
QUANTISED_FAR_MAX = 0.05  # how far, of the largest element
BACKENDS = ("reference", "native")
NUMPY = {
    "float": np.float32, "double": np.float64, "float16": np.float16, "bool": np.bool_, "int8": np.int8,
    "uint8": np.uint8, "int16": np.int16, "uint16": np.uint16, "int32": np.int32, "uint32": np.uint32,
    "int64": np.int64, "uint64": np.uint64,
}  # fmt: skip

# Why a model may be refused that ONNX Runtime runs: what the error says -> the reason in short.
MAY_REFUSE = {
    r"element type 8 \(string\)": "strings",
    r"is no tensor": "sequences, maps, optionals",
    r"\(u?int[24]\)|float8|float4": "elements below 8 bits, float8",
    r"training mode": "training",
    r"operator (RandomUniform|RandomNormalLike|Multinomial) ": "random numbers",
    r"com.microsoft.(BeamSearch|GreedySearch)": "generation loops",
    r"past lengths and beams": "attention over preallocated buffers",
    r"which exists already": "a value made twice",
    r"ImageScaler": "operators no longer in the standard",
}


def declared(graph):
    """Inputs that are no initializers: name -> (type, extents, symbols as text)."""
    known = {each.name for each in graph.initializer} | {each.values.name for each in graph.sparse_initializer}
    ports = {}
    for port in graph.input:
        if port.name in known:
            continue
        tensor = port.type.tensor_type
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        ports[port.name] = kind, [each.dim_value if each.HasField("dim_value") else each.dim_param for each in tensor.shape.dim]
    return ports


def extent_of(dim, extent):
    """A fixed extent, or `extent` for a symbol; a sum of symbols ("past + length") is that of their extents."""
    if isinstance(dim, int):
        return dim if dim > 0 else extent
    return extent * max(1, len(dim.split(" + ")))


def feeds_of(ports, extent, top, seed):
    """Values for every port; integers lie below `top`. None where the types or sizes do not allow it."""
    random = np.random.default_rng(seed)
    feeds = {}
    for name, (kind, extents) in ports.items():
        kind = NUMPY.get(kind)
        shape = [extent_of(dim, extent) for dim in extents]
        if kind is None or np.prod(shape, dtype=np.float64) > ELEMENTS_MAX:
            return None
        if "mask" in name.lower():  # the last place is hidden
            feeds[name] = np.ones(shape, kind)
            if shape and shape[-1] > 1:
                feeds[name][..., -1] = 0
        elif kind == np.bool_:
            feeds[name] = random.random(shape) < 0.5
        elif np.issubdtype(kind, np.floating):
            feeds[name] = random.standard_normal(shape).astype(kind)
        else:
            feeds[name] = random.integers(0, top, shape).astype(kind)
    return feeds


def nudged(value, random):
    """Floats moved by a few of their last bits."""
    if value.dtype not in (np.float32, np.float64):
        return value
    return (value * (1 + 4e-7 * random.standard_normal(value.shape))).astype(value.dtype)


def sway(path, feeds, wanted):
    """How far each output moves at most when what is fed and the weights move by their last bits: what rounding does."""
    moved, random = {}, np.random.default_rng(1)
    for _ in range(3):
        model = onnx.load(path)
        for each in model.graph.initializer:
            each.CopyFrom(onnx.numpy_helper.from_array(nudged(onnx.numpy_helper.to_array(each), random), each.name))
        feeds = {name: nudged(value, random) for name, value in feeds.items()}
        for name, value in Peer(model.SerializeToString()).run(feeds).items():
            change = np.abs(value.astype(np.float64) - wanted[name])
            moved[name] = max(moved.get(name, 0), np.nanmax(change, initial=0))
    return moved


def tensor_of(value):
    """ZipMap's maps as the tensor they are made of."""
    return np.array([list(each.values()) for each in value], np.float32) if isinstance(value, list) else value


class Peer:
    """ONNX Runtime at one thread, its graph as the file has it (where that does not load: optimised)."""

    def __init__(self, path):
        levels = onnxruntime.GraphOptimizationLevel
        for level in (levels.ORT_DISABLE_ALL, levels.ORT_ENABLE_ALL):
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.log_severity_level, options.graph_optimization_level = 1, 4, level
            try:
                self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
                return
            except Exception as error:
                self.session, self.refusal = None, short(error)

    def run(self, feeds):
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, feeds)))


def short(error):
    return re.sub(r"\s+", " ", str(error))[:200]


def peer_answer(path, ports):
    """Feeds that ONNX Runtime takes and what it makes of them; else the last feeds and why it makes nothing."""
    peer = Peer(path)
    refusal, feeds = None if peer.session else peer.refusal, None
    for extent, top in ((2, 2), (1, 1), (1, 2), (3, 4), (4, 4), (8, 4), (768, 2)):
        made = feeds_of(ports, extent, top, zlib.crc32(os.path.basename(path).encode()))
        if made is None:
            refusal = refusal or "not asked: its inputs are no tensors of numbers, or too large"
            break
        feeds = made
        if peer.session is None:
            break
        try:
            return feeds, peer.run(feeds), None
        except Exception as error:
            refusal = short(error)
    return feeds, None, refusal


# ---- how far an answer may be from ONNX Runtime's


def operators(graph):
    """Names of the operators of a graph and its subgraphs."""
    names = set()
    for node in graph.node:
        names.add(node.op_type)
        for attribute in node.attribute:
            for sub in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                names |= operators(sub)
    return names


def has_halves(model):
    """Whether 16-bit floats are computed with: ONNX Runtime keeps float32 between some of its steps."""
    halves = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    graph = model.graph
    return (
        any(port.type.tensor_type.elem_type in halves for port in [*graph.input, *graph.output, *graph.value_info])
        or any(each.data_type in halves for each in graph.initializer)
        or any(a.name == "to" and a.i in halves for node in graph.node for a in node.attribute)
    )


def bound_of(model):
    """The bound in words, and the share of elements that may miss it: (relative, of the largest, share)."""
    names = operators(model.graph)
    if any(name.startswith(("QLinear", "Quantize", "DynamicQuantize", "QGemm")) for name in names):
        return 2e-4, 2e-5, QUANTISED_SHARE_MAX
    return (2e-2, 2e-2, 0) if has_halves(model) else (2e-4, 2e-5, 0)


def own_problem(got, exact, peer, share_max):
    """None where native's answer is as near to the reference's as it must be, or half as near as the peer's is."""
    if got.shape != exact.shape or got.dtype != exact.dtype:
        return f"{got.dtype} {got.shape} instead of the reference's {exact.dtype} {exact.shape}"
    a, b, c = got.astype(np.float64), exact.astype(np.float64), np.asarray(peer).astype(np.float64)
    with np.errstate(invalid="ignore"):
        error, theirs = (np.where((each == b) | (np.isnan(each) & np.isnan(b)), 0, np.abs(each - b)) for each in (a, c))
        off = ~(error <= (1e-5 * np.abs(b) + 1e-6 if exact.dtype.kind == "f" else 0))
    # Of thousands of elements the largest error is luck: twice as much is asked of all together, four times of the worst.
    together, other = np.sqrt(np.mean(error**2)), np.sqrt(np.mean(theirs**2))
    if not off.any() or off.mean() <= share_max and error.max() <= QUANTISED_FAR_MAX * np.abs(b).max():
        return None
    if (exact.dtype.kind == "f" and together <= 2 * other and error.max() <= 4 * theirs.max()):
        return None
    return f"{off.mean():.2%} of values are off the reference, by at most {error.max():.3g} (ONNX Runtime by {theirs.max():.3g})"


def problem(got, wanted, bound):
    """None where the answer holds, and the share of elements past the bound (quantised models may round apart)."""
    wanted = np.asarray(wanted)
    if got.shape != wanted.shape or got.dtype != wanted.dtype:
        return f"{got.dtype} {got.shape} instead of {wanted.dtype} {wanted.shape}", 0
    a, b = got.astype(np.float64), wanted.astype(np.float64)
    finite = np.abs(b[np.isfinite(b)]).max(initial=0)
    relative, of_largest, share_max = bound if wanted.dtype.kind == "f" or bound[2] else (0, 0, 0)
    with np.errstate(invalid="ignore"):
        off = ~((a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= relative * np.abs(b) + of_largest * max(finite, 0.05)))
        far = ~((a == b) | (np.abs(a - b) <= QUANTISED_FAR_MAX * finite)) & off
    share = float(off.mean()) if off.size else 0.0
    if share <= share_max and (share_max == 0 or not far.any()):
        return None, share
    at = np.argwhere(off)[0]
    return f"{share:.2%} of values are off, e.g. {a[tuple(at)]:.7g} for {b[tuple(at)]:.7g} at {at.tolist()}", share


# ---- one model


def recorded(engine, folder):
    """`hayate verify FOLDER`: the outputs recorded beside the model."""
    try:
        answers = json.loads(engine.call([engine.program, "verify", folder, "--json"]))["results"]
    except Crash as crash:
        return "FAILS", str(crash)
    except RuntimeError as error:
        try:
            answers = json.loads(str(error))["results"]
        except ValueError:
            return "FAILS", str(error)
    ours = [each for each in answers if each["backend"] in BACKENDS]
    bad = [f"{each['backend']} {each['output']}: {each['said'] or each['max_abs_error']}" for each in ours if not each["good"]]
    sets = len({each["set"] for each in ours})
    if bad and all(may_refuse(each) for each in bad):
        return "refused", f"{may_refuse(bad[0])}: {bad[0]}"
    if bad or sets == 0:
        return "FAILS", "; ".join(bad) or "no record was compared"
    return "recorded", f"{sets} record{'s' if sets > 1 else ''} reproduced"


def may_refuse(said):
    return next((reason for pattern, reason in MAY_REFUSE.items() if re.search(pattern, said)), None)


def against_peer(engine, path):
    """Verdict (equal, refused, both refuse, runs alone, FAILS) and what to say of it."""
    try:
        model = onnx.load(path, load_external_data=False)
        feeds, wanted, refusal = peer_answer(path, declared(model.graph))
    except Exception as error:
        feeds = wanted = None
        refusal = short(error)
    said, shares, refusals, answers = [], [], [], {}
    for backend in BACKENDS:
        try:
            if feeds is None:
                engine.call([engine.program, "info", path])
                continue
            got = engine.run(path, feeds, (backend, ""))
            answers[backend] = got
        except Crash as crash:
            return "FAILS", f"{backend}: {crash}"
        except RuntimeError as error:
            refusals.append(short(str(error).replace(path, "").replace(os.path.dirname(path), "")))
            continue
        if wanted is None:
            continue
        for name, want in wanted.items():
            want = tensor_of(want)
            what, share = problem(got[name], want, bound_of(model))
            if what and want.dtype.kind == "f" and got[name].shape == want.shape:
                allowed = SWAYS_MAX * sway(path, feeds, wanted)[name]
                what = None if np.nanmax(np.abs(got[name] - want)) <= allowed else f"{what} ({allowed:.2g} would do)"
            said += [f"{backend} {name}: {what}"] if what else []
            shares.append(share)
    if len(answers) == 2 and wanted is not None:
        for name, want in wanted.items():
            want = tensor_of(want)
            what = own_problem(answers["native"][name], answers["reference"][name], want, bound_of(model)[2])
            said += [f"native {name}: {what}"] if what else []
    if said:
        return "FAILS", "; ".join(said)
    if wanted is None:
        return ("both refuse", refusals[0]) if refusals else ("runs alone", refusal)
    for each in refusals:
        if may_refuse(each) is None:
            return "FAILS", "refused: " + each
    if refusals:
        return "refused", f"{may_refuse(refusals[0])}: {refusals[0]}" + ("" if len(refusals) == 2 else " (reference equals)")
    rounded = f", {max(shares):.2%} of elements rounded apart" if max(shares, default=0) > 0 else ""
    return "equal", f"{len(wanted)} output{'s' if len(wanted) > 1 else ''}{rounded}"


class Worker(threading.local):
    """An engine with a folder of its own for each thread."""

    def __init__(self, program):
        self.folder = tempfile.TemporaryDirectory()
        self.engine = Engine(program, self.folder.name, SECONDS_MAX)

    def __call__(self, path):
        folder = os.path.dirname(path)
        if os.path.basename(path) == "model.onnx" and glob.glob(os.path.join(folder, "test_data_set_*", "output_0.pb")):
            return recorded(self.engine, folder)
        return against_peer(self.engine, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=os.path.join(ROOT, "build/release/hayate"))
    parser.add_argument("--data", default=os.environ.get("HAYATE_DATA", os.path.join(os.path.dirname(ROOT), "shared")))
    parser.add_argument("--only", default="", help="models whose path holds this text")
    arguments = parser.parse_args()
    root = os.path.join(arguments.data, "models")
    paths = [
        path
        for suite in ("onnx2c_cases", "onnxruntime_testdata")
        for path in sorted(glob.glob(os.path.join(root, suite, "**", "*.onnx"), recursive=True))
        if arguments.only in path
    ]
    counts = {suite: collections.Counter() for suite in ("onnx2c_cases", "onnxruntime_testdata")}
    reasons = collections.Counter()
    worker = Worker(arguments.program)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, (verdict, said) in zip(paths, pool.map(worker, paths)):
            name = os.path.relpath(path, root)
            print(f"{verdict:<12} {name}: {said.replace(path, '').replace(os.path.dirname(path), '')}", flush=True)
            counts[name.split(os.sep)[0]][verdict] += 1
            if verdict == "refused":
                reasons[said.split(":")[0]] += 1
    for reason, count in reasons.most_common():
        print(f"{count:4} refused: {reason}")
    print("; ".join(f"{suite}: " + ", ".join(f"{n} {verdict}" for verdict, n in sorted(each.items())) for suite, each in counts.items() if each))
    return 2 if not paths else int(any(each["FAILS"] for each in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
