"""Modules for the tests of tracing: published forms of networks, and modules of one program."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Residual(nn.Module):
    def __init__(self, inner, outer, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outer)
        self.act = nn.ReLU(inplace=True)
        self.shortcut = nn.Identity()
        if stride != 1:
            self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(inner, outer, 1))

    def forward(self, x):
        y = self.norm2(self.conv2(self.act(self.norm1(self.conv1(x)))))
        y += self.shortcut(x)
        return self.act(y)


class ResidualNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding="same")
        self.blocks = nn.ModuleList([Residual(8, 8, 1), Residual(8, 16, 2), Residual(16, 16, 1)])
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = F.relu(self.stem(x), inplace=True)
        for block in self.blocks:
            x = block(x)
        return self.head(F.adaptive_avg_pool2d(x, (1, 1)).view(x.size(0), -1))


class Separable(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 12, 1),
            nn.Hardswish(),
            nn.Conv2d(12, 12, 5, 2, 2, groups=12, bias=False),
            nn.BatchNorm2d(12),
            nn.ReLU6(),
            nn.Conv2d(12, 12, 1),
        )
        self.squeeze, self.excite = nn.Conv2d(12, 4, 1), nn.Conv2d(4, 12, 1)
        self.shuffle = nn.PixelShuffle(2)
        self.norm = nn.GroupNorm(3, 3)

    def forward(self, x):
        x = self.layers(x)
        gate = torch.sigmoid(self.excite(F.silu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        b, c, h, w = x.shape
        x = (x * gate).view(b, 4, c // 4, h, w).transpose(1, 2).contiguous().view(b, -1, h, w)
        return self.norm(self.shuffle(x)).amax(dim=[2, 3])


class Perceptron(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(),
            nn.Linear(3 * 16 * 16, 20),
            nn.BatchNorm1d(20),
            nn.GELU(),
            nn.Linear(20, 20, bias=False),
            nn.PReLU(),
            nn.LayerNorm(20),
        )
        self.out = nn.Linear(20, 3)

    def forward(self, x):
        first, second = self.out(self.net(x)), self.out(self.net[1:](x.flatten(1)))
        return 2 - first / 3 + 1.5 * torch.tanh(second) ** 2 - 0.5


class OwnAttention(nn.Module):
    """Attention as most published vision transformers write it."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        attention = ((q @ k.transpose(-2, -1)) * self.scale).softmax(dim=-1)
        return self.proj((attention @ v).transpose(1, 2).reshape(b, n, c))


class FusedAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.register_buffer("mask", torch.tril(torch.ones(1, 1, 32, 32)))

    def forward(self, x):
        b, t, c = x.size()
        q, k, v = (
            part.view(b, t, self.heads, c // self.heads).transpose(1, 2)
            for part in self.qkv(x).split(c, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        scores = torch.matmul(q, k.mT).masked_fill(self.mask[:, :, :t, :t] == 0, float("-inf"))
        y = y + F.softmax(scores, dim=-1) @ v
        return self.proj(y.transpose(1, 2).contiguous().view(b, t, c))


class TorchAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x):
        y, _ = self.attention(x, x, x, need_weights=False)
        return y


class VisionTransformer(nn.Module):
    def __init__(self, attention):
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.places = nn.Parameter(torch.randn(1, 17, 16))
        self.norms = nn.ModuleList([nn.LayerNorm(16), nn.LayerNorm(16), nn.LayerNorm(16, eps=1e-6)])
        self.attention = attention(16, 4)
        self.mlp = nn.Sequential(
            nn.Linear(16, 32), nn.GELU("tanh"), nn.Dropout(0.0), nn.Linear(32, 16)
        )
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), dim=1) + self.places
        x = x + self.attention(self.norms[0](x))
        x = x + self.mlp(self.norms[1](x))
        return self.head(self.norms[2](x)[:, 0])


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 12, 3, padding=1)
        self.up = nn.ConvTranspose2d(12, 6, 2, stride=2)
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.merge, self.out = nn.Conv2d(24, 6, 3, padding=1), nn.Conv2d(6, 3, 1)
        self.norm = nn.InstanceNorm2d(6, affine=True)

    def forward(self, x):
        one = F.leaky_relu(self.down1(x), 0.2)
        two = F.elu(self.down2(F.max_pool2d(one, 2)))
        up = F.interpolate(two, size=one.shape[-2:], mode="nearest")
        x = self.norm(self.merge(torch.cat([one, self.up(two), self.upsample(two)], 1)))
        x = self.out(F.pad(x, (1, 0, 1, 0))[..., 1:, 1:])
        return x - up.mean(1, keepdim=True)


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.gamma = nn.Parameter(torch.full((3, 1, 1), 0.3))
        self.register_buffer("offset", torch.randn(3, 16, 16))

    def forward(self, x):
        for _ in range(3):
            x = x + self.gamma * self.norm(self.conv(x)) + self.offset
        first, second = x.chunk(2, dim=2)
        return torch.stack([first, second], dim=1).sum(1).std(dim=(1, 2))


class Encoder(nn.Module):
    def __init__(self, norm_first=False):
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 24, 0.0, batch_first=True, norm_first=norm_first)
        self.embed = nn.Linear(48, 16)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.scale = nn.Hardshrink(0.1)

    def forward(self, x):
        x = self.encoder(self.embed(x.view(x.shape[0], 16, 48)))
        return torch.clamp(self.scale(torch.roll(x, 1, 2)), min=-1).max(dim=1)[0]


class Weighted(nn.Module):
    """Convolutions whose weights are computed, and a linear layer by function."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 3, 3))
        self.matrix = nn.Parameter(torch.randn(2, 4))
        self.bias = nn.Parameter(torch.randn(2))

    def forward(self, x):
        x = F.conv2d(x, self.weight - self.weight.mean(dim=1, keepdim=True), padding=1)
        return F.linear(x.mean((-2, -1)), self.matrix, bias=self.bias)


MODULES = {
    "residual": ResidualNet,
    "separable": Separable,
    "perceptron": Perceptron,
    "own attention": lambda: VisionTransformer(OwnAttention),
    "fused attention": lambda: VisionTransformer(FusedAttention),
    "torch attention": lambda: VisionTransformer(TorchAttention),
    "unet": UNet,
    "shared": Shared,
    "encoder": Encoder,
    "encoder, norm first": lambda: Encoder(norm_first=True),
    "weighted": Weighted,
}


class Faulty(nn.Module):
    """Computes `program(module, x)`; its parts are there for programs that cannot be traced."""

    def __init__(self, program):
        super().__init__()
        self.program = program
        self.conv, self.linear = nn.Conv2d(3, 8, 3), nn.Linear(4, 4)
        self.loose = [nn.Conv2d(3, 8, 3)]
        self.lstm = nn.LSTM(4, 4)
        self.hooked = nn.Conv2d(3, 8, 3)
        self.hooked.register_forward_hook(lambda module, inputs, output: output * 2)
        self.register_buffer("steps", torch.zeros(1))

    def forward(self, x):
        return self.program(self, x)
