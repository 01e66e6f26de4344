"""Small architectures of papers on trading and time series, as people write them in torch.

Each entry of MODELS is a function that makes (module, inputs): the inputs' first axis is the batch.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

STEPS, FEATURES, BATCH = 20, 8, 2
MODELS = {}


def model(function):
    MODELS[function.__name__] = function
    return function


def series(steps=STEPS, features=FEATURES):
    return torch.randn(BATCH, steps, features)


class Residual(nn.Module):
    def __init__(self, *inner):
        super().__init__()
        self.inner = nn.Sequential(*inner)

    def forward(self, x):
        return x + self.inner(x)


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def turn():
    return Apply(lambda x: x.transpose(1, 2))


def last_step():
    return Apply(lambda x: x[:, -1])


class Recurrent(nn.Module):
    """A recurrent layer's outputs without its states."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0]


def classifier(features, classes=3):
    return nn.Sequential(nn.Linear(features, classes), nn.Softmax(-1))


@model
def mlp():
    return nn.Sequential(nn.Linear(FEATURES, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 16), nn.GELU(), nn.Linear(16, 3)), (torch.randn(BATCH, FEATURES),)


@model
def mlp_batchnorm():
    return nn.Sequential(nn.BatchNorm1d(FEATURES), nn.Linear(FEATURES, 16), nn.BatchNorm1d(16), nn.SiLU(), nn.Linear(16, 1)), (torch.randn(BATCH, FEATURES),)


@model
def residual_mlp():
    block = [Residual(nn.LayerNorm(12), nn.Linear(12, 24), nn.GELU(approximate="tanh"), nn.Linear(24, 12)) for _ in range(2)]
    return nn.Sequential(nn.Linear(FEATURES, 12), *block, nn.LayerNorm(12), nn.Linear(12, 3)), (torch.randn(BATCH, FEATURES),)


class Highway(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.change, self.gate = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x):
        gate = torch.sigmoid(self.gate(x))
        return gate * torch.relu(self.change(x)) + (1 - gate) * x


@model
def highway():
    return nn.Sequential(nn.Linear(FEATURES, 12), Highway(12), Highway(12), nn.Linear(12, 3)), (torch.randn(BATCH, FEATURES),)


class DeepLob(nn.Module):
    """Zhang, Zohren, Roberts 2019, narrower."""

    def __init__(self, levels=4, width=4):
        super().__init__()

        def block(before, columns, stride):
            return nn.Sequential(
                nn.Conv2d(before, width, (1, columns), stride=(1, stride)), nn.LeakyReLU(0.01), nn.BatchNorm2d(width),
                nn.Conv2d(width, width, (4, 1)), nn.LeakyReLU(0.01), nn.BatchNorm2d(width))

        self.convolutions = nn.Sequential(block(1, 2, 2), block(width, 2, 2), block(width, levels, 1))
        self.short = nn.Sequential(nn.Conv2d(width, 4, 1), nn.LeakyReLU(), nn.Conv2d(4, 4, (3, 1), padding="same"), nn.LeakyReLU())
        self.long = nn.Sequential(nn.Conv2d(width, 4, 1), nn.LeakyReLU(), nn.Conv2d(4, 4, (5, 1), padding="same"), nn.LeakyReLU())
        self.pooled = nn.Sequential(nn.MaxPool2d((3, 1), stride=(1, 1), padding=(1, 0)), nn.Conv2d(width, 4, 1), nn.LeakyReLU())
        self.recurrent, self.out = nn.LSTM(12, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        x = self.convolutions(x)
        x = torch.cat((self.short(x), self.long(x), self.pooled(x)), dim=1)
        x = x.permute(0, 2, 1, 3)
        x = torch.reshape(x, (-1, x.shape[1], x.shape[2]))
        h0 = torch.zeros(1, x.size(0), 8)
        c0 = torch.zeros(1, x.size(0), 8)
        x, _ = self.recurrent(x, (h0, c0))
        return torch.softmax(self.out(x[:, -1, :]), dim=1)


@model
def deeplob():
    return DeepLob(), (torch.randn(BATCH, 1, 24, 16),)


class Bilinear(nn.Module):
    """BL of Tran, Iosifidis, Kanniainen, Gabbouj 2018: one matrix per mode."""

    def __init__(self, rows, columns, out_rows, out_columns):
        super().__init__()
        self.left = nn.Parameter(torch.randn(out_rows, rows) / math.sqrt(rows))
        self.right = nn.Parameter(torch.randn(columns, out_columns) / math.sqrt(columns))
        self.bias = nn.Parameter(torch.randn(out_rows, out_columns))

    def forward(self, x):
        return self.left @ x @ self.right + self.bias


class Tabl(nn.Module):
    def __init__(self, rows, columns, out_rows, out_columns):
        super().__init__()
        self.left = nn.Parameter(torch.randn(out_rows, rows) / math.sqrt(rows))
        self.weights = nn.Parameter(torch.randn(columns, columns) / columns)
        self.right = nn.Parameter(torch.randn(columns, out_columns) / math.sqrt(columns))
        self.bias, self.mix = nn.Parameter(torch.randn(out_rows, out_columns)), nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        x = self.left @ x
        size = self.weights.shape[0]
        eye = torch.eye(size)
        attention = torch.softmax(x @ (self.weights - self.weights * eye + eye / size), dim=-1)
        mix = torch.clamp(self.mix, 0.0, 1.0)
        x = mix * x + (1 - mix) * x * attention
        return x @ self.right + self.bias


@model
def tabl():
    return nn.Sequential(Bilinear(FEATURES, STEPS, 12, 5), nn.ReLU(), Tabl(12, 5, 3, 1), nn.Flatten(), nn.Softmax(-1)), (series().transpose(1, 2).contiguous(),)


class BiN(nn.Module):
    """Bilinear normalisation of Tran and others 2021: over time and over features."""

    def __init__(self, features, steps):
        super().__init__()
        self.g1, self.b1 = nn.Parameter(torch.ones(steps, 1)), nn.Parameter(torch.zeros(steps, 1))
        self.g2, self.b2 = nn.Parameter(torch.ones(features, 1)), nn.Parameter(torch.zeros(features, 1))
        self.y1, self.y2 = nn.Parameter(torch.tensor([0.4])), nn.Parameter(torch.tensor([0.6]))

    def forward(self, x):  # [batch, features, steps]
        mean, std = torch.mean(x, dim=2, keepdim=True), torch.std(x, dim=2, keepdim=True)
        std = torch.where(std < 1e-4, torch.ones_like(std), std)
        over_time = self.g2 * ((x - mean) / std) + self.b2
        mean, std = torch.mean(x, dim=1, keepdim=True), torch.std(x, dim=1, keepdim=True)
        over_features = (self.g1 * ((x - mean) / std).transpose(1, 2) + self.b1).transpose(1, 2)
        return self.y1 * over_time + self.y2 * over_features


@model
def bin_tabl():
    return nn.Sequential(BiN(FEATURES, STEPS), Bilinear(FEATURES, STEPS, 12, 5), nn.ReLU(), Tabl(12, 5, 3, 1), nn.Flatten(), nn.Softmax(-1)), (series().transpose(1, 2).contiguous(),)


class Chomp(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        return x[:, :, : -self.size].contiguous()


def temporal_block(before, after, dilation):
    pad = 2 * dilation
    return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv1d(before, after, 3, padding=pad, dilation=dilation)), Chomp(pad), nn.ReLU())


