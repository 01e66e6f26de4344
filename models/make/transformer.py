"""A transformer encoder over the last 50 rows of the book.

transformer   input [batch, 50, 40] -> linear to width 64 + learned positions -> 2 encoder layers (4 heads, feed-forward
              128 with GELU, LayerNorm before each part) -> LayerNorm -> mean over the rows -> output [batch, 3], logits
              of down, flat, up

Seeded; the same seed on the same build of PyTorch and the same instruction set gives the same weights.
"""

import torch
from torch import nn

import common

WIDTH, HEADS, LAYERS, WINDOW = 64, 4, 2, 50


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(40, WIDTH)
        self.position = nn.Parameter(0.1 * torch.randn(WINDOW, WIDTH))
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, LAYERS, nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x):
        return self.head(self.encoder(self.embed(x) + self.position).mean(1))


def main():
    args = common.arguments(__doc__, epochs=4)
    data = common.dataset(args)
    torch.manual_seed(args.seed)
    model = Transformer()
    score = common.train(model, data, WINDOW, 40, args.epochs, args.seed, stride=4, rate=1e-3)
    common.finish_torch("transformer", model, data, args, WINDOW, 40, dynamo=True,
                        note=dict(input=f"batch x {WINDOW} x 40", score=f"accuracy {score:.1%}"))


if __name__ == "__main__":
    main()
