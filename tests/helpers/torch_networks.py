"""The survey's networks in PyTorch: a second implementation to compare and to race with.

Source: written from a description of the models of Vandenhende et al., "Multi-Task Learning for
Dense Prediction Tasks: A Survey", 2021; state dicts have the names and shapes of the official
checkpoints. Maps are NCHW; the order of the tasks is that of the given dictionary.
"""

from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional

Maps = dict[str, Tensor]


def _conv_norm(inputs, outputs, size, stride=1, dilation=1, bias=False) -> nn.Sequential:
    padding = dilation * (size // 2)
    conv = nn.Conv2d(inputs, outputs, size, stride, padding, dilation, bias=bias)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def _conv_norm_relu(*sizes: int, bias: bool = False) -> nn.Sequential:
    return _conv_norm(*sizes, bias=bias).append(nn.ReLU(inplace=True))


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)


def _initialise(backbone: nn.Module, momentum: float) -> None:
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            module.momentum = momentum


class Residual(nn.Module):
    """Convolutions, each followed by its norm, and a shortcut: 1x1 where the shapes differ."""

    def __init__(self, stride: int, *convs: tuple[int, ...]):
        super().__init__()
        self.steps = range(1, len(convs) + 1)
        for step, sizes in zip(self.steps, convs, strict=True):
            conv, norm = _conv_norm(*sizes)
            self.add_module(f"conv{step}", conv)
            self.add_module(f"bn{step}", norm)
        ends = convs[0][0], convs[-1][1]
        projects = stride > 1 or ends[0] != ends[1]
        self.downsample = _conv_norm(*ends, 1, stride) if projects else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for step in self.steps:
            y = getattr(self, f"bn{step}")(getattr(self, f"conv{step}")(y))
            y = y.relu_() if step < len(self.steps) else y.add_(self.downsample(x))
        return y.relu_()


def basic_block(inputs, outputs, stride=1, first=1, rest=1) -> Residual:
    """Two 3x3 convolutions, dilated by `first` and `rest`."""
    return Residual(stride, (inputs, outputs, 3, stride, first), (outputs, outputs, 3, 1, rest))


def bottleneck(inputs, outputs, stride=1, first=1, rest=1) -> Residual:
    """One 3x3 convolution, dilated by `first`, on a quarter of the channels; `rest` is unused."""
    c = outputs // 4
    return Residual(stride, (inputs, c, 1), (c, c, 3, stride, first), (c, outputs, 1))


_LAYERS = ("layer1", "layer2", "layer3", "layer4")
_RESNETS = {
    "resnet18": (basic_block, (2, 2, 2, 2), (64, 128, 256, 512)),
    "resnet50": (bottleneck, (3, 4, 6, 3), (256, 512, 1024, 2048)),
}


class ResNet(nn.Module):
    """A ResNet of output stride 8: the last two layers are dilated instead of strided."""

    def __init__(self, name: str):
        super().__init__()
        block, depths, channels = _RESNETS[name]
        self.channels = (64, *channels)
        self.conv1, self.bn1 = _conv_norm(3, 64, 7, 2)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        # per layer: stride, dilation of the 3x3 that was strided, dilation of all others
        steps = ((1, 1, 1), (2, 1, 1), (1, 1, 2), (1, 2, 4))
        for i, (layer, depth, step) in enumerate(zip(_LAYERS, depths, steps, strict=True)):
            inputs, c = self.channels[i : i + 2]
            others = (block(c, c, 1, step[2], step[2]) for _ in range(depth - 1))
            self.add_module(layer, nn.Sequential(block(inputs, c, *step), *others))
        _initialise(self, momentum=0.1)

    def run(self, stage: str, x: Tensor) -> Tensor:
        """One stage: "conv", "layer1_without_conv", "layer1" (both of them), "layer2" and so on."""
        if stage in ("conv", "layer1"):
            x = self.maxpool(self.bn1(self.conv1(x)).relu_())
        return x if stage == "conv" else getattr(self, stage.removesuffix("_without_conv"))(x)

    def forward(self, image: Tensor) -> Tensor:
        return reduce(lambda x, layer: self.run(layer, x), _LAYERS, image)