@model
def tcn():
    layers = [Residual(temporal_block(12, 12, d), temporal_block(12, 12, d)) for d in (1, 2, 4)]
    return nn.Sequential(turn(), nn.Conv1d(FEATURES, 12, 1), *layers, Apply(lambda x: x[:, :, -1]), nn.Linear(12, 3)), (series(),)


class WaveNet(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.first = nn.Conv1d(FEATURES, width, 1)
        self.filters = nn.ModuleList(nn.Conv1d(width, width, 2, dilation=d) for d in (1, 2, 4))
        self.gates = nn.ModuleList(nn.Conv1d(width, width, 2, dilation=d) for d in (1, 2, 4))
        self.residuals = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(3))
        self.skips = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(3))
        self.out = nn.Conv1d(width, 1, 1)

    def forward(self, x):
        x, skipped = self.first(x.transpose(1, 2)), 0
        for i, dilation in enumerate((1, 2, 4)):
            padded = F.pad(x, (dilation, 0))
            z = torch.tanh(self.filters[i](padded)) * torch.sigmoid(self.gates[i](padded))
            skipped = skipped + self.skips[i](z)
            x = x + self.residuals[i](z)
        return self.out(torch.relu(skipped))[:, 0, -1]


@model
def wavenet():
    return WaveNet(), (series(),)


class NBeats(nn.Module):
    """Generic and trend blocks, doubly residual."""

    def __init__(self, back=STEPS, ahead=5):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(back, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU()) for _ in range(3))
        self.theta = nn.ModuleList(nn.Linear(16, 4 if i else back + ahead) for i in range(3))
        grid = torch.arange(back + ahead, dtype=torch.float32) / back
        self.register_buffer("basis", torch.stack([grid**i for i in range(4)]))
        self.back, self.ahead = back, ahead

    def forward(self, x):
        forecast = torch.zeros(x.shape[0], self.ahead)
        for i, block in enumerate(self.blocks):
            theta = self.theta[i](block(x))
            both = theta if i == 0 else theta @ self.basis
            x = x - both[:, : self.back]
            forecast = forecast + both[:, self.back :]
        return forecast


@model
def nbeats():
    return NBeats(), (torch.randn(BATCH, STEPS),)


