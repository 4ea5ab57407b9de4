"""Networks of other libraries, which need not be installed: small stand-ins behind the same calls."""

import sys
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import torch
from mmpretrain.models import HuggingFaceClassifier, TimmClassifier
from torch import nn


class Network(nn.Module):
    """What ``timm.create_model`` returns: a network whose output are the logits."""

    def __init__(self, num_classes=1000):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, num_classes)

    def forward(self, inputs):
        return self.head(self.stem(inputs).mean(dim=(2, 3)))


class Output(NamedTuple):
    """What a network of transformers returns: the logits by name, or as the first of its entries."""

    logits: torch.Tensor


class NamedOutput(Network):
    def forward(self, inputs):
        return Output(super().forward(inputs))


def stand_in_for_timm(monkeypatch):
    """Let mmpretrain's ``TimmClassifier`` hold a :class:`Network` instead of one of timm's."""
    models = ModuleType('timm.models')
    models.create_model = lambda model_name, num_classes=1000: Network(num_classes)
    _provide(monkeypatch, TimmClassifier, {'timm': ModuleType('timm'), 'timm.models': models})


def stand_in_for_transformers(monkeypatch):
    """Let mmpretrain's ``HuggingFaceClassifier`` hold a :class:`NamedOutput`."""
    library = ModuleType('transformers')
    library.AutoConfig = SimpleNamespace(from_pretrained=lambda name, num_labels: num_labels)
    library.AutoModelForImageClassification = SimpleNamespace(from_config=NamedOutput)
    _provide(monkeypatch, HuggingFaceClassifier, {'transformers': library})


def _provide(monkeypatch, classifier, modules):
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    # mmpretrain wraps the constructor where the library is missing.
    monkeypatch.setattr(classifier, '__init__', getattr(classifier.__init__, '__wrapped__', classifier.__init__))
