"""The survey's decoder-focused networks in PyTorch, with the names of the official checkpoints.

Source: written from a description of the models of Vandenhende et al., TPAMI 2021; maps are NCHW.
Auxiliary tasks are the tasks.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.helpers.torch_networks import (
    HighResolutionHead,
    HRNet,
    Maps,
    _conv_norm_relu,
    _resize,
    basic_block,
    bottleneck,
)


class SelfAttention(nn.Module):
    """A 3x3 convolution through a gate, both of the same map."""

    def __init__(self, channels: int):
        super().__init__()
        gate = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.attention = nn.Sequential(gate, nn.Sigmoid())
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x) * self.conv(x)


class Distillation(nn.Module):
    """Every task's map plus a message from every other's."""

    def __init__(self, tasks, channels: int):
        super().__init__()
        self.self_attention = nn.ModuleDict(
            {
                target: nn.ModuleDict({s: SelfAttention(channels) for s in tasks if s != target})
                for target in tasks
            }
        )

    def forward(self, maps: Maps) -> Maps:
        return {
            target: maps[target] + sum(unit(maps[source]) for source, unit in units.items())
            for target, units in self.self_attention.items()
        }


class Fused(nn.Module):
    """All of HRNet's maps, as one."""

    def __init__(self, channels: list[int]):
        super().__init__()
        c = sum(channels)
        self.last_layer = _conv_norm_relu(c, c, 1, bias=True)

    def forward(self, maps: list[Tensor]) -> Tensor:
        finest, *others = maps
        return self.last_layer(torch.cat([finest, *(_resize(x, finest) for x in others)], 1))


class InitialHeads(nn.Module):
    """Two bottlenecks and a prediction for each task."""

    def __init__(self, tasks: dict[str, int], inputs: int):
        super().__init__()
        self.layers = nn.ModuleDict(
            {t: nn.Sequential(bottleneck(inputs, 256), bottleneck(256, 256)) for t in tasks}
        )
        self.conv_out = nn.ModuleDict({t: nn.Conv2d(256, c, 1) for t, c in tasks.items()})


class PADNet(nn.Module):
    """On HRNet."""

    def __init__(self, tasks: dict[str, int]):
        super().__init__()
        hrnet = HRNet()
        self.backbone = nn.Sequential(hrnet, Fused(hrnet.channels))
        self.initial_task_prediction_heads = InitialHeads(tasks, sum(hrnet.channels))
        self.multi_modal_distillation = Distillation(tasks, 256)
        self.heads = nn.ModuleDict(
            {
                t: nn.Sequential(bottleneck(256, 256), bottleneck(256, 256), nn.Conv2d(256, c, 1))
                for t, c in tasks.items()
            }
        )

    def forward(self, image: Tensor) -> Maps:
        x = self.backbone(image)
        initial = self.initial_task_prediction_heads
        maps = {task: layer(x) for task, layer in initial.layers.items()}
        first = {f"{task}/initial": out(maps[task]) for task, out in initial.conv_out.items()}
        maps = self.multi_modal_distillation(maps)
        return {t: _resize(head(maps[t]), image) for t, head in self.heads.items()} | first


class SqueezeExcite(nn.Module):
    """Channels scaled by numbers from their means."""

    def __init__(self, channels: int):
        super().__init__()
        inner = channels // 16
        self.squeeze = nn.Sequential(
            nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.squeeze(x.mean((2, 3)))[:, :, None, None]


class Propagation(nn.Module):
    """What tasks share, for each, plus its own map; the softmax is over neighbouring channels."""

    def __init__(self, tasks, channels: int):
        super().__init__()
        c = len(tasks) * channels
        self.non_linear = nn.Sequential(
            basic_block(c, c // 4), basic_block(c // 4, c // 4), nn.Conv2d(c // 4, c, 1)
        )
        self.dimensionality_reduction = basic_block(c, channels)
        self.se = nn.ModuleDict({task: SqueezeExcite(channels) for task in tasks})

    def forward(self, maps: Maps) -> Maps:
        x = torch.cat(list(maps.values()), 1)
        batch, c, height, width = x.shape
        mask = self.non_linear(x).view(batch, c // len(maps), len(maps), height, width)
        x = self.dimensionality_reduction(x * mask.softmax(2).view_as(x))
        return {task: unit(x) + maps[task] for task, unit in self.se.items()}


class Scale(nn.Module):
    """Refined maps and initial predictions of all tasks."""

    def __init__(self, tasks: dict[str, int], inputs: int, channels: int):
        super().__init__()
        self.refinement = nn.ModuleDict(
            {
                t: nn.Sequential(basic_block(inputs, channels), basic_block(channels, channels))
                for t in tasks
            }
        )
        self.decoders = nn.ModuleDict({t: nn.Conv2d(channels, c, 1) for t, c in tasks.items()})


class MTINet(nn.Module):
    """On HRNet."""

    def __init__(self, tasks: dict[str, int]):
        super().__init__()
        self.backbone = HRNet()
        channels = self.backbone.channels
        told = [*channels[1:], 0]
        for s, c in enumerate(channels):
            self.add_module(f"scale_{s}", Scale(tasks, c + told[s], c))
            self.add_module(f"distillation_scale_{s}", Distillation(tasks, c))
            if s > 0:
                self.add_module(f"fpm_scale_{s}", Propagation(tasks, c))
        self.heads = nn.ModuleDict({t: HighResolutionHead(channels, c) for t, c in tasks.items()})

    def forward(self, image: Tensor) -> Maps:
        pyramid = self.backbone(image)
        distilled: dict[int, Maps] = {}
        outputs: Maps = {}
        told: Maps = {}
        for s in reversed(range(len(pyramid))):
            scale, maps = getattr(self, f"scale_{s}"), {}
            for task, refine in scale.refinement.items():
                x = pyramid[s]
                if told:
                    larger = functional.interpolate(told[task], scale_factor=2, mode="bilinear")
                    x = torch.cat([x, larger], 1)
                maps[task] = refine(x)
                outputs[f"{task}/initial/{s}"] = scale.decoders[task](maps[task])
            distilled[s] = getattr(self, f"distillation_scale_{s}")(maps)
            told = getattr(self, f"fpm_scale_{s}")(maps) if s > 0 else {}
        for task, head in self.heads.items():
            outputs[task] = _resize(head([distilled[s][task] for s in sorted(distilled)]), image)
        return outputs


DECODERS = {"pad_net": PADNet, "mti_net": MTINet}
