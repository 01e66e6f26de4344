#!/usr/bin/env python3
"""Compares `hayate run` with ONNX Runtime on models that carry state over a real signal, chunk by chunk, each engine
keeping its own state: voice detectors (silero), noise suppressors (dtln, gtcrn; the latter also with its authors' sound
file), and DeepLOB models over real order books; and `hayate stream`, which keeps the state or the window itself.

The truth is the reference, which sums in float64. native passes within 1e-5 relative + 1e-6 absolute of it, or where its
error is at most twice ONNX Runtime's own: the state carries what every float32 engine lost from chunk to chunk.
Exit status: 0 when all agree, 1 when one differs, 2 when there was nothing to compare with.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import wave

import numpy as np
import onnxruntime

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RELATIVE, ABSOLUTE = 1e-5, 1e-6


class Hayate:
    """A model run by a process per call."""

    def __init__(self, program, path, sets=(), backend="native"):
        self.command = [program, "run", path, "--backend", backend]
        self.sets = [word for s in sets for word in ("--set", s)]
        self.folder = tempfile.TemporaryDirectory()

    def __call__(self, feeds):
        given, made = os.path.join(self.folder.name, "in.npz"), os.path.join(self.folder.name, "out.npz")
        np.savez(given, **feeds)
        done = subprocess.run(self.command + ["--inputs", given, "--output", made] + self.sets, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip()[:300])
        with np.load(made) as arrays:
            return {key: arrays[key] for key in arrays.files}


class Peer:
    """The same by ONNX Runtime at one thread."""

    def __init__(self, path, fixed=None):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.fixed = fixed or {}

    def __call__(self, feeds):
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, feeds | self.fixed)))


def sound(path):
    with wave.open(path) as file:
        assert file.getnchannels() == 1 and file.getsampwidth() == 2
        return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768


def silero(run, signal, chunk, context, state, chunks):
    """Speech probabilities; `state` maps inputs to the outputs that follow them."""
    feeds = {name: np.zeros(shape, np.float32) for name, (shape, _) in state.items()}
    answers = []
    for k in range(chunks):
        start = 16000 + k * chunk
        made = run(feeds | {"input": signal[start - context:start + chunk][None]})
        feeds = {name: made[after] for name, (_, after) in state.items()}
        answers.append(np.concatenate([made["output"].ravel()] + [value.ravel() for value in feeds.values()]))
    return np.array(answers)


def streamed(program, path, rows, *options):
    """Every answer of `hayate stream` over the rows, and whether it says that they are what the model gives by hand."""
    with tempfile.TemporaryDirectory() as folder:
        given, made = os.path.join(folder, "rows.npy"), os.path.join(folder, "out.npz")
        np.save(given, rows)
        command = [program, "stream", path, "--inputs", given, "--output", made, "--check", *options]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode not in (0, 1):
            raise RuntimeError(done.stderr.strip()[:300])
        with np.load(made) as arrays:
            return {key: arrays[key] for key in arrays.files}, done.returncode == 0


def dtln(first, second, signal, chunks):
    """Both stages of DTLN over blocks of 512 samples, 128 apart."""
    states = [np.zeros((1, 2, 128, 2), np.float32)] * 2
    answers = []
    for k in range(chunks):
        block = np.fft.rfft(signal[16000 + k * 128:16000 + k * 128 + 512])
        mask, states[0] = first({"input_2": np.abs(block).astype(np.float32)[None, None], "input_3": states[0]}).values()
        if mask.shape[-1] != 257:
            mask, states[0] = states[0], mask
        estimate = np.fft.irfft(mask.ravel() * block).astype(np.float32)[None, None]
        made, states[1] = second({"input_4": estimate, "input_5": states[1]}).values()
        if made.shape[-1] != 512:
            made, states[1] = states[1], made
        answers.append(np.concatenate([mask.ravel(), made.ravel()]))
    return np.array(answers)


def gtcrn(run, signal, frames):
    """The enhanced spectrum, frame by frame, of a short-time Fourier transform (512, hop 256, root of Hann)."""
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512))
    padded = np.pad(signal, 256, mode="reflect")
    caches = {"conv_cache": np.zeros((2, 1, 16, 16, 33), np.float32), "tra_cache": np.zeros((2, 3, 1, 1, 16), np.float32),
              "inter_cache": np.zeros((2, 1, 33, 16), np.float32)}
    answers = []
    for k in range(frames):
        spectrum = np.fft.rfft(padded[k * 256:k * 256 + 512] * window)
        made = run(caches | {"mix": np.stack([spectrum.real, spectrum.imag], -1).astype(np.float32)[None, :, None, :]})
        caches = {name: next(made[other] for other in made if other.startswith(name)) for name in caches}
        answers.append(next(made[name] for name in made if not any(name.startswith(cache) for cache in caches)).reshape(257, 2))
    return np.array(answers)


def overlap_add(spectra):
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512))
    made, weight = np.zeros(256 * (len(spectra) + 1)), np.zeros(256 * (len(spectra) + 1))
    for k, frame in enumerate(spectra):
        made[k * 256:k * 256 + 512] += np.fft.irfft(frame[:, 0] + 1j * frame[:, 1]) * window
        weight[k * 256:k * 256 + 512] += window ** 2
    return (made / np.maximum(weight, 1e-8))[256:-256]


def books(data):
    """256 windows' worth of rows of each book, z-scored by the rows before them."""
    for name in sorted(os.listdir(os.path.join(data, "data/order_books"))):
        if not name.startswith("book10"):
            continue
        book = np.load(os.path.join(data, "data/order_books", name))["book"]
        half = len(book) // 2
        scored = (book - book[:half].mean(0)) / (book[:half].std(0) + 1e-9)
        yield name, np.stack([scored[half + 40 * k:half + 40 * k + 100] for k in range(16)]).astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=os.path.join(ROOT, "build/release/hayate"))
    parser.add_argument("--data", default=os.environ.get("HAYATE_DATA", os.path.join(os.path.dirname(ROOT), "shared")))
    parser.add_argument("--chunks", type=int, default=40)
    arguments = parser.parse_args()
    models = os.path.join(arguments.data, "models")
    if not os.path.isdir(models):
        print("nothing to compare with: no models")
        return 2
    compared = failed = 0

    def check(what, got, truth, peer):
        nonlocal compared, failed
        error, theirs = np.abs(got.astype(np.float64) - truth), np.abs(peer.astype(np.float64) - truth)
        good = got.shape == truth.shape and bool((error <= RELATIVE * np.abs(truth) + ABSOLUTE).all() or error.max() <= 2 * theirs.max())
        moves = float(truth.std(0).max()) > 1e-3
        compared, failed = compared + 1, failed + (not good or not moves)
        print(f"{'equal  ' if good else 'DIFFERS'}  {what}: max error {error.max():.2g}, ONNX Runtime's {theirs.max():.2g}, std {truth.std():.2g}{'' if moves else ' (does not move)'}")

    def engines(path, sets=(), fixed=None):
        """native, the reference and ONNX Runtime on one model."""
        return Hayate(arguments.program, path, sets), Hayate(arguments.program, path, sets, "reference"), Peer(path, fixed)

    speech = sound(os.path.join(arguments.data, "data/speech_16k.wav"))
    v4 = {"h": ((2, 1, 64), "hn"), "c": ((2, 1, 64), "cn")}
    v5 = {"state": ((2, 1, 128), "stateN")}
    for name, context, state in (("silero_vad_v4_20221027", 0, v4), ("silero_vad_v5_20240627", 64, v5), ("silero_vad_16k_op15", 64, v5)):
        path = os.path.join(models, "silero", name + ".onnx")
        made = [silero(run, speech, 512, context, state, arguments.chunks)
                for run in engines(path, ["sr=16000"], {"sr": np.array(16000, np.int64)})]
        check(f"{name}, {arguments.chunks} chunks", *made)
        rows = np.stack([speech[16000 + k * 512 - context:16000 + (k + 1) * 512] for k in range(arguments.chunks)])
        states = [word for key, (_, after) in state.items() for word in ("--state", f"{key}={after}")]
        got, held = streamed(arguments.program, path, rows, "--window", "0", *states, "--set", "sr=16000",
                             "--shape", f"input:1,{rows.shape[1]}", *[w for k, (shape, _) in state.items() for w in ("--shape", f"{k}:{','.join(map(str, shape))}")])
        same = np.array_equal(got["output"].ravel(), made[0][:, 0])
        compared, failed = compared + 1, failed + (not (held and same))
        print(f"{'equal  ' if same else 'DIFFERS'}  {name}, as a stream: the bits of native with its state fed by hand")
    paths = [os.path.join(models, "dtln", f"model_{k}.onnx") for k in (1, 2)]
    check(f"dtln, {arguments.chunks} chunks", *(dtln(*both, speech, arguments.chunks) for both in zip(*map(engines, paths))))
    mix = sound(os.path.join(models, "gtcrn/mix.wav"))
    for name in ("gtcrn", "gtcrn_simple"):
        path = os.path.join(models, "gtcrn", name + ".onnx")
        made = [gtcrn(run, mix, 2 * arguments.chunks) for run in engines(path)]
        check(f"{name}, {2 * arguments.chunks} frames", *made)
        ours = overlap_add(made[0])[:-512]
        theirs = sound(os.path.join(models, "gtcrn/enh_stream.wav"))[:len(ours)].astype(np.float64)
        # ONNX Runtime itself is within 6.4e-4 of the authors' record.
        error = np.abs(ours - theirs).max()
        compared, failed = compared + 1, failed + (error > 1e-3)
        print(f"{'equal  ' if error <= 1e-3 else 'DIFFERS'}  {name} and its authors' sound: max error {error:.2g}, std {theirs.std():.2g}")
    for name, windows in books(arguments.data):
        made = [next(iter(run({"book": windows}).values())) for run in engines(os.path.join(models, "deeplob_btc.onnx"))]
        check(f"deeplob_btc over {name}", *made)
    with np.load(os.path.join(arguments.data, "data/order_books/book_features.npz")) as arrays:
        features, ends = arrays["features"], arrays["test"][::97][:64]
        arrays_start = int(ends[0])
    windows = np.stack([features[end - 99:end + 1] for end in ends])
    for model in ("deeplob", "lstm", "gru", "mlp"):
        made = [next(iter(run({"book": windows}).values())) for run in engines(os.path.join(models, f"books/book_{model}.onnx"))]
        check(f"books/book_{model} over the books it was tested on", *made)
        rows = features[arrays_start:arrays_start + 400]
        got, held = streamed(arguments.program, os.path.join(models, f"books/book_{model}.onnx"), rows, "--window", "100")
        windows_of = np.stack([rows[k - 99:k + 1] for k in range(99, 400, 7)])
        truth, peer = ([next(iter(run({"book": windows_of}).values()))] for run in engines(os.path.join(models, f"books/book_{model}.onnx"))[1:])
        check(f"books/book_{model} as a stream", next(iter(got.values()))[99::7], truth[0], peer[0])
        compared, failed = compared + 1, failed + (not held)
    print(f"{compared} comparisons, {failed} differ")
    return 2 if compared == 0 else int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
