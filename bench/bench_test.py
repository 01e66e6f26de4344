"""What the benchmark's scripts reckon: python3 bench/bench_test.py"""

import contextlib
import importlib.machinery
import importlib.util
import io
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True


def load(name):
    loader = importlib.machinery.SourceFileLoader(name.removesuffix(".py"), str(HERE / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


compare, kernels, table = load("compare"), load("kernels"), load("table.py")


def row(backend, precision, p50, **more):
    return dict(dict(model="m.onnx", backend=backend, precision=precision, threads=1, batch=1, count=10, p50_us=p50,
                     p99_us=2 * p50, p999_us=3 * p50, max_abs_error=1e-7, ratio_to_onnxruntime=8 / p50), **more)


def part(threads=1, fingerprint="x"):
    rows = [row("native", "fp32", 2), row("native", "bf16", 1), row("native", "int8", 0.5), row("onnxruntime", "fp32", 8),
            row("openvino", "fp32", 6, threads=threads), row("openvino", "bf16", 3)]
    return dict(machine=dict(fingerprint=fingerprint, model="P", cores=2, isa=["avx2"]), threads=threads, results=rows,
                left_out=[dict(model=model, threads=threads, backend=backend, precision="fp32", reason="no trees")
                          for model in ("m.onnx", "n.onnx") for backend in ("tl2cgen", "xgboost")])


class Table(unittest.TestCase):
    def test_the_best_peer_keeps_at_least_as_many_bits(self):
        rows = table.join([part()])["results"]
        self.assertEqual([(r["best_peer"], r["ratio_to_best_peer"]) for r in rows[:3]],
                         [("openvino", 3), ("openvino bf16", 3), ("openvino bf16", 6)])
        self.assertEqual(rows[3]["best_peer"], "openvino")
        self.assertEqual(rows[5]["best_peer"], "openvino")

    def test_nobody_to_compare_with(self):
        rows = [row("native", "fp32", 2)]
        table.add_best_peer(rows)
        self.assertEqual((rows[0]["best_peer"], rows[0]["ratio_to_best_peer"]), ("", 0))

    def test_results_of_two_machines_are_refused(self):
        with self.assertRaises(SystemExit):
            table.join([part(), part(fingerprint="y")])

    def test_markdown_names_everyone(self):
        report = table.join([part(1), part(2)])
        report["versions"] = dict(openvino="1.2")
        text = table.markdown(report, "bench/peers")
        for wanted in ("## One thread, batch 1", "## 2 threads", "| m.onnx | **native** | 2.00 | 4.00 | 6.00 | 10 | 4.00x | 3.00x |",
                       "|  | openvino bf16 | 3.00 |", "openvino 1.2", "- tl2cgen, xgboost: no trees: m.onnx, n.onnx"):
            self.assertIn(wanted, text)
        self.assertEqual(text.count("no trees"), 1)
        self.assertIn("on one thread all the same in native, native bf16, native int8, onnxruntime, openvino bf16.", text)

    def test_versions_say_what_is_missing(self):
        with tempfile.TemporaryDirectory() as folder:
            info = Path(folder, "openvino-1.2.dist-info")
            info.mkdir()
            (info / "METADATA").write_text("Metadata-Version: 2.1\nName: openvino\nVersion: 1.2\n")
            found = table.versions(folder)
        self.assertEqual((found["openvino"], found["torch"]), ("1.2", "not installed"))
        self.assertEqual(table.debian_version("no-such-package"), "not installed")


class Kernels(unittest.TestCase):
    def test_costs_are_per_mac_of_the_best_repetition(self):
        case = lambda k, n, rate: {"name": f"dense/avx2/fp32/m:1/k:{k}/n:{n}/of:8x8/repeats:3", "run_type": "iteration", "GMAC/s": rate}
        report = dict(benchmarks=[case(8, 8, 20), case(8, 8, 30), case(7, 8, 15), case(9, 8, 25), case(7, 8, 10),
                                  dict(case(8, 8, 99), run_type="aggregate")])
        sizes = kernels.best_rates(report)["avx2", "fp32", 1][8, 8]
        self.assertEqual(sizes, {(8, 8): 30, (7, 8): 15, (9, 8): 25})
        self.assertEqual(kernels.costs(sizes, (8, 8)), [((7, 8), 2.0), ((9, 8), 1.2)])

    def test_a_choice_is_held_against_what_its_instruction_set_allows(self):
        case = lambda method, ns, label="": {"name": f"trees/9x9x9/{method}/repeats:3", "run_type": "iteration", "cpu_time": ns, "label": label}
        report = dict(benchmarks=[case("trees_plain", 9), case("trees_walk", 30, "plain"), case("trees_walk", 20, "plain"),
                                  case("trees_masks_avx2", 5, "avx512 avx2"), case("trees_masks_avx512", 4),
                                  dict(case("trees_masks", 1), error_occurred=True)])
        past = io.StringIO()
        with contextlib.redirect_stdout(past):
            self.assertEqual(kernels.say_trees(report, 1.05), 2)
        for wanted in ("plain takes trees_walk, 2.22x the quickest, trees_plain", "avx2 takes trees_masks_avx2, 1.00x",
                       "avx512 takes trees_masks_avx2, 1.25x the quickest, trees_masks_avx512"):
            self.assertIn(wanted, past.getvalue())


class Compare(unittest.TestCase):
    def test_ratios_are_taken_round_by_round(self):
        rounds = [({"m": 4.0}, {"m": 2.0}), ({"m": 9.0}, {"m": 3.0}), ({"m": 5.0}, {"m": 5.0})]
        self.assertEqual(compare.summary(rounds), [("m", 5.0, 3.0, 2.0, 1.0, 3.0)])

    def test_precisions_are_told_apart(self):
        report = dict(results=[row("native", "fp32", 2.0), row("native", "int8", 1.0)])
        self.assertEqual(compare.times(report, True), {"m.onnx fp32": 2.0, "m.onnx int8": 1.0})
        self.assertEqual(compare.times(dict(results=report["results"][:1]), False), {"m.onnx": 2.0})


if __name__ == "__main__":
    unittest.main()
