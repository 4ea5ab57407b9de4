"""Training without shake_mm: loops written by hand for classifiers, and the parts of a detector's step."""

import copy
from typing import Any, ClassVar

import torch
from mmengine.structures import InstanceData, PixelData
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._pytree import tree_map

from benchmarks.training import METHODS, Step, make_optimizer, on_host, train_step
from shake_mm.compat.torch_names import tree_leaves
from shake_mm.engine import Taps
from shake_mm.imports import loaded_class
from shake_mm.tasks import SegmentationTask, task_of


class ClassificationLoops:
    """Training loops for classifiers, as one would write them without shake_mm.

    Args:
        student (nn.Module): An mmpretrain classifier; copied.
        teacher (nn.Module): Another; copied.
        data (dict): What :meth:`batch` returns.
        device (str): Device of torch.
        tau (float): Temperature. Defaults to 4.
    """

    methods: ClassVar[tuple[str, ...]] = tuple(METHODS)

    def __init__(self, student: nn.Module, teacher: nn.Module, data: dict, device: str, tau: float = 4.0) -> None:
        self.student = copy.deepcopy(student).to(device).train()
        self.teacher = copy.deepcopy(teacher).to(device).eval().requires_grad_(False)
        self.images, self.tau, self.device = on_host(data['inputs'], device), tau, device
        self._labels = on_host(torch.cat([sample.gt_label for sample in data['data_samples']]), device)
        self.mean, self.std = self.student.data_preprocessor.mean, self.student.data_preprocessor.std
        self.optimizer = make_optimizer(self.student)

    @staticmethod
    def batch(network: nn.Module, number: int, size: tuple[int, int]) -> dict[str, Any]:
        """Images of noise with random labels."""
        images = torch.randint(256, (number, 3, *size), dtype=torch.uint8)
        labels = torch.randint(network.head.num_classes, (number,))
        return {'inputs': images, 'data_samples': [DataSample().set_gt_label(label) for label in labels]}

    @classmethod
    def steps(cls, *args: Any) -> dict[str, Step]:
        """The plain rows, by name; the two that train share nothing."""
        plain, kd = cls(*args), cls(*args)
        return {'plain_student': plain.student_step, 'teacher': plain.teacher_forward, 'plain_kd': kd.kd_step}

    def student_step(self) -> None:
        """Train the student on its labels."""
        self._update(F.cross_entropy(self.student(self._normalized(), mode='tensor'), self.labels))

    @torch.no_grad()
    def teacher_forward(self) -> Tensor:
        """Run the teacher on the normalized batch."""
        return self.teacher(self._normalized(), mode='tensor')

    def kd_step(self) -> None:
        """Train the student on labels and teacher."""
        inputs = self._normalized()
        with torch.no_grad():
            target = self.teacher(inputs, mode='tensor')
        logits = self.student(inputs, mode='tensor')
        log_q, p = F.log_softmax(logits / self.tau, dim=1), F.softmax(target / self.tau, dim=1)
        divergence = F.kl_div(log_q, p, reduction='batchmean') * self.tau**2
        self._update(F.cross_entropy(logits, self.labels) + divergence)

    @property
    def labels(self) -> Tensor:
        """The classes (N,), on the device."""
        return self._labels.to(self.device, non_blocking=True)

    def _normalized(self) -> Tensor:
        return (self.images.to(self.device, non_blocking=True).float() - self.mean) / self.std

    def _update(self, loss: Tensor) -> None:
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


