"""torch's part of bench/peers: a sample network in torch, timed in turns that the parent process asks for.

    python torch_peers.py MODEL.onnx ARRAYS.npz THREADS

The network is the module of models/make that the file was exported from, with the file's weights put back. It is run as
it is (eager), as a traced and frozen graph (torchscript) and compiled (inductor). Says on stdout, for each, "ready NAME
MS VALUES..." with what it takes to make and its answer to the array `first`, or "out NAME REASON"; then "end". Then
for each line "NAME MICROSECONDS WARM_MICROSECONDS WARM_CALLS CALLS_MIN" on stdin it makes calls for that long on places of
the array `pool` and says the nanoseconds of each one that counts. Python's cost of a call is in them.
"""

import importlib
import os
import sys
import time
import warnings
from pathlib import Path

THREADS = sys.argv[3] if len(sys.argv) > 3 else "1"
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = THREADS
warnings.filterwarnings("ignore")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "models/make"))

import numpy as np
import onnx
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

STRIDE, STEP = 16, 7919  # as src/tools/contestant.cc: floats between two places of the pool, places between two calls


# The network -----------------------------------------------------------------------------------------------------------

def make(name):
    """The module that NAME.onnx was exported from, its weights still random."""
    module = lambda script: importlib.import_module(script)
    if name == "mlp_small":
        return nn.Sequential(*module("mlp").perceptron(40, 64, 64, 3), nn.Softmax(-1))
    if name == "mlp_medium":
        return module("mlp").perceptron(128, 256, 256, 256, 10)
    if name == "lstm_a":
        return module("recurrent").Recurrent(nn.LSTM, 100, 100, 2)
    if name == "gru":
        return module("recurrent").Recurrent(nn.GRU, 40, 64, 1)
    if name == "lstm_b":
        return module("large").Lstm(3, 200, 250)
    if name == "deeplob":
        return nn.Sequential(module("deeplob").DeepLob(), nn.Softmax(1))
    if name == "transformer":
        return module("transformer").Transformer()
    if name in ("tcn", "tcn_long"):
        return module("tcn").Tcn((1, 2, 4, 8, 16) if name == "tcn_long" else (1, 2, 4, 8))
    raise ValueError("no torch module made this model")


def gates_of(array, order, hidden):
    """Rows of ONNX's gates in torch's order."""
    blocks = array.reshape(len(order), hidden, *array.shape[1:])
    return np.concatenate([blocks[i] for i in order])


def recurrent_weights(graph, constants):
    """torch's names and arrays of each LSTM and GRU node, in order."""
    found = []
    for node in graph.node:
        if node.op_type not in ("LSTM", "GRU"):
            continue
        order = [0, 2, 3, 1] if node.op_type == "LSTM" else [1, 0, 2]  # i o f c -> i f g o; z r h -> r z n
        w, r, b = (constants[name] for name in node.input[1:4])
        w, r, b, hidden = w[0], r[0], b[0], r.shape[2]
        layer = len(found) // 4
        for name, array in ((f"weight_ih_l{layer}", w), (f"weight_hh_l{layer}", r),
                            (f"bias_ih_l{layer}", b[: len(b) // 2]), (f"bias_hh_l{layer}", b[len(b) // 2 :])):
            found.append((name, gates_of(array, order, hidden)))
    return dict(found)


def constants_of(graph):
    """The file's constants, and what its nodes make of constants alone."""
    found = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    for node in graph.node:
        if all(name in found for name in node.input):
            made = ReferenceEvaluator(node).run(None, {name: found[name] for name in node.input})
            found.update(zip(node.output, made))
    return found


def put_weights(model, path):
    """The file's weights into the module: by name; recurrent ones from their nodes; matrices that the exporter turned
    round and renamed, in the order of the MatMul nodes."""
    graph = onnx.load(path).graph
    constants = constants_of(graph)
    recurrent = recurrent_weights(graph, constants)
    turned = [constants[node.input[1]].T for node in graph.node if node.op_type == "MatMul" and node.input[1] in constants]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            array = recurrent.get(name.split(".")[-1])
            if array is None:
                array = constants.get(name)
            if array is None:
                array = turned.pop(0)
            if array.shape != tuple(parameter.shape):
                raise ValueError(f"{name} is {array.shape} in the file, {tuple(parameter.shape)} in torch")
            parameter.copy_(torch.from_numpy(np.array(array)))
    return model.eval()


# The variants ----------------------------------------------------------------------------------------------------------

def eager(model, x):
    return model


def torchscript(model, x):
    traced = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(model, x)))
    for _ in range(3):  # its profile is complete after two calls
        traced(x)
    return traced


def inductor(model, x):
    import torch._inductor.config as config

    config.freezing = True
    compiled = torch.compile(model, dynamic=False)
    for _ in range(3):
        compiled(x)
    return compiled


# Turns -----------------------------------------------------------------------------------------------------------------

class Timed:
    def __init__(self, call, shape, pool):
        self.call, self.pool, self.calls = call, pool, 0
        self.array = np.zeros(shape, np.float32)
        self.flat, self.x = self.array.reshape(-1), torch.from_numpy(self.array)

    def turn(self, microseconds, warm, warm_calls, calls_min):
        clock, call, x, flat, pool = time.perf_counter_ns, self.call, self.x, self.flat, self.pool
        places = (len(pool) - len(flat)) // STRIDE + 1
        start = clock()
        stop, warm = start + 1000 * microseconds, start + 1000 * min(warm, microseconds / 2)
        took, made = [], 0
        while made < calls_min or clock() < stop:
            at = self.calls * STEP % places * STRIDE
            flat[:] = pool[at : at + len(flat)]
            first = clock()
            call(x)
            last = clock()
            if made >= warm_calls and first >= warm:
                took.append(last - first)
            self.calls, made = self.calls + 1, made + 1
        return took


def main():
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever torch prints is not part of the talk
    path, arrays = Path(sys.argv[1]), np.load(sys.argv[2])
    torch.set_num_threads(int(THREADS))
    first, pool = torch.from_numpy(arrays["first"]), arrays["pool"].reshape(-1)
    timed = {}
    with torch.inference_mode():
        for variant in (eager, torchscript, inductor):
            name, start = variant.__name__, time.perf_counter()
            try:
                call = variant(put_weights(make(path.stem), path), first)
                answer = call(first).numpy().reshape(-1)
            except Exception as error:  # whatever torch does: it is left out, with its own words
                print("out", name, f"{type(error).__name__}: {error}".splitlines()[0], file=out)
                continue
            timed[name] = Timed(call, first.shape, pool)
            print("ready", name, f"{1000 * (time.perf_counter() - start):.1f}", *map(repr, map(float, answer)), file=out)
        print("end", file=out)
        for line in sys.stdin:
            name, *numbers = line.split()
            print(*timed[name].turn(*map(int, numbers)), file=out)


if __name__ == "__main__":
    main()
