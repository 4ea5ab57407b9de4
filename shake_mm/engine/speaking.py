"""Predictions of another member in the student's place."""

from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from .distiller import Distiller


def predict_as(model: 'Distiller', member: str, inputs: Tensor, data_samples: list | None) -> Any:
    """Predict as a teacher, or as a proxy: as the student does, but for its logits, which are the proxy's.

    Args:
        model (Distiller): With its members.
        member (str): A teacher or a proxy.
        inputs (Tensor): The student's batch, shape (N, C, H, W).
        data_samples (list, optional): Its samples.

    Returns:
        list: The samples with predictions.
    """
    if member in model._frozen:
        return model._frozen[member].predict(inputs, data_samples)
    if member in model.peers:
        view = model.views[member](inputs, data_samples if model.task.pads else None)
        return model.peers[member](view, data_samples, mode='predict')
    proxy, heads = model.proxies[member], model.task.heads(model.student)

    def answer(stage: int, output: Any) -> Any:
        # a cascade asks stage by stage: what the later ones read is not there yet
        logits = proxy(taps.read(proxy.source)) if len(heads) == 1 else proxy.answer(stage, taps)
        return (logits, *output[1:]) if isinstance(output, tuple) else logits

    handles = [
        head.register_forward_hook(lambda module, args, output, stage=stage: answer(stage, output))
        for stage, head in enumerate(heads)
    ]
    try:
        with model.taps.recording() as taps:
            for name in model._frozen.keys() & model.read_by([member]):
                model._frozen[name](inputs)
            return model.student(inputs, data_samples, mode='predict')
    finally:
        for handle in handles:
            handle.remove()
