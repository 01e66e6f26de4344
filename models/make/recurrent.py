"""Two recurrent networks over a window of rows, each started from zero state.

lstm_a   input [batch, 50, 100] (the last 50 rows, 100 features) -> 2 LSTM layers of 100 -> last step -> output
         [batch, 3], logits of down, flat, up. LSTM_A-shaped: the layers and the window of the public model cards, here
         with three outputs in place of one.
gru      input [batch, 50, 40] (the last 50 rows of the book) -> GRU of 64 -> last step -> output [batch, 3], logits

Seeded; the same seed on the same build of PyTorch and the same instruction set gives the same weights.
"""

import torch
from torch import nn

import common


class Recurrent(nn.Module):
    def __init__(self, kind, features, hidden, layers):
        super().__init__()
        self.recurrent = kind(features, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, 3)

    def forward(self, x):
        return self.head(self.recurrent(x)[0][:, -1])


def main():
    args = common.arguments(__doc__, epochs=4)
    data = common.dataset(args)
    for name, kind, window, columns, hidden, layers, dynamo in (
            ("gru", nn.GRU, 50, 40, 64, 1, True), ("lstm_a", nn.LSTM, 50, 100, 100, 2, False)):
        torch.manual_seed(args.seed)
        model = Recurrent(kind, columns, hidden, layers)
        score = common.train(model, data, window, columns, args.epochs, args.seed, stride=4)
        common.finish_torch(name, model, data, args, window, columns, dynamo,
                            note=dict(input=f"batch x {window} x {columns}", score=f"accuracy {score:.1%}"))


if __name__ == "__main__":
    main()
