"""A ResNet-18 trunk with K 1x1 heads in PyTorch, and its step by three ways of balancing.

Claim: none of its own; the trunk has the layers of `mtl.backbones.build("resnet18",
output_stride=32)`, 11.2 million parameters.
Command: imported by `benchmarks/test_training_step.py`.
False if: the number of parameters differs from that of the Keras trunk.
"""

import numpy as np
import torch
from torch import nn
from torchjd.aggregation import UPGrad, UPGradWeighting
from torchjd.autojac import jac_to_grad, mtl_backward


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.side: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.side = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.main(x) + self.side(x))


def resnet18() -> nn.Module:
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
    ]
    inputs = 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(*layers)


class TorchStep:
    """One training step on a fixed batch, by each of the ways compared."""

    def __init__(self, image: np.ndarray, targets: dict[str, np.ndarray]) -> None:
        torch.manual_seed(0)
        self.image = torch.tensor(image).permute(0, 3, 1, 2).contiguous()
        self.targets = [torch.tensor(t).permute(0, 3, 1, 2) for t in targets.values()]
        self.trunk = resnet18()
        self.heads = nn.ModuleList(nn.Conv2d(512, 1, 1) for _ in self.targets)
        self.shared = list(self.trunk.parameters())
        parameters = [*self.shared, *self.heads.parameters()]
        self.optimizer = torch.optim.SGD(parameters, lr=1e-3)
        self.aggregator = UPGrad()
        self.weighting = UPGradWeighting()

    def losses(self) -> tuple[torch.Tensor, list[torch.Tensor]]:
        self.optimizer.zero_grad(set_to_none=True)
        features = self.trunk(self.image)
        pairs = zip(self.heads, self.targets, strict=True)
        return features, [((head(features) - target) ** 2).mean() for head, target in pairs]

    def summed(self) -> None:
        _, losses = self.losses()
        torch.stack(losses).sum().backward()
        self.optimizer.step()

    def torchjd(self) -> None:
        features, losses = self.losses()
        mtl_backward(losses, features=features)
        jac_to_grad(self.shared, self.aggregator)
        self.optimizer.step()

    def torchjd_frugal(self) -> None:
        """One task at a time, without a matrix of all gradients."""
        features, losses = self.losses()
        mtl_backward(losses, features=features, parallel_chunk_size=1)
        jac_to_grad(self.shared, self.aggregator, optimize_gramian_computation=True)
        self.optimizer.step()

    def loop(self) -> None:
        """One backward per task into a matrix, as LibMTL does, with TorchJD's UPGrad weights."""
        _, losses = self.losses()
        rows = []
        for loss in losses:
            for parameter in self.shared:
                parameter.grad = None
            loss.backward(retain_graph=True)
            rows.append(torch.cat([p.grad.reshape(-1) for p in self.shared]))
        jacobian = torch.stack(rows)
        direction = self.weighting(jacobian @ jacobian.T) @ jacobian
        offset = 0
        for parameter in self.shared:
            size = parameter.numel()
            parameter.grad = direction[offset : offset + size].view_as(parameter).clone()
            offset += size
        self.optimizer.step()