class NHits(nn.Module):
    def __init__(self, back=STEPS, ahead=8):
        super().__init__()
        self.pools, self.back, self.ahead = (4, 2, 1), back, ahead
        self.stacks = nn.ModuleList(nn.Sequential(nn.Linear(back // p, 12), nn.ReLU(), nn.Linear(12, back + ahead // p)) for p in self.pools)

    def forward(self, x):
        forecast = 0
        for pool, stack in zip(self.pools, self.stacks):
            pooled = F.max_pool1d(x.unsqueeze(1), pool, pool).squeeze(1)
            theta = stack(pooled)
            coarse = theta[:, self.back :].unsqueeze(1)
            forecast = forecast + F.interpolate(coarse, size=self.ahead, mode="linear").squeeze(1)
            x = x - theta[:, : self.back]
        return forecast


@model
def nhits():
    return NHits(), (torch.randn(BATCH, STEPS),)


class Positions(nn.Module):
    def __init__(self, steps, width):
        super().__init__()
        at = torch.arange(steps).unsqueeze(1)
        scale = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
        table = torch.zeros(steps, width)
        table[:, 0::2], table[:, 1::2] = torch.sin(at * scale), torch.cos(at * scale)
        self.register_buffer("table", table.unsqueeze(0))

    def forward(self, x):
        return x + self.table[:, : x.size(1)]


@model
def transformer_encoder():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.Sequential(nn.Linear(FEATURES, 8), Positions(STEPS, 8), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), last_step(), classifier(8)), (series(),)


class CausalAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        batch, steps, width = x.shape
        q, k, v = (part.view(batch, steps, self.heads, width // self.heads).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(batch, steps, width))


@model
def gpt():
    block = lambda: nn.Sequential(Residual(nn.LayerNorm(8), CausalAttention(8, 2)), Residual(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)))
    return nn.Sequential(nn.Linear(FEATURES, 8), Positions(STEPS, 8), block(), block(), last_step(), nn.Linear(8, 3)), (series(),)


class Tlob(nn.Module):
    """Berti, Kasneci 2025: attention over time, then over features."""

    def __init__(self, steps=STEPS, width=8):
        super().__init__()
        self.norm, self.embed = BiN(FEATURES, steps), nn.Linear(FEATURES, width)
        self.time, self.features = nn.MultiheadAttention(width, 2, batch_first=True), nn.MultiheadAttention(steps, 1, batch_first=True)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(steps)
        self.mlp1, self.mlp2 = nn.Sequential(nn.Linear(width, 16), nn.GELU(), nn.Linear(16, width)), nn.Sequential(nn.Linear(steps, 16), nn.GELU(), nn.Linear(16, steps))
        self.out = nn.Linear(steps * width, 3)

    def forward(self, x):
        x = self.embed(self.norm(x.transpose(1, 2)).transpose(1, 2))
        x = self.norm1(x + self.time(x, x, x, need_weights=False)[0])
        x = x + self.mlp1(x)
        x = x.transpose(1, 2)
        x = self.norm2(x + self.features(x, x, x, need_weights=False)[0])
        x = x + self.mlp2(x)
        return self.out(x.flatten(1))


@model
def tlob():
    return Tlob(), (series(),)


class Informer(nn.Module):
    """Attention to the most active queries alone, distilled by a convolution and a pool."""

    def __init__(self, width=8, kept=5):
        super().__init__()
        self.embed, self.kept = nn.Conv1d(FEATURES, width, 3, padding=1, padding_mode="circular"), kept
        self.q, self.k, self.v = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.distil, self.norm, self.pool = nn.Conv1d(width, width, 3, padding=1), nn.BatchNorm1d(width), nn.MaxPool1d(3, 2, 1)
        self.out = nn.Linear(width, 4)

    def forward(self, x):
        x = self.embed(x.transpose(1, 2)).transpose(1, 2)
        q, k, v = self.q(x), self.k(x), self.v(x)
        scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
        activity = scores.max(dim=-1).values - scores.mean(dim=-1)
        index = activity.topk(self.kept, dim=-1).indices
        active = torch.gather(scores, 1, index.unsqueeze(-1).expand(-1, -1, scores.shape[-1]))
        context = v.mean(dim=1, keepdim=True).expand(-1, x.shape[1], -1).clone()
        context = context.scatter(1, index.unsqueeze(-1).expand(-1, -1, context.shape[-1]), torch.softmax(active, -1) @ v)
        x = (x + context).transpose(1, 2)
        x = self.pool(F.elu(self.norm(self.distil(x))))
        return self.out(x.transpose(1, 2))[:, -1]


@model
def informer():
    return Informer(), (series(),)


class PatchTst(nn.Module):
    """Channels apart, windows cut into patches, values normalised per window and back."""

    def __init__(self, patch=8, stride=4, width=8, ahead=4):
        super().__init__()
        self.patch, self.stride, self.ahead = patch, stride, ahead
        patches = (STEPS - patch) // stride + 2
        self.embed, self.positions = nn.Linear(patch, width), nn.Parameter(torch.randn(1, patches, width))
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(width, 2, 16, batch_first=True, activation="gelu"), 1, enable_nested_tensor=False)
        self.head = nn.Linear(patches * width, ahead)

    def forward(self, x):
        mean, std = x.mean(1, keepdim=True), torch.sqrt(x.var(1, keepdim=True, unbiased=False) + 1e-5)
        x = ((x - mean) / std).transpose(1, 2)
        x = F.pad(x, (0, self.stride), mode="replicate")
        x = torch.stack([x[..., at : at + self.patch] for at in range(0, STEPS + self.stride - self.patch + 1, self.stride)], dim=2)
        batch, channels = x.shape[0], x.shape[1]
        x = self.embed(x).reshape(batch * channels, x.shape[2], -1) + self.positions
        x = self.head(self.encoder(x).flatten(1)).reshape(batch, channels, self.ahead)
        return x.transpose(1, 2) * std + mean


@model
def patchtst():
    return PatchTst(), (series(STEPS, 3),)


class ITransformer(nn.Module):
    """Each variable's whole window is one token."""

    def __init__(self, width=8, ahead=4):
        super().__init__()
        self.embed = nn.Linear(STEPS, width)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(width, 2, 16, batch_first=True), 1, enable_nested_tensor=False)
        self.head = nn.Linear(width, ahead)

    def forward(self, x):
        mean = x.mean(1, keepdim=True).detach()
        x = x - mean
        std = torch.sqrt(torch.var(x, dim=1, keepdim=True, unbiased=False) + 1e-5)
        x = self.head(self.encoder(self.embed((x / std).permute(0, 2, 1)))).permute(0, 2, 1)
        return x * std[:, 0, :].unsqueeze(1).repeat(1, x.shape[1], 1) + mean[:, 0, :].unsqueeze(1).repeat(1, x.shape[1], 1)


@model
def itransformer():
    return ITransformer(), (series(),)


class Grn(nn.Module):
    """TFT's gated residual network."""

    def __init__(self, before, width, after=None):
        super().__init__()
        after = after or width
        self.a, self.b, self.gate = nn.Linear(before, width), nn.Linear(width, width), nn.Linear(width, 2 * after)
        self.skip, self.norm = nn.Linear(before, after) if before != after else nn.Identity(), nn.LayerNorm(after)

    def forward(self, x):
        return self.norm(self.skip(x) + F.glu(self.gate(self.b(F.elu(self.a(x)))), dim=-1))


class Tft(nn.Module):
    def __init__(self, variables=4, width=8):
        super().__init__()
        self.embeds, self.grns = nn.ModuleList(nn.Linear(1, width) for _ in range(variables)), nn.ModuleList(Grn(width, width) for _ in range(variables))
        self.select, self.lstm = Grn(variables * width, width, variables), nn.LSTM(width, width, batch_first=True)
        self.static, self.attention = Grn(3, width), nn.MultiheadAttention(width, 2, batch_first=True)
        self.norm, self.last, self.out = nn.LayerNorm(width), Grn(width, width), nn.Linear(width, 3)

    def forward(self, x, static):
        each = [embed(x[..., i : i + 1]) for i, embed in enumerate(self.embeds)]
        weights = torch.softmax(self.select(torch.cat(each, -1)), -1).unsqueeze(-1)
        chosen = (torch.stack([grn(e) for grn, e in zip(self.grns, each)], dim=-2) * weights).sum(dim=-2)
        state = self.static(static).unsqueeze(0)
        y, _ = self.lstm(chosen, (state, state))
        y = self.norm(y + chosen)
        steps = y.shape[1]
        mask = torch.triu(torch.ones(steps, steps, dtype=torch.bool), diagonal=1)
        y = y + self.attention(y, y, y, attn_mask=mask)[0]
        return self.out(self.last(y[:, -1]))


@model
def tft():
    return Tft(), (series(STEPS, 4), torch.randn(BATCH, 3))


@model
def autoencoder():
    return nn.Sequential(nn.Linear(FEATURES, 6), nn.Tanh(), nn.Linear(6, 2), nn.Tanh(), nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, FEATURES)), (torch.randn(BATCH, FEATURES),)


