"""A model of one's own, as a user writes it after mmengine's tutorial: no task of shake_mm knows it."""

from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import nn
from torch.nn import functional as F


@MODELS.register_module()
class OwnModel(BaseModel):
    """Classifies images of any size; one of its layers never runs.

    Args:
        width: Channels.
        classes: Number of classes.
        channels: Channels of the images.
        data_preprocessor: As every model's.
    """

    def __init__(self, width=4, classes=5, channels=3, data_preprocessor=None):
        super().__init__(data_preprocessor)
        self.backbone = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.fc = nn.Linear(width, classes)
        self.spare = nn.Linear(width, classes)

    def forward(self, inputs, data_samples, mode='tensor'):
        """Losses of a batch with labels, samples with predictions, or logits."""
        logits = self.fc(self.backbone(inputs).mean((2, 3)))
        if mode == 'loss':
            labels = inputs.new_tensor([int(sample.gt_label) for sample in data_samples]).long()
            return dict(loss_cls=F.cross_entropy(logits, labels))
        if mode == 'predict':
            for sample, row in zip(data_samples, logits):
                sample.set_pred_score(row.softmax(0)).set_pred_label(row.argmax())
            return data_samples
        return logits


def own_model(width=4, classes=5, **options):
    """Its config."""
    return dict(type='OwnModel', width=width, classes=classes, **options)


TASK = dict(type='shake_mm.GenericTask', logits='fc', divergence=dict(type='KLDivLoss'))
"""What a config says of it."""