class DetectionLoops:
    """The parts of a detector's step: mmdet's own training, the teacher's pass, and the shadow branch.

    The teacher's pass is its backbone, its neck and the head that makes the logits, on images that are normalized
    already. Where the head classifies boxes it is given those that the student sampled once: it runs neither RPN nor
    NMS. The shadow branch learns on the features that the student's head read in the same pass.

    Args:
        student (nn.Module): An mmdet detector; copied.
        teacher (nn.Module): Another; copied.
        data (dict): What :meth:`batch` returns.
        device (str): Device of torch.
    """

    methods: ClassVar[tuple[str, ...]] = ('kd', 'shake')

    def __init__(self, student: nn.Module, teacher: nn.Module, data: dict, device: str) -> None:
        student = copy.deepcopy(student).to(device).train()
        self.teacher = copy.deepcopy(teacher).to(device).eval().requires_grad_(False)
        self.task = task_of(student)
        self.branch = self.task.build_branch(student, None).to(device).train()
        self.optimizer = make_optimizer(self.branch)
        self.guides = Taps({}, {})
        taps = Taps({'student': student}, {'student': self.task.aliases(student)})
        for tap in (*self.task.guides, self.task.shadow_source):
            self.guides.declare(tap)
            taps.request(tap)
        batch = student.data_preprocessor(data, True)
        self.inputs = batch['inputs']
        with taps.recording(), torch.no_grad():
            self.task.loss(student, batch['inputs'], batch['data_samples'])
            for tap in self.task.guides:
                self.guides.put(tap, taps.value(tap))
            self.features = tree_map(lambda x: x.requires_grad_(), taps.raw(self.task.shadow_source))

    @staticmethod
    def batch(network: nn.Module, number: int, size: tuple[int, int]) -> dict[str, Any]:
        """Images of noise, each with 1 to 6 boxes, an eighth to half of it wide and high, and random labels."""
        from mmdet.structures import DetDataSample  # classifiers do without mmdet
        from mmdet.structures.mask import BitmapMasks

        samples = []
        for _ in range(number):
            boxes = torch.rand(int(torch.randint(1, 7, ())), 4)
            extent = torch.tensor([size[1], size[0]])
            sides = (0.125 + 0.375 * boxes[:, 2:]) * extent
            corner = boxes[:, :2] * (extent - sides)
            labels = torch.randint(task_of(network).num_classes(network), (len(boxes),))
            meta = {'img_shape': size, 'ori_shape': size, 'scale_factor': (1.0, 1.0)}
            instances = InstanceData(bboxes=torch.cat([corner, corner + sides], dim=1), labels=labels)
            if getattr(network, 'with_mask', False):
                masks = (torch.rand(len(boxes), *size) < 0.5).numpy().astype('uint8')
                instances.masks = BitmapMasks(masks, *size)
            samples.append(DetDataSample(metainfo=meta, gt_instances=instances, ignored_instances=_no_boxes()))
        images = torch.randint(256, (number, 3, *size), dtype=torch.uint8)
        return {'inputs': list(images), 'data_samples': samples}

    @classmethod
    def steps(cls, student: nn.Module, teacher: nn.Module, data: dict, device: str) -> dict[str, Step]:
        """The rows of a detector's parts, by name."""
        plain, parts = copy.deepcopy(student).to(device).train(), cls(student, teacher, data, device)
        return {
            'plain_student': train_step(plain, data),
            'teacher': parts.teacher_forward,
            'branch': parts.branch_step,
        }

    @torch.no_grad()
    def teacher_forward(self) -> None:
        """Run the teacher as far as its logits."""
        self.task.forward_head(self.teacher, self.task.forward_trunk(self.teacher, self.inputs), self.guides)

    def branch_step(self) -> None:
        """Train a shadow branch, without a loss: what its layers themselves cost, down to the student's features."""
        logits = tree_leaves(self.branch(self.features))
        torch.autograd.backward(logits, [torch.ones_like(x) for x in logits])
        self.optimizer.step()
        self.optimizer.zero_grad()
        for feature in tree_leaves(self.features):
            feature.grad = None


def _no_boxes() -> InstanceData:
    return InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))


def noise_batch(network: nn.Module, number: int, size: tuple[int, int]) -> dict[str, Any]:
    """A batch of noise as the data loader gives it: of classifiers, detectors and segmentors.

    Args:
        network (nn.Module): What is to be trained on it.
        number (int): Images.
        size (tuple[int, int]): Their height and width.
    """
    task = task_of(network)
    if not isinstance(task, SegmentationTask):
        return loops_for(task).batch(network, number, size)
    from mmseg.structures import SegDataSample  # needed for segmentors alone

    meta = {'img_shape': size, 'ori_shape': size, 'pad_shape': size}
    samples = []
    for _ in range(number):
        labels = PixelData(data=torch.randint(network.num_classes, (1, *size)))
        samples.append(SegDataSample(metainfo=meta, gt_sem_seg=labels))
    return {'inputs': list(torch.randint(256, (number, 3, *size), dtype=torch.uint8)), 'data_samples': samples}


def loops_for(task: Any) -> type:
    """The loops for networks of a task; mmdet is not imported to find out."""
    detects = isinstance(task, loaded_class('shake_mm.tasks.detection', 'DetectionTask'))
    return DetectionLoops if detects else ClassificationLoops
