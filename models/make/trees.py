"""Tree ensembles over the newest row: 64 features (book.TREE_COLUMNS), of which some 2 % are missing (NaN).

lightgbm_500x31   regression of the mid's move over the next 20 rows in units of its standard deviation: exactly 500
                  trees of exactly 31 leaves; .txt (LightGBM's own, without the sections that prediction does not read)
                  and .onnx; output [batch, 1]
xgboost_200x6     binary:logistic, does the mid rise: exactly 200 trees of depth at most 6; .ubj (XGBoost's own; output
                  [batch, 1], the probability of a rise) and .onnx (label, output [batch, 2]); with --json also .json
random_forest     scikit-learn, down / flat / up: 100 trees of depth at most 8; .onnx (label, output [batch, 3]). It
                  knows no missing values: they are left in neither its training rows nor its check.

Every input is `input` float32 [batch, 64]. Seeded, one thread: the same seed gives the same files.
"""

import json
import re

import numpy as np

import book
import common

FEATURES = len(book.TREE_COLUMNS)


def shape_of(kind):
    return [("input", kind([None, FEATURES]))]


def save_onnx(file, path, names):
    """Write a converted model with the batch dimension named and its outputs called `names`."""
    import onnx

    graph = file.graph
    rename = dict(zip((value.name for value in graph.output), names))
    rename.update({name: f"inner_{name}" for name in names if name not in rename})  # a converter's own `output`
    for node in graph.node:
        node.input[:] = [rename.get(name, name) for name in node.input]
        node.output[:] = [rename.get(name, name) for name in node.output]
    for value in graph.output:
        value.name = rename[value.name]
    for value in [*graph.input, *graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(file)
    onnx.save(file, path)


def plain(text):
    """A LightGBM text model without what prediction does not read.

    Gains, counts, weights and inner values of the nodes, the parameters and the importances make half of the file;
    LightGBM's loader takes a file without them, and without the table of the trees' sizes in bytes.
    """
    text = text[: text.index("end of trees") + len("end of trees")] + "\n"
    unread = "split_gain|leaf_weight|leaf_count|internal_value|internal_weight|internal_count|tree_sizes"
    return re.sub(rf"^(?:{unread})=.*\n", "", text, flags=re.M)


def lightgbm(args, x, data, check):
    import lightgbm
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    options = dict(objective="regression", num_leaves=31, learning_rate=0.03, min_data_in_leaf=50, max_bin=255,
                   feature_fraction=0.6, lambda_l2=1.0, seed=args.seed, num_threads=1, deterministic=True,
                   force_row_wise=True, verbose=-1)
    model = lightgbm.train(options, lightgbm.Dataset(x[data.train], data.move[data.train]), 500)
    leaves = [tree["num_leaves"] for tree in model.dump_model()["tree_info"]]
    assert leaves == [31] * 500, "some tree has another number of leaves"
    answers = model.predict(x[data.test], num_threads=1)
    correlation = np.corrcoef(answers, data.move[data.test])[0, 1]

    text = args.out / "lightgbm_500x31.txt"
    text.write_text(plain(model.model_to_string()))
    again = lightgbm.Booster(model_file=text).predict(x[data.test], num_threads=1)
    assert np.array_equal(answers, again), "the written text does not predict as the model does"

    path = args.out / "lightgbm_500x31.onnx"
    save_onnx(convert_lightgbm(model, "lightgbm_500x31", shape_of(FloatTensorType), target_opset=15,
                               zipmap=False), path, ["output"])
    common.finish(path, x[check], model.predict(x[check]),
                  dict(input=f"batch x {FEATURES}", score=f"correlation {correlation:.3f}",
                       made_by=f"LightGBM {lightgbm.__version__} (onnxmltools)"),
                  f"{sum(leaves)} leaves", tolerance=1e-5, siblings=[text])
    return np.abs(common.run_onnx(path, x[data.test])[:, 0] - answers).max()


def xgboost(args, x, data, check):
    import onnxmltools
    import xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    options = dict(objective="binary:logistic", max_depth=6, eta=0.06, min_child_weight=150, subsample=0.8,
                   colsample_bytree=0.6, tree_method="hist", seed=args.seed, nthread=1)
    rise = (data.label == 2).astype(np.float32)
    model = xgboost.train(options, xgboost.DMatrix(x[data.train], rise[data.train], nthread=1), 200)
    answers = model.predict(xgboost.DMatrix(x[data.test], nthread=1))
    accuracy = np.mean((answers > 0.5) == (rise[data.test] > 0.5))
    base = max(rise[data.test].mean(), 1 - rise[data.test].mean())

    own = args.out / "xgboost_200x6.ubj"
    model.save_model(own)
    if args.json:
        model.save_model(own.with_suffix(".json"))
    trees = json.loads(model.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    assert len(trees) == 200
    leaves = sum(tree["left_children"].count(-1) for tree in trees)

    path = args.out / "xgboost_200x6.onnx"
    save_onnx(onnxmltools.convert_xgboost(model, "xgboost_200x6", shape_of(FloatTensorType), target_opset=15), path,
              ["label", "output"])
    one = model.predict(xgboost.DMatrix(x[check], nthread=1))
    common.finish(path, x[check], np.stack([1 - one, one], 1),
                  dict(input=f"batch x {FEATURES}", score=f"accuracy {accuracy:.1%} (larger class {base:.1%})",
                       made_by=f"XGBoost {xgboost.__version__} (onnxmltools)"),
                  f"{leaves} leaves", tolerance=1e-5, siblings=[own])
    return np.abs(common.run_onnx(path, x[data.test])[:, 1] - answers).max()


def random_forest(args, data, check):
    import sklearn
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.ensemble import RandomForestClassifier

    x = data.x[:, book.TREE_COLUMNS]
    model = RandomForestClassifier(100, max_depth=8, min_samples_leaf=200, max_leaf_nodes=24, max_samples=0.3,
                                   random_state=args.seed, n_jobs=1)
    model.fit(x[data.train], data.label[data.train])
    answers = model.predict_proba(x[data.test])
    accuracy = np.mean(answers.argmax(1) == data.label[data.test])
    path = args.out / "random_forest.onnx"
    save_onnx(convert_sklearn(model, "random_forest", shape_of(FloatTensorType), target_opset=15,
                              options={id(model): {"zipmap": False}}), path, ["label", "output"])
    leaves = sum(tree.get_n_leaves() for tree in model.estimators_)
    common.finish(path, x[check], model.predict_proba(x[check]),
                  dict(input=f"batch x {FEATURES}", score=f"accuracy {accuracy:.1%}",
                       made_by=f"scikit-learn {sklearn.__version__} (skl2onnx)"),
                  f"{leaves} leaves", tolerance=1e-5)
    return np.abs(common.run_onnx(path, x[data.test]) - answers).max()


def main():
    args = common.arguments(__doc__, json=False)
    data = common.dataset(args)
    x = book.with_missing(data.x[:, book.TREE_COLUMNS], args.seed)
    check = data.test[:: len(data.test) // common.CHECK_ROWS]
    # Thresholds rounded to float32 may send a value to the other side; over all test rows this shows it.
    for name, error in (("lightgbm_500x31", lightgbm(args, x, data, check)),
                        ("xgboost_200x6", xgboost(args, x, data, check)),
                        ("random_forest", random_forest(args, data, check))):
        common.say(f"{name}: max error over all {len(data.test)} test rows {error:.2g}")


if __name__ == "__main__":
    main()
