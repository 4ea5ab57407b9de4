"""A trained student as one file that runs without OpenMMLab and this package: ONNX or TorchScript."""

from .student import Deployed, deploy_student

__all__ = ['Deployed', 'deploy_student']
