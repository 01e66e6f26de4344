"""Temporal convolutional networks (Bai, Kolter, Koltun 2018) over the last 64 rows of the book.

tcn        input [batch, 64, 40] -> 4 residual blocks of 32 channels, two causal convolutions of kernel 3 each, dilations
           1, 2, 4, 8 -> last step -> output [batch, 3], logits of down, flat, up. The newest row sees
           1 + 2 * 2 * (1 + 2 + 4 + 8) = 61 rows: the three oldest rows of the window do not move the answer.
tcn_long   the same with a fifth block of dilation 16: 125 rows, more than the window holds, so that the zeros padded
           before the window's first row do move the answer.

Causal = each convolution is padded on the left only. ReLU; a 1x1 convolution where the channels change.

Seeded; the same seed on the same build of PyTorch and the same instruction set gives the same weights.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import common

KERNEL, CHANNELS, WINDOW = 3, 32, 64


class Block(nn.Module):
    def __init__(self, channels_in, dilation):
        super().__init__()
        self.left = (KERNEL - 1) * dilation
        self.first = nn.Conv1d(channels_in, CHANNELS, KERNEL, dilation=dilation)
        self.second = nn.Conv1d(CHANNELS, CHANNELS, KERNEL, dilation=dilation)
        self.skip = nn.Identity() if channels_in == CHANNELS else nn.Conv1d(channels_in, CHANNELS, 1)

    def forward(self, x):
        y = torch.relu(self.first(functional.pad(x, (self.left, 0))))
        y = torch.relu(self.second(functional.pad(y, (self.left, 0))))
        return torch.relu(y + self.skip(x))


class Tcn(nn.Module):
    def __init__(self, dilations):
        super().__init__()
        self.field = 1 + 2 * (KERNEL - 1) * sum(dilations)
        self.blocks = nn.Sequential(*(Block(CHANNELS if i else 40, d) for i, d in enumerate(dilations)))
        self.head = nn.Linear(CHANNELS, 3)

    def forward(self, x):
        return self.head(self.blocks(x.transpose(1, 2))[:, :, -1])


def sees(model, x):
    """How many of the newest rows move the model's answer."""
    model.eval()
    x = torch.from_numpy(x).requires_grad_()
    model(x).abs().sum().backward()
    return int(np.sum(np.abs(x.grad.numpy()).max((0, 2)) > 0))


def main():
    args = common.arguments(__doc__, epochs=4)
    data = common.dataset(args)
    for name, dilations, dynamo in (("tcn", (1, 2, 4, 8), True), ("tcn_long", (1, 2, 4, 8, 16), False)):
        torch.manual_seed(args.seed)
        model = Tcn(dilations)
        score = common.train(model, data, WINDOW, 40, args.epochs, args.seed, stride=4)
        seen = sees(model, data.window(data.test[:256], WINDOW))
        assert seen == min(model.field, WINDOW), seen
        common.finish_torch(name, model, data, args, WINDOW, 40, dynamo,
                            note=dict(input=f"batch x {WINDOW} x 40",
                                      score=f"accuracy {score:.1%}; sees {seen} of {WINDOW} rows"))


if __name__ == "__main__":
    main()
