"""Writes the node tests that the installed `onnx` package generates, in ONNX's test layout:
DIR/node/CASE/{model.onnx, test_data_set_0/{input,output}_N.pb}. Does nothing where DIR is of this version already.

usage: write_node_tests.py DIR
"""

import pathlib
import shutil
import sys

import numpy
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases


def message(value, info):
    """The protobuf message that ONNX's own runner would store for one input or output."""
    if isinstance(value, TensorProto):
        return value
    if info.type.HasField("sequence_type"):
        return numpy_helper.from_list(value, info.name)
    if info.type.HasField("optional_type"):
        return numpy_helper.from_optional(value, info.name)
    return numpy_helper.from_array(value, info.name)


def write_case(case, folder):
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(case.model.SerializeToString())
    for number, (inputs, outputs) in enumerate(case.data_sets):
        data = folder / f"test_data_set_{number}"
        data.mkdir()
        for kind, values, infos in (("input", inputs, case.model.graph.input), ("output", outputs, case.model.graph.output)):
            for i, (value, info) in enumerate(zip(values, infos, strict=True)):
                (data / f"{kind}_{i}.pb").write_bytes(message(value, info).SerializeToString())


def main():
    target = pathlib.Path(sys.argv[1])
    stamp = target / "version.txt"
    if stamp.exists() and stamp.read_text() == onnx.__version__:
        return
    shutil.rmtree(target, ignore_errors=True)
    numpy.random.seed(0)
    cases = {case.name: case for case in collect_testcases()}
    for name, case in cases.items():
        write_case(case, target / "node" / name)
    stamp.write_text(onnx.__version__)
    print(f"{len(cases)} node tests of onnx {onnx.__version__} written to {target}")


main()
