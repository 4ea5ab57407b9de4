"""What the benchmark of a training step compares: the networks, a batch, plain loops, and our distillers' steps.

Every training step starts from the same batch of raw 8-bit images and ends with updated weights: normalization,
forward passes, losses, backward pass, SGD with momentum and weight decay, zeroed gradients. Ours is the whole
``model.train_step(data, optim_wrapper)`` that mmengine's loop calls, with the data preprocessor and all log values. The
plain loops of a classifier are what one would write by hand; a detector's is mmdet's own ``train_step``. Loading of
data and hooks of the Runner are in none of them.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from mmdet.structures import DetDataSample
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.structures import InstanceData
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._pytree import tree_leaves, tree_map

from ..distillers import DML, KD, SHAKE, Baseline
from ..engine import Taps
from ..members import MemberSpec
from ..tasks import DetectionTask, task_of

METHODS = {'baseline': Baseline, 'kd': KD, 'shake': SHAKE, 'dml': DML}

ROWS = {
    'plain_student': 'student step, plain',
    'teacher': 'teacher forward, no gradients',
    'branch': 'shadow branch alone',
    'plain_kd': 'KD step, plain',
    'mmrazor_kd': 'KD step, mmrazor',
    'baseline': 'Baseline step, shake_mm',
    'kd': 'KD step, shake_mm',
    'shake': 'SHAKE step, shake_mm',
    'dml': 'DML step, shake_mm',
    'shake_fused': 'SHAKE step, shake_mm, fused SGD',
    'shake_compiled': 'SHAKE step, shake_mm, compiled',
    'kd_cached': 'KD step, shake_mm, teacher cached',
    'shake_cached': 'SHAKE step, shake_mm, teacher cached',
    'shake_cold': 'SHAKE step, shake_mm, cache on disk',
}
RATIOS = {
    'shake/kd': ('shake', ('kd',)),
    'shake/plain_kd': ('shake', ('plain_kd',)),
    'shake/(plain_student+teacher)': ('shake', ('plain_student', 'teacher')),
    'shake/(plain_student+teacher+branch)': ('shake', ('plain_student', 'teacher', 'branch')),
    'kd/(plain_student+teacher)': ('kd', ('plain_student', 'teacher')),
    'kd/plain_kd': ('kd', ('plain_kd',)),
    'baseline/kd': ('baseline', ('kd',)),
    'baseline/plain_student': ('baseline', ('plain_student',)),
    'dml/kd': ('dml', ('kd',)),
    'dml/shake': ('dml', ('shake',)),
    'shake_fused/shake': ('shake_fused', ('shake',)),
    'shake_compiled/shake': ('shake_compiled', ('shake',)),
    'mmrazor_kd/plain_kd': ('mmrazor_kd', ('plain_kd',)),
    'shake/mmrazor_kd': ('shake', ('mmrazor_kd',)),
    'kd_cached/plain_student': ('kd_cached', ('plain_student',)),
    'shake_cached/plain_student': ('shake_cached', ('plain_student',)),
    'shake_cold/plain_student': ('shake_cold', ('plain_student',)),
    'shake_cached/baseline': ('shake_cached', ('baseline',)),
    'shake_cached/plain_kd': ('shake_cached', ('plain_kd',)),
    'shake_cached/mmrazor_kd': ('shake_cached', ('mmrazor_kd',)),
}

Step = Callable[[], Any]
Size = int | tuple[int, int]


def build_steps(
    student: Any,
    teacher: Any,
    methods: Sequence[str] | None,
    batch_size: int,
    image_size: Size,
    device: str,
    mmrazor: bool = False,
    cache: str | None = None,
    lean: bool = False,
) -> dict[str, Step]:
    """Build the contestants; each has networks and an optimizer of its own, all students start from the same weights.

    Args:
        student (str | dict): The student's config, see :meth:`MemberSpec.parse`.
        teacher (str | dict): The teacher's config. Its weights are random: they do not change the time.
        methods (sequence of str, optional): Keys of ``METHODS``. Defaults to the task's own choice.
        batch_size (int): Images a batch.
        image_size (int | tuple[int, int]): Height and width.
        device (str): Device of torch.
        mmrazor (bool): Whether mmrazor's KD takes part. Defaults to False.
        cache (str, optional): Folder for a cache of CIFAR's size (1.62 GB for 100 classes), from which KD and SHAKE
            are timed too.
        lean (bool): Whether SHAKE takes part with a fused optimizer, and with student and teacher compiled. Defaults to
            False.

    Returns:
        dict[str, Callable]: One training step (for ``teacher``: one forward pass) by key of ``ROWS``.
    """
    from . import rivals

    torch.manual_seed(0)
    spec = MemberSpec.parse('student', student)
    with quiet():
        networks = [initialized(s.build()) for s in (spec, MemberSpec.parse('teacher', teacher))]
        plain = DetectionLoops if isinstance(task_of(networks[0]), DetectionTask) else ClassificationLoops
        size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        data = plain.batch(networks[0], batch_size, size)
        steps = plain.steps(*networks, data, device)

        def ours(name: str, teacher: Any, **settings: Any) -> nn.Module:
            model = METHODS[name](student=copy.deepcopy(spec.config), teachers=[teacher], **settings)
            model.student.load_state_dict(networks[0].state_dict())
            return model.to(device).train()

        for name in plain.methods if methods is None else methods:
            steps[name] = train_step(ours(name, copy.deepcopy(networks[1])), data)
        if lean:
            compiled = dict(config=copy.deepcopy(networks[1]), inference=dict(compile=True))
            steps['shake_fused'] = train_step(ours('shake', copy.deepcopy(networks[1])), data, fused=True)
            steps['shake_compiled'] = train_step(ours('shake', compiled, compile=True), data)
        if mmrazor:
            steps['mmrazor_kd'] = rivals.mmrazor_step(*networks, data, device)
        if cache is not None:
            filled = rivals.filled_cache(cache, networks[1].head.num_classes)
            for row, method in (('kd_cached', 'kd'), ('shake_cached', 'shake'), ('shake_cold', 'shake')):
                own = (networks[0], spec.config, networks[1], data, device, filled)
                steps[row] = rivals.CachedStep(method, *own, cold=row == 'shake_cold')
    return steps


class ClassificationLoops:
    """The loops that one would write for classifiers without shake_mm.

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
        self.images, self.tau = data['inputs'].to(device), tau
        self.labels = torch.cat([sample.gt_label for sample in data['data_samples']]).to(device)
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
        """The plain rows; the two that train share nothing."""
        plain, kd = cls(*args), cls(*args)
        return {'plain_student': plain.student_step, 'teacher': plain.teacher_forward, 'plain_kd': kd.kd_step}

    def student_step(self) -> None:
        """Train the student on its labels."""
        self._update(F.cross_entropy(self.student(self._normalized(), mode='tensor'), self.labels))

    @torch.no_grad()
    def teacher_forward(self) -> Tensor:
        """Run the teacher."""
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

    def _normalized(self) -> Tensor:
        return (self.images.float() - self.mean) / self.std

    def _update(self, loss: Tensor) -> None:
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