@model
def conv_autoencoder():
    down = [nn.Conv1d(FEATURES, 6, 4, stride=2, padding=1), nn.ReLU(), nn.Conv1d(6, 4, 4, stride=2, padding=1), nn.ReLU()]
    up = [nn.ConvTranspose1d(4, 6, 4, stride=2, padding=1), nn.ReLU(), nn.ConvTranspose1d(6, FEATURES, 4, stride=2, padding=1)]
    return nn.Sequential(turn(), *down, *up, turn()), (series(),)


class VaeEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.mean, self.log_variance = nn.Sequential(nn.Linear(FEATURES, 12), nn.Softplus()), nn.Linear(12, 3), nn.Linear(12, 3)

    def forward(self, x, noise):
        h = self.body(x)
        mean, log_variance = self.mean(h), self.log_variance(h)
        return mean + torch.exp(0.5 * log_variance) * noise, mean, log_variance


@model
def vae_encoder():
    return VaeEncoder(), (torch.randn(BATCH, FEATURES), torch.randn(BATCH, 3))


@model
def lstm():
    return nn.Sequential(Recurrent(nn.LSTM(FEATURES, 8, batch_first=True)), last_step(), classifier(8)), (series(),)


@model
def stacked_lstm():
    return nn.Sequential(Recurrent(nn.LSTM(FEATURES, 6, num_layers=2, batch_first=True, dropout=0.1)), last_step(), nn.Linear(6, 1)), (series(),)


@model
def bilstm():
    return nn.Sequential(Recurrent(nn.LSTM(FEATURES, 6, batch_first=True, bidirectional=True)), last_step(), nn.Linear(12, 3)), (series(),)


@model
def gru():
    return nn.Sequential(Recurrent(nn.GRU(FEATURES, 8, batch_first=True)), last_step(), nn.Linear(8, 3)), (series(),)


@model
def bigru_stacked():
    return nn.Sequential(Recurrent(nn.GRU(FEATURES, 5, num_layers=2, batch_first=True, bidirectional=True)), Apply(lambda x: x.mean(1)), nn.Linear(10, 3)), (series(),)


@model
def elman():
    return nn.Sequential(Recurrent(nn.RNN(FEATURES, 8, batch_first=True, nonlinearity="relu")), last_step(), nn.Linear(8, 1)), (series(),)


@model
def residual_lstm():
    return nn.Sequential(nn.Linear(FEATURES, 8), Residual(Recurrent(nn.LSTM(8, 8, batch_first=True))), Residual(Recurrent(nn.LSTM(8, 8, batch_first=True))), last_step(), nn.Linear(8, 3)), (series(),)


class StatefulGru(nn.Module):
    """State in, state out: one step of a stream."""

    def __init__(self):
        super().__init__()
        self.cell, self.out = nn.GRUCell(FEATURES, 8), nn.Linear(8, 1)

    def forward(self, x, state):
        state = self.cell(x, state)
        return self.out(state), state


