"""Logistic regression over the newest row.

logistic   input [batch, 64] (book.TREE_COLUMNS) -> label int64 [batch] and output [batch, 3], probabilities of down,
           flat, up (scikit-learn, multinomial); .onnx, the only file format scikit-learn has besides pickles

Seeded, one thread: the same seed gives the same file.
"""

import numpy as np
import sklearn
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression

import book
import common
import trees


def main():
    args = common.arguments(__doc__)
    data = common.dataset(args)
    x = data.x[:, book.TREE_COLUMNS]
    model = LogisticRegression(C=0.01, max_iter=500, random_state=args.seed)
    rows = data.train[::4]
    model.fit(x[rows], data.label[rows])
    accuracy = model.score(x[data.test], data.label[data.test])
    path = args.out / "logistic.onnx"
    trees.save_onnx(convert_sklearn(model, "logistic", trees.shape_of(FloatTensorType), target_opset=15,
                                    options={id(model): {"zipmap": False}}), path, ["label", "output"])
    check = data.test[:: len(data.test) // common.CHECK_ROWS]
    common.finish(path, x[check], model.predict_proba(x[check]),
                  dict(input=f"batch x {x.shape[1]}", score=f"accuracy {accuracy:.1%}",
                       made_by=f"scikit-learn {sklearn.__version__} (skl2onnx)"),
                  int(np.size(model.coef_) + np.size(model.intercept_)), tolerance=1e-5)


if __name__ == "__main__":
    main()