class ASPP(nn.Module):
    """Convolutions of dilations 1, 12, 24, 36 and the mean over the image, projected."""

    def __init__(self, inputs: int):
        super().__init__()
        dilated = [_conv_norm_relu(inputs, 256, 3, 1, dilation) for dilation in (12, 24, 36)]
        pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), *_conv_norm_relu(inputs, 256, 1))
        self.convs = nn.ModuleList([_conv_norm_relu(inputs, 256, 1), *dilated, pooled])
        self.project = _conv_norm_relu(5 * 256, 256, 1).append(nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        *maps, pooled = (conv(x) for conv in self.convs)
        pooled = pooled.expand_as(maps[0])  # what resizing a single pixel gives
        return self.project(torch.cat([*maps, pooled], 1))


class DeepLabHead(nn.Sequential):
    """DeepLab-v3. It trains on two images or more: their means are normalised over the batch."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(ASPP(inputs), *_conv_norm_relu(256, 256, 3), nn.Conv2d(256, outputs, 1))


class Fusion(nn.Module):
    """Residual blocks on every branch of an HRNet, then each branch receives all the others."""

    def __init__(self, channels: list[int]):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(basic_block(c, c), basic_block(c, c)) for c in channels
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self._link(c, outputs, target - i) for i, c in enumerate(channels))
            for target, outputs in enumerate(channels)
        )

    @staticmethod
    def _link(inputs: int, outputs: int, halvings: int) -> nn.Module:
        if halvings == 0:
            return nn.Identity()
        if halvings < 0:
            return _conv_norm(inputs, outputs, 1)
        steps = (_conv_norm_relu(inputs, inputs, 3, 2) for _ in range(halvings - 1))
        return nn.Sequential(*steps, _conv_norm(inputs, outputs, 3, 2))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        fused = []
        for i, links in enumerate(self.fuse_layers):
            terms = [link(x) for link, x in zip(links, maps, strict=True)]
            terms[i + 1 :] = [_resize(term, maps[i]) for term in terms[i + 1 :]]
            fused.append(reduce(torch.add, terms).relu_())
        return fused


class HRNet(nn.Module):
    """HRNet-W18-small-v2: four maps, of strides 4 to 32."""

    def __init__(self):
        super().__init__()
        self.channels = [18, 36, 72, 144]
        self.conv1, self.bn1 = _conv_norm(3, 64, 3, 2)
        self.conv2, self.bn2 = _conv_norm(64, 64, 3, 2)
        self.layer1 = nn.Sequential(bottleneck(64, 256), bottleneck(256, 256))
        for i, fusions in enumerate((1, 3, 2), 1):
            kept = [nn.Identity() for _ in range(i)] if i > 1 else [_conv_norm_relu(256, 18, 3)]
            inputs = self.channels[i - 1] if i > 1 else 256
            added = nn.Sequential(_conv_norm_relu(inputs, self.channels[i], 3, 2))
            self.add_module(f"transition{i}", nn.ModuleList([*kept, added]))
            stage = (Fusion(self.channels[: i + 1]) for _ in range(fusions))
            self.add_module(f"stage{i + 1}", nn.Sequential(*stage))
        _initialise(self, momentum=0.01)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.bn1(self.conv1(image)).relu_()
        x = self.bn2(self.conv2(x)).relu_()
        maps = [self.layer1(x)]
        for i in (1, 2, 3):
            steps = zip(getattr(self, f"transition{i}"), [*maps, maps[-1]], strict=True)
            maps = getattr(self, f"stage{i + 1}")([step(x) for step, x in steps])
        return maps


class HighResolutionHead(nn.Module):
    """All maps at the size of the finest, concatenated, then two 1x1 convolutions."""

    def __init__(self, channels: list[int], outputs: int):
        super().__init__()
        c = sum(channels)
        self.last_layer = _conv_norm_relu(c, c, 1, bias=True).append(nn.Conv2d(c, outputs, 1))

    def forward(self, maps: list[Tensor]) -> Tensor:
        finest, *others = maps
        return self.last_layer(torch.cat([finest, *(_resize(x, finest) for x in others)], 1))


def _backbone(name: str) -> nn.Module:
    return HRNet() if name == "hrnet_w18_small_v2" else ResNet(name)


def _head(backbone: nn.Module, outputs: int) -> nn.Module:
    if isinstance(backbone, HRNet):
        return HighResolutionHead(backbone.channels, outputs)
    return DeepLabHead(backbone.channels[-1], outputs)


class SingleTask(nn.Module):
    """A backbone and one head."""

    def __init__(self, backbone: str, tasks: dict[str, int]):
        super().__init__()
        ((self.task, outputs),) = tasks.items()
        self.backbone = _backbone(backbone)
        self.decoder = _head(self.backbone, outputs)

    def forward(self, image: Tensor) -> Maps:
        return {self.task: _resize(self.decoder(self.backbone(image)), image)}


class SharedTrunk(nn.Module):
    """A backbone that all tasks share, and a head per task."""

    def __init__(self, backbone: str, tasks: dict[str, int]):
        super().__init__()
        self.backbone = _backbone(backbone)
        self.decoders = nn.ModuleDict({t: _head(self.backbone, c) for t, c in tasks.items()})

    def forward(self, image: Tensor) -> Maps:
        x = self.backbone(image)
        return {task: _resize(head(x), image) for task, head in self.decoders.items()}


class CrossStitchUnit(nn.Module):
    """Every task's map becomes a weighted sum of all tasks', channel by channel."""

    def __init__(self, tasks, channels: int, own: float, other: float):
        super().__init__()
        self.cross_stitch_unit = nn.ModuleDict()
        for target in tasks:
            weights = {t: torch.full((channels,), own if t == target else other) for t in tasks}
            weights = {task: nn.ParameterDict({"param": w}) for task, w in weights.items()}
            self.cross_stitch_unit[target] = nn.ModuleDict(weights)

    def forward(self, maps: Maps) -> Maps:
        mixed = {}
        for target, weights in self.cross_stitch_unit.items():
            terms = (maps[task] * w["param"][:, None, None] for task, w in weights.items())
            mixed[target] = reduce(torch.add, terms)
        return mixed


class NDDRUnit(nn.Module):
    """Every task's map becomes a 1x1 convolution of all tasks', normalised."""

    def __init__(self, tasks, channels: int, own: float, other: float):
        super().__init__()
        self.layer = nn.ModuleDict()
        for target in tasks:
            layer = _conv_norm_relu(len(tasks) * channels, channels, 1)
            blocks = [torch.eye(channels) * (own if t == target else other) for t in tasks]
            layer[0].weight = nn.Parameter(torch.cat(blocks, 1)[:, :, None, None])
            layer[1].momentum = 0.05
            self.layer[target] = layer

    def forward(self, maps: Maps) -> Maps:
        x = torch.cat(list(maps.values()), 1)
        return {task: layer(x) for task, layer in self.layer.items()}


# where the units are in the state dict, what they are, the stages they follow
_EXCHANGES = {
    "cross_stitch": ("cross_stitch", CrossStitchUnit, _LAYERS),
    "nddr_cnn": ("nddr", NDDRUnit, ("conv", "layer1_without_conv", *_LAYERS[1:])),
}


class Parallel(nn.Module):
    """A ResNet and a head per task; a unit mixes the tasks' maps after every stage."""

    def __init__(self, exchange: str, backbone: str, tasks: dict[str, int], own=0.9, other=0.1):
        super().__init__()
        self.backbone = nn.ModuleDict({task: ResNet(backbone) for task in tasks})
        self.heads = nn.ModuleDict({t: _head(self.backbone[t], c) for t, c in tasks.items()})
        self.group, unit, stages = _EXCHANGES[exchange]
        channels = next(iter(self.backbone.values())).channels[-len(stages) :]
        units = {s: unit(tasks, c, own, other) for s, c in zip(stages, channels, strict=True)}
        self.add_module(self.group, nn.ModuleDict(units))

    def forward(self, image: Tensor) -> Maps:
        maps = dict.fromkeys(self.heads, image)
        for stage, unit in getattr(self, self.group).items():
            maps = unit({task: net.run(stage, maps[task]) for task, net in self.backbone.items()})
        return {task: _resize(head(maps[task]), image) for task, head in self.heads.items()}


class MTAN(nn.Module):
    """One ResNet, and a path per task that attends to its layers; the paths share refinements."""

    def __init__(self, backbone: str, tasks: dict[str, int]):
        super().__init__()
        self.backbone = ResNet(backbone)
        self.heads = nn.ModuleDict({t: _head(self.backbone, c) for t, c in tasks.items()})
        channels = self.backbone.channels[1:]
        for i, c in enumerate(channels, 1):
            attention = {task: self._attention(c if i == 1 else 2 * c, c) for task in tasks}
            self.add_module(f"attention_{i}", nn.ModuleDict(attention))
        for i in (1, 2, 3):
            self.add_module(f"refine_{i}", nn.Sequential(bottleneck(*channels[i - 1 : i + 1])))

    @staticmethod
    def _attention(inputs: int, outputs: int) -> nn.Module:
        squeeze = _conv_norm_relu(inputs, outputs // 4, 1, bias=True)
        return squeeze.extend(_conv_norm(outputs // 4, outputs, 1, bias=True)).append(nn.Sigmoid())

    def forward(self, image: Tensor) -> Maps:
        x = self.backbone.run("conv", image)
        paths: Maps = {}
        for i, name in enumerate(_LAYERS, 1):
            layer = getattr(self.backbone, name)
            before = layer[:-1](x)
            x = layer[-1](before)
            for task, attention in getattr(self, f"attention_{i}").items():
                seen = torch.cat([before, paths[task]], 1) if i > 1 else before
                y = attention(seen) * x
                y = getattr(self, f"refine_{i}")(y) if i < 4 else y
                paths[task] = functional.max_pool2d(y, 2) if i == 1 else y
        return {task: _resize(head(paths[task]), image) for task, head in self.heads.items()}


def network(architecture: str, backbone: str, tasks: dict[str, int], **weights: float) -> nn.Module:
    """A network from an image to `{task: prediction at the image's size}`.

    Args:
        architecture: `"single_task"` (of one task), `"shared_trunk"`, `"cross_stitch"`,
            `"nddr_cnn"` or `"mtan"`.
        backbone: `"resnet18"`, `"resnet50"` or, for the first two, `"hrnet_w18_small_v2"`.
        tasks: the number of output channels per task.
        weights: `own` and `other`, with which the units of `"cross_stitch"` and `"nddr_cnn"` weigh
            a task's own map and those of the other tasks at first (0.9 and 0.1).
    """
    if architecture in _EXCHANGES:
        return Parallel(architecture, backbone, tasks, **weights)
    networks = {"single_task": SingleTask, "shared_trunk": SharedTrunk, "mtan": MTAN}
    return networks[architecture](backbone, tasks, **weights)