@model
def stateful_gru():
    return StatefulGru(), (torch.randn(BATCH, FEATURES), torch.randn(BATCH, 8))


class StatefulLstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.out = nn.LSTM(FEATURES, 6, num_layers=2, batch_first=True), nn.Linear(6, 1)

    def forward(self, x, h, c):  # the states with the batch first, as callers keep them
        y, (h, c) = self.layer(x, (h.transpose(0, 1).contiguous(), c.transpose(0, 1).contiguous()))
        return self.out(y[:, -1]), h.transpose(0, 1), c.transpose(0, 1)


@model
def stateful_lstm():
    return StatefulLstm(), (series(4), torch.randn(BATCH, 2, 6), torch.randn(BATCH, 2, 6))


class LayerNormGru(nn.Module):
    """Written out, step by step."""

    def __init__(self, width=6, steps=6):
        super().__init__()
        self.x, self.h, self.norm_x, self.norm_h = nn.Linear(FEATURES, 3 * width), nn.Linear(width, 3 * width, bias=False), nn.LayerNorm(3 * width), nn.LayerNorm(3 * width)
        self.width, self.steps, self.out = width, steps, nn.Linear(width, 1)

    def forward(self, x):
        h = torch.zeros(x.shape[0], self.width)
        for t in range(self.steps):
            r, z, n = self.norm_x(self.x(x[:, t])).chunk(3, -1)
            hr, hz, hn = self.norm_h(self.h(h)).chunk(3, -1)
            z = torch.sigmoid(z + hz)
            h = (1 - z) * torch.tanh(n + torch.sigmoid(r + hr) * hn) + z * h
        return self.out(h)


@model
def layernorm_gru():
    return LayerNormGru(), (series(6),)


class AttentionLstm(nn.Module):
    """Bahdanau's scores over the hidden states."""

    def __init__(self):
        super().__init__()
        self.lstm, self.project, self.score, self.out = nn.LSTM(FEATURES, 8, batch_first=True), nn.Linear(8, 6), nn.Linear(6, 1, bias=False), nn.Linear(16, 3)

    def forward(self, x):
        y, (h, _) = self.lstm(x)
        weights = torch.softmax(self.score(torch.tanh(self.project(y))), dim=1)
        context = torch.bmm(weights.transpose(1, 2), y).squeeze(1)
        return F.log_softmax(self.out(torch.cat([context, h[-1]], dim=-1)), dim=-1)


@model
def attention_lstm():
    return AttentionLstm(), (series(),)


@model
def cnn_lstm():
    cnn = [turn(), nn.Conv1d(FEATURES, 8, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(8, 8, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2), turn()]
    return nn.Sequential(*cnn, Recurrent(nn.LSTM(8, 6, batch_first=True)), last_step(), nn.Linear(6, 3)), (series(),)


class Inception(nn.Module):
    def __init__(self, before, width=4):
        super().__init__()
        self.bottleneck = nn.Conv1d(before, width, 1, bias=False)
        self.branches = nn.ModuleList(nn.Conv1d(width, width, k, padding="same", bias=False) for k in (9, 5, 3))
        self.pooled = nn.Sequential(nn.MaxPool1d(3, 1, 1), nn.Conv1d(before, width, 1, bias=False))
        self.norm = nn.BatchNorm1d(4 * width)

    def forward(self, x):
        narrow = self.bottleneck(x)
        return torch.relu(self.norm(torch.cat([branch(narrow) for branch in self.branches] + [self.pooled(x)], 1)))


@model
def inception_time():
    return nn.Sequential(turn(), Inception(FEATURES), Residual(Inception(16)), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, 3)), (series(),)


