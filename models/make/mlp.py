"""Two perceptrons.

mlp_small    input [batch, 40] (the newest row of the book) -> 64 -> 64 -> output [batch, 3], probabilities of down,
             flat, up (ReLU, Softmax)
mlp_medium   input [batch, 128] (all features of the newest row) -> 256 -> 256 -> 256 -> output [batch, 10], the
             expected mid move over ten horizons in units of their standard deviation (ReLU, no final activation)

Seeded; the same seed on the same build of PyTorch and the same instruction set gives the same weights.
"""

import torch
from torch import nn

import common


def perceptron(*widths):
    layers = []
    for a, b in zip(widths, widths[1:]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def main():
    args = common.arguments(__doc__, epochs=6)
    data = common.dataset(args)

    torch.manual_seed(args.seed)
    model = perceptron(40, 64, 64, 3)
    score = common.train(model, data, 0, 40, args.epochs, args.seed)
    common.finish_torch("mlp_small", nn.Sequential(*model, nn.Softmax(-1)), data, args, 0, 40, dynamo=False,
                        note=dict(input="batch x 40", score=f"accuracy {score:.1%}"))

    torch.manual_seed(args.seed)
    model = perceptron(128, 256, 256, 256, 10)
    score = common.train(model, data, 0, 128, max(1, args.epochs // 3), args.seed, target=data.moves, rate=1e-3)
    common.finish_torch("mlp_medium", model, data, args, 0, 128, dynamo=True,
                        note=dict(input="batch x 128", score=f"mean correlation {score:.3f}"))


if __name__ == "__main__":
    main()