class DetectionLoops:
    """What a detector's step is made of: mmdet's own training, the teacher's pass, the shadow's work.

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
        samples = []
        for _ in range(number):
            boxes = torch.rand(int(torch.randint(1, 7, ())), 4)
            extent = torch.tensor([size[1], size[0]])
            sides = (0.125 + 0.375 * boxes[:, 2:]) * extent
            corner = boxes[:, :2] * (extent - sides)
            labels = torch.randint(task_of(network).num_classes(network), (len(boxes),))
            meta = {'img_shape': size, 'ori_shape': size, 'scale_factor': (1.0, 1.0)}
            instances = InstanceData(bboxes=torch.cat([corner, corner + sides], dim=1), labels=labels)
            samples.append(DetDataSample(metainfo=meta, gt_instances=instances, ignored_instances=_no_boxes()))
        images = torch.randint(256, (number, 3, *size), dtype=torch.uint8)
        return {'inputs': list(images), 'data_samples': samples}

    @classmethod
    def steps(cls, student: nn.Module, teacher: nn.Module, data: dict, device: str) -> dict[str, Step]:
        """The plain rows."""
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


def train_step(model: nn.Module, data: dict[str, Any], **optimizer: Any) -> Step:
    """What mmengine's loop calls."""
    wrapper = OptimWrapper(make_optimizer(model, **optimizer))
    return lambda: model.train_step(data, wrapper)


def make_optimizer(model: nn.Module, **options: Any) -> torch.optim.SGD:
    """SGD as the CRD benchmark's, with a low rate: the batch is noise, and the rate does not change the time."""
    return torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4, **options)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the initialization of every parameter, which mmengine tells."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')
    try:
        yield
    finally:
        logger.setLevel(level)


def initialized(network: nn.Module) -> nn.Module:
    """Random weights as mmengine draws them, without asking for files of trained ones."""
    for module in network.modules():
        if 'Pretrained' in str(getattr(module, 'init_cfg', None)):
            module.init_cfg = None
    network.init_weights()
    return network


def _no_boxes() -> InstanceData:
    return InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