@model
def resnet1d():
    def block(width, kernel):
        return Residual(nn.Conv1d(width, width, kernel, padding=kernel // 2), nn.BatchNorm1d(width), nn.ReLU(), nn.Conv1d(width, width, 3, padding=1), nn.BatchNorm1d(width))

    return nn.Sequential(turn(), nn.Conv1d(FEATURES, 8, 7, stride=2, padding=3), nn.BatchNorm1d(8), nn.ReLU(), block(8, 5), nn.ReLU(), block(8, 3), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(8, 3)), (series(),)


class SqueezeExcite(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.down, self.up = nn.Linear(width, 2), nn.Linear(2, width)

    def forward(self, x):
        return x * torch.sigmoid(self.up(F.relu(self.down(x.mean(-1))))).unsqueeze(-1)


@model
def squeeze_excite():
    return nn.Sequential(turn(), nn.Conv1d(FEATURES, 8, 3, groups=4), nn.Hardswish(), SqueezeExcite(8), nn.Conv1d(8, 8, 3, groups=8), nn.Conv1d(8, 8, 1), nn.Mish(), nn.AvgPool1d(3, 2, 1), nn.Flatten(), nn.LazyLinear(3)), (series(),)


@model
def lstm_fcn():
    class LstmFcn(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(FEATURES, 4, batch_first=True)
            self.cnn = nn.Sequential(nn.Conv1d(FEATURES, 6, 8, padding="same"), nn.BatchNorm1d(6), nn.ReLU(), nn.Conv1d(6, 6, 5, padding="same"), nn.BatchNorm1d(6), nn.ReLU())
            self.out = nn.Linear(10, 3)

        def forward(self, x):
            return self.out(torch.cat([self.lstm(x)[0][:, -1], self.cnn(x.permute(0, 2, 1)).mean(-1)], 1))

    return LstmFcn(), (series(),)


class MultiHead(nn.Module):
    """One body, a classification, a regression and a quantile head."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(FEATURES, 12), nn.PReLU(), nn.Linear(12, 8), nn.SELU())
        self.side, self.size, self.quantiles = nn.Linear(8, 3), nn.Linear(8, 1), nn.Linear(8, 3)

    def forward(self, x):
        h = self.body(x)
        return {"side": F.softmax(self.side(h), -1), "size": F.softplus(self.size(h)).squeeze(-1), "quantiles": torch.cumsum(F.softplus(self.quantiles(h)), -1)}


@model
def multi_head():
    return MultiHead(), (torch.randn(BATCH, FEATURES),)


class Embeddings(nn.Module):
    """The instrument, the hour and the book."""

    def __init__(self):
        super().__init__()
        self.instrument, self.hour = nn.Embedding(20, 4), nn.Embedding(24, 3)
        self.body = nn.Sequential(nn.Linear(4 + 3 + FEATURES, 12), nn.ELU(), nn.Linear(12, 1))

    def forward(self, book, instrument, hour):
        return self.body(torch.cat([book, self.instrument(instrument), self.hour(hour)], dim=-1))


@model
def embeddings():
    return Embeddings(), (torch.randn(BATCH, FEATURES), torch.randint(0, 20, (BATCH,)), torch.randint(0, 24, (BATCH,)))


class MultiInput(nn.Module):
    """Ticks, bars and static features, a branch each."""

    def __init__(self):
        super().__init__()
        self.ticks, self.bars, self.static = nn.GRU(4, 6, batch_first=True), nn.Conv1d(5, 6, 3), nn.Linear(3, 6)
        self.mix, self.out = nn.Parameter(torch.randn(6, 6, 4)), nn.Linear(10, 2)

    def forward(self, ticks, bars, static):
        a = self.ticks(ticks)[1].squeeze(0)
        b = F.adaptive_avg_pool1d(F.relu(self.bars(bars.transpose(1, 2))), 1).squeeze(-1)
        return self.out(torch.cat([torch.einsum("bi,bj,ijk->bk", a, b, self.mix), torch.tanh(self.static(static))], 1))


@model
def multi_input():
    return MultiInput(), (torch.randn(BATCH, 10, 4), torch.randn(BATCH, 6, 5), torch.randn(BATCH, 3))


class Experts(nn.Module):
    def __init__(self, experts=4, kept=2):
        super().__init__()
        self.gate, self.kept = nn.Linear(FEATURES, experts), kept
        self.up, self.down = nn.Parameter(torch.randn(experts, FEATURES, 8) * 0.3), nn.Parameter(torch.randn(experts, 8, 3) * 0.3)

    def forward(self, x):
        values, index = torch.topk(self.gate(x), self.kept, dim=-1)
        weights = torch.zeros(x.shape[0], self.gate.out_features).scatter(1, index, torch.softmax(values, -1))
        hidden = torch.relu(torch.einsum("bf,efh->beh", x, self.up))
        return torch.einsum("beh,eho,be->bo", hidden, self.down, weights)


@model
def mixture_of_experts():
    return Experts(), (torch.randn(BATCH, FEATURES),)


class DLinear(nn.Module):
    def __init__(self, kernel=5, ahead=4):
        super().__init__()
        self.kernel, self.pool, self.season, self.trend = kernel, nn.AvgPool1d(kernel, 1), nn.Linear(STEPS, ahead), nn.Linear(STEPS, ahead)

    def forward(self, x):
        half = (self.kernel - 1) // 2
        padded = torch.cat([x[:, 0:1].repeat(1, half, 1), x, x[:, -1:].repeat(1, half, 1)], dim=1)
        trend = self.pool(padded.permute(0, 2, 1))
        season = x.permute(0, 2, 1) - trend
        return (self.season(season) + self.trend(trend)).permute(0, 2, 1)


@model
def dlinear():
    return DLinear(), (series(),)


class MixerBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm((STEPS, FEATURES)), nn.LayerNorm((STEPS, FEATURES))
        self.time, self.features = nn.Sequential(nn.Linear(STEPS, STEPS), nn.ReLU()), nn.Sequential(nn.Linear(FEATURES, 12), nn.ReLU(), nn.Linear(12, FEATURES))

    def forward(self, x):
        x = x + self.time(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.features(self.norm2(x))


@model
def tsmixer():
    return nn.Sequential(MixerBlock(), MixerBlock(), turn(), nn.Linear(STEPS, 4), turn()), (series(),)


class DiagonalStates(nn.Module):
    """S4D with real parts and its kernel written out, then a causal convolution."""

    def __init__(self, states=4, steps=STEPS):
        super().__init__()
        self.decay, self.frequency = nn.Parameter(torch.rand(FEATURES, states)), nn.Parameter(torch.rand(FEATURES, states))
        self.weights, self.skip, self.steps = nn.Parameter(torch.randn(FEATURES, states) * 0.3), nn.Parameter(torch.randn(FEATURES)), steps
        self.out = nn.Linear(FEATURES, FEATURES * 2)

    def forward(self, x):
        at = torch.arange(self.steps, dtype=torch.float32)
        kernel = (self.weights.unsqueeze(-1) * torch.exp(-F.softplus(self.decay).unsqueeze(-1) * at) * torch.cos(self.frequency.unsqueeze(-1) * at)).sum(1)
        x = x.transpose(1, 2)
        y = F.conv1d(F.pad(x, (self.steps - 1, 0)), kernel.flip(-1).unsqueeze(1), groups=FEATURES) + x * self.skip.unsqueeze(-1)
        return F.glu(self.out(F.gelu(y).transpose(1, 2)), dim=-1)


@model
def s4d():
    return nn.Sequential(Residual(nn.LayerNorm(FEATURES), DiagonalStates()), last_step(), nn.Linear(FEATURES, 3)), (series(),)


class Mamba(nn.Module):
    """A selective scan, written out over a short window."""

    def __init__(self, steps=8, inner=6, states=3):
        super().__init__()
        self.split, self.conv = nn.Linear(FEATURES, 2 * inner, bias=False), nn.Conv1d(inner, inner, 3, groups=inner, padding=2)
        self.parameters_of, self.step_of = nn.Linear(inner, 1 + 2 * states, bias=False), nn.Linear(1, inner)
        self.log_a, self.d, self.out = nn.Parameter(torch.log(torch.arange(1, states + 1).float()).repeat(inner, 1)), nn.Parameter(torch.ones(inner)), nn.Linear(inner, FEATURES, bias=False)
        self.steps, self.inner, self.states = steps, inner, states

    def forward(self, x):
        u, z = self.split(x).chunk(2, -1)
        u = F.silu(self.conv(u.transpose(1, 2))[..., : self.steps].transpose(1, 2))
        step, b, c = torch.split(self.parameters_of(u), [1, self.states, self.states], dim=-1)
        step, a = F.softplus(self.step_of(step)), -torch.exp(self.log_a)
        h, ys = torch.zeros(x.shape[0], self.inner, self.states), []
        for t in range(self.steps):
            h = torch.exp(step[:, t].unsqueeze(-1) * a) * h + step[:, t].unsqueeze(-1) * b[:, t].unsqueeze(1) * u[:, t].unsqueeze(-1)
            ys.append((h * c[:, t].unsqueeze(1)).sum(-1))
        y = torch.stack(ys, 1) + u * self.d
        return self.out(y * F.silu(z))


@model
def mamba():
    return nn.Sequential(Residual(Mamba()), last_step(), nn.Linear(FEATURES, 3)), (series(8),)


class Fits(nn.Module):
    """FITS without complex numbers: the spectrum by matrices of cosines and sines, its low part scaled and turned."""

    def __init__(self, kept=6, ahead=5):
        super().__init__()
        at, bins, longer = torch.arange(STEPS).float(), torch.arange(kept).float(), torch.arange(STEPS + ahead).float()
        angle = 2 * math.pi * at[:, None] * bins / STEPS
        self.register_buffer("cosine", torch.cos(angle)), self.register_buffer("sine", torch.sin(angle))
        angle = 2 * math.pi * longer[None, :] * bins[:, None] / (STEPS + ahead)
        self.register_buffer("to_cosine", torch.cos(angle) / STEPS), self.register_buffer("to_sine", torch.sin(angle) / STEPS)
        self.real, self.imaginary = nn.Linear(kept, kept), nn.Linear(kept, kept)

    def forward(self, x):
        mean = x.mean(1, keepdim=True)
        variance = torch.var(x, dim=1, keepdim=True) + 1e-5
        x = ((x - mean) / torch.sqrt(variance)).transpose(1, 2)
        re, im = x @ self.cosine, -(x @ self.sine)
        re, im = self.real(re) - self.imaginary(im), self.real(im) + self.imaginary(re)
        y = (re @ self.to_cosine - im @ self.to_sine).transpose(1, 2)
        return y * torch.sqrt(variance) + mean


@model
def fits():
    return Fits(), (series(),)


class TabNet(nn.Module):
    """Two steps of masks over features by sparsemax."""

    def __init__(self, width=6, steps=2):
        super().__init__()
        self.norm = nn.BatchNorm1d(FEATURES)
        self.transforms = nn.ModuleList(nn.Sequential(nn.Linear(FEATURES, 4 * width), nn.BatchNorm1d(4 * width), nn.GLU()) for _ in range(steps + 1))
        self.masks = nn.ModuleList(nn.Sequential(nn.Linear(width, FEATURES, bias=False), nn.BatchNorm1d(FEATURES)) for _ in range(steps))
        self.out, self.width = nn.Linear(width, 3), width

    @staticmethod
    def sparsemax(z):
        ordered = torch.sort(z, dim=-1, descending=True).values
        rank = torch.arange(1, z.shape[-1] + 1, dtype=z.dtype)
        total = ordered.cumsum(-1) - 1
        count = (rank * ordered > total).sum(-1, keepdim=True)
        threshold = total.gather(-1, count - 1) / count.to(z.dtype)
        return torch.clamp(z - threshold, min=0)

    def forward(self, x):
        x = self.norm(x)
        prior, decided = torch.ones_like(x), 0
        attended = self.transforms[0](x)[:, self.width :]
        for mask, transform in zip(self.masks, list(self.transforms)[1:]):
            m = self.sparsemax(mask(attended) * prior)
            prior = prior * (1.3 - m)
            h = transform(m * x)
            decided = decided + torch.relu(h[:, : self.width])
            attended = h[:, self.width :]
        return self.out(decided)


@model
def tabnet():
    return TabNet(), (torch.randn(BATCH, FEATURES),)


class DeepCross(nn.Module):
    """DCN v2 beside a deep part."""

    def __init__(self):
        super().__init__()
        self.crosses = nn.ModuleList(nn.Linear(FEATURES, FEATURES) for _ in range(2))
        self.deep, self.out = nn.Sequential(nn.Linear(FEATURES, 8), nn.ReLU6(), nn.Linear(8, 8), nn.Hardtanh()), nn.Linear(16, 1)

    def forward(self, x):
        y = x
        for cross in self.crosses:
            y = x * cross(y) + y
        return torch.sigmoid(self.out(torch.cat([y, self.deep(x)], -1)))


@model
def deep_cross():
    return DeepCross(), (torch.randn(BATCH, FEATURES),)


class DeepFm(nn.Module):
    def __init__(self, fields=4, words=10, width=3):
        super().__init__()
        self.embed, self.linear, self.deep = nn.Embedding(fields * words, width), nn.Embedding(fields * words, 1), nn.Sequential(nn.Linear(fields * width, 8), nn.ReLU(), nn.Linear(8, 1))
        self.register_buffer("offsets", torch.arange(fields) * words)

    def forward(self, x):
        x = x + self.offsets
        e = self.embed(x)
        pairs = 0.5 * (e.sum(1).pow(2) - e.pow(2).sum(1)).sum(1, keepdim=True)
        return torch.sigmoid(self.linear(x).sum(1) + pairs + self.deep(e.flatten(1))).squeeze(1)


@model
def deep_fm():
    return DeepFm(), (torch.randint(0, 10, (BATCH, 4)),)


class FeatureTokens(nn.Module):
    """FT-Transformer: a token per feature, and one to read the answer from."""

    def __init__(self, width=8):
        super().__init__()
        self.weights, self.biases, self.cls = nn.Parameter(torch.randn(FEATURES, width)), nn.Parameter(torch.randn(FEATURES, width)), nn.Parameter(torch.randn(1, 1, width))
        self.encoder = nn.TransformerEncoderLayer(width, 2, 12, batch_first=True, norm_first=True, activation="gelu")
        self.head = nn.Sequential(nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, x):
        tokens = x.unsqueeze(-1) * self.weights + self.biases
        tokens = torch.cat([self.cls.expand(x.shape[0], -1, -1), tokens], dim=1)
        return self.head(self.encoder(tokens)[:, 0])


@model
def ft_transformer():
    return FeatureTokens(), (torch.randn(BATCH, FEATURES),)


class AxialLob(nn.Module):
    """Gated axial attention of a book: rows, then columns, with the batch merged into the other axis."""

    def __init__(self, width=4):
        super().__init__()
        self.embed, self.norm = nn.Conv2d(1, width, 1), nn.GroupNorm(2, width)
        self.rows, self.columns = nn.MultiheadAttention(width, 2, batch_first=True), nn.MultiheadAttention(width, 2, batch_first=True)
        self.out = nn.Linear(width, 3)

    def forward(self, x):
        x = F.relu(self.norm(self.embed(x)))
        batch, width, steps, levels = x.shape
        along = x.permute(0, 3, 2, 1).reshape(batch * levels, steps, width)
        along = along + self.rows(along, along, along, need_weights=False)[0]
        across = along.reshape(batch, levels, steps, width).permute(0, 2, 1, 3).reshape(batch * steps, levels, width)
        across = across + self.columns(across, across, across, need_weights=False)[0]
        return self.out(across.reshape(batch, steps, levels, width).mean(dim=(1, 2)))


@model
def axial_lob():
    return AxialLob(), (torch.randn(BATCH, 1, 8, 6),)


class RmsNorm(nn.Module):
    """As language models write it out."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


class RotaryRms(nn.Module):
    """A small language-model block: RMSNorm, rotary positions, grouped queries, SwiGLU."""

    def __init__(self, width=8, heads=2, steps=10):
        super().__init__()
        self.norm1, self.norm2 = RmsNorm(width), RmsNorm(width)
        self.q, self.kv, self.o = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.gate, self.up, self.down = nn.Linear(width, 12, bias=False), nn.Linear(width, 12, bias=False), nn.Linear(12, width, bias=False)
        self.heads, self.size = heads, width // heads
        angle = torch.arange(steps)[:, None] / 10000 ** (torch.arange(0, self.size, 2) / self.size)
        self.register_buffer("cos", torch.cat([angle.cos(), angle.cos()], -1)), self.register_buffer("sin", torch.cat([angle.sin(), angle.sin()], -1))
        self.out = nn.Linear(width, 3)

    def rotate(self, x):
        a, b = x.chunk(2, -1)
        return x * self.cos + torch.cat([-b, a], -1) * self.sin

    def forward(self, x):
        batch, steps, width = x.shape
        h = self.norm1(x)
        q = self.q(h).view(batch, steps, self.heads, self.size).transpose(1, 2)
        k, v = self.kv(h).view(batch, steps, 2, self.size).permute(2, 0, 1, 3)
        k, v = k.unsqueeze(1).expand(-1, self.heads, -1, -1), v.unsqueeze(1).expand(-1, self.heads, -1, -1)
        y = F.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v, is_causal=True)
        x = x + self.o(y.transpose(1, 2).reshape(batch, steps, width))
        h = self.norm2(x)
        x = x + self.down(F.silu(self.gate(h)) * self.up(h))
        return self.out(x[:, -1])


@model
def rotary_rms():
    return RotaryRms(), (series(10),)
