"""What the engine asks of a task."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar

from torch import Tensor, nn

from ..errors import UsageError
from ..taps import Alias, Taps
from .answers import Answers


class Task(Answers):
    """How the engine talks to a family of networks. Every method gets the network that it is about, and keeps nothing.

    A pass without labels is :meth:`forward_trunk`, then :meth:`forward_head` of what waits for the student's pass.
    """

    model_types: ClassVar[tuple[type, ...]] = ()
    """Base classes by which a student is recognized."""

    model_names: ClassVar[tuple[str, ...]] = ()
    """Their names with those of their packages, such as ``'mmseg.EncoderDecoder'``, where a package is not imported."""

    measured_by: ClassVar[str] = 'logits'
    """By what the evaluation compares members: ``'logits'``, see :meth:`attach_logits`, ``'predictions'``, see
    :meth:`attach_predictions`, or ``'metrics'``, the run's own, of each member's predictions."""

    member_metric: ClassVar[str] = 'shake_mm.MemberMetric'
    """The metric that does."""

    shadow_source: ClassVar[str] = 'student.feats'
    """The tap that a shadow branch of the student reads by default."""

    logits_defaults: ClassVar[Mapping[str, Any]] = {'tau': 4.0}
    """Arguments of :meth:`logits_loss` that a config leaves out: what was measured to help, of most networks."""

    trunk: ClassVar[tuple[str, ...]] = ('',)
    """Prefixes of the layers that :meth:`forward_trunk` runs; the others belong to :meth:`forward_head`."""

    logit_outputs: ClassVar[tuple[str, ...]] = ()
    """Prefixes of the taps for which :meth:`forward_head` suffices as :meth:`logits_only` shortens it."""

    guides: ClassVar[tuple[str, ...]] = ()
    """Taps of the student that :meth:`forward_head` reads."""

    input_size: int | tuple[int, ...] = 32
    """Height and width of the images of a dry run where nothing else tells."""

    channels: int | None = None
    """Channels of the images of a dry run, where the network itself does not tell by its first convolution."""

    takes_images: ClassVar[bool] = True
    """Whether a batch is known to be images and their samples, so that it can be checked before a run."""

    noted: ClassVar[tuple[str, ...]] = ()
    """Facts of a batch that :meth:`noting` takes from the student's own loss."""

    pads: ClassVar[bool] = False
    """Whether images of several sizes are padded to one, so that a view must leave the padding as it is."""

    def aliases(self, network: nn.Module) -> dict[str, Alias]:
        """Short tap names of a network, e.g. ``{'logits': 'head', 'f1': 'backbone.layer1'}``."""
        raise NotImplementedError

    def repeated(self, network: nn.Module) -> tuple[str, ...]:
        """Prefixes of the layers that may run several times in a pass, of which the last time counts."""
        return ()

    def num_classes(self, network: nn.Module) -> int | None:
        """Number of classes, or None if the network does not tell."""
        raise NotImplementedError

    def image_size(self, network: nn.Module) -> int | Sequence[int] | None:
        """Height and width, or one of both, of the images that a network was made for; None if it takes any."""
        return getattr(getattr(network, 'backbone', None), 'img_size', None)

    def trunk_end(self, network: nn.Module) -> str:
        """The layer whose output all that is behind the trunk reads (or ``LAYER:input``); empty if it is not known."""
        return next((name for name in ('neck', 'backbone') if isinstance(getattr(network, name, None), nn.Module)), '')

    def check_shadow(self, network: nn.Module, name: str) -> None:
        """Refuse a student in which the place that a shadow, of this name, reads by default is not known."""

    def logit_channels(self, network: nn.Module, name: str) -> int | None:
        """How many logits of a teacher belong together, to choose classes of by name: perhaps more than its classes.

        Raises:
            UsageError: If other outputs are bound to its classes.
        """
        return self.num_classes(network)

    def check_teacher(
        self, student: nn.Module, teacher: nn.Module, name: str, *, resized: bool = False, trained: bool = False
    ) -> None:
        """Refuse a teacher that cannot be this student's.

        Args:
            student (nn.Module): The student.
            teacher (nn.Module): The teacher.
            name (str): The teacher's name, for errors.
            resized (bool): Whether it is to see images of another size.
            trained (bool): Whether it trains along.

        Raises:
            UsageError: Naming what the two disagree about.
        """

    def check_logits(self, student: nn.Module, others: Mapping[str, nn.Module]) -> None:
        """Refuse networks whose logits cannot be told apart or do not belong together.

        Args:
            student (nn.Module): The student.
            others (dict): The members whose logits a term compares, by name.

        Raises:
            UsageError: With the reason.
        """

    def check_scores(self, network: nn.Module, name: str, learns: bool) -> None:
        """Refuse a network of which the tap ``logits`` does not hold what it predicts by.

        Args:
            network (nn.Module): A member whose logits a term compares.
            name (str): Its name, for errors.
            learns (bool): Whether it is trained.

        Raises:
            UsageError: With the reason.
        """

    def compares_members(self, network: nn.Module) -> bool:
        """Whether :meth:`attach_logits` and the member metric know the logits of such networks."""
        return False

    # ------------------------------------------------------------------------------------------------ passes

    def loss(self, network: nn.Module, inputs: Tensor, data_samples: list | None) -> dict[str, Tensor]:
        """One pass with labels; returns the network's own losses."""
        return network(inputs, data_samples, mode='loss')

    def forward_trunk(self, network: nn.Module, inputs: Tensor) -> Any:
        """One pass without labels and losses, as far as it does not depend on the student's."""
        raise NotImplementedError

    def forward_view(self, network: nn.Module, inputs: Tensor, samples: list | None) -> Any:
        """As :meth:`forward_trunk`, for networks that look at the samples too (at the padding of images)."""
        return self.forward_trunk(network, inputs)

    def forward_head(self, network: nn.Module, passed: Any, taps: Taps) -> None:
        """The rest of the pass.

        Args:
            network (nn.Module): The network.
            passed (Any): What :meth:`forward_trunk` returned.
            taps (Taps): The student's are recorded.
        """

    def forward(self, network: nn.Module, inputs: Tensor, taps: Taps) -> None:
        """The whole pass without labels, for what the taps record of it."""
        self.forward_head(network, self.forward_trunk(network, inputs), taps)

    def logits_only(self, network: nn.Module) -> AbstractContextManager:
        """A context in which :meth:`forward_head` computes the logits and nothing else."""
        return nullcontext()

    def heavy_layers(self, network: nn.Module) -> list[nn.Module]:
        """The parts where a pass spends its time, in its order: tensors in, tensors out."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------ logits

    def heads(self, network: nn.Module) -> list[nn.Module]:
        """The layers that make the logits, in the order of a proxy's logits."""
        raise NotImplementedError

    def build_branch(self, network: nn.Module, config: dict | None) -> dict | nn.Module:
        """A classification branch of the architecture of the student's own, newly initialized, or its config."""
        raise NotImplementedError

    def classifier(self, network: nn.Module, name: str) -> nn.Module:
        """What classifies a network's pooled features, (N, C) to (N, K), with its ``in_channels``.

        Raises:
            UsageError: If there is none.
        """
        raise UsageError(f'{name}: a {type(network).__name__} does not classify pooled features: use another proxy.')

    def behind(self, network: nn.Module, paths: Sequence[str], name: str) -> nn.Module:
        """What a network computes behind some of its taps, by its own weights, which it does not own.

        Args:
            network (nn.Module): The network.
            paths (Sequence[str]): Names of taps, without the member's.
            name (str): The member's, for errors.

        Raises:
            UsageError: If it does not go on behind them.
        """
        raise UsageError(f'{name}: how a {type(network).__name__} goes on behind {", ".join(paths)} is not known.')

    def defaults_of(self, network: nn.Module) -> Mapping[str, Any]:
        """Arguments of :meth:`logits_loss` that a method's config leaves out, of a student.

        Args:
            network (nn.Module): The student.
        """
        return self.logits_defaults

    def logits_loss(self, network: nn.Module, config: dict) -> dict:
        """Config of the loss that compares the logits of such networks.

        Args:
            network (nn.Module): The student.
            config (dict): Arguments of the loss, such as ``tau``.
        """
        raise NotImplementedError

    def logits_of(self, network: nn.Module, output: Any) -> Any:
        """The logits in what a network's plain forward pass returns."""
        return output

    def replaced(self, head: nn.Module, output: Any, logits: Tensor) -> Any:
        """What one of the :meth:`heads` would return had it these logits."""
        return (logits, *output[1:]) if isinstance(output, tuple) else logits

    def proxy_logits(self, proxy: nn.Module, taps: Taps, stage: int) -> Tensor:
        """A proxy's logits for one of the :meth:`heads`, whose inputs alone need be recorded yet."""
        return proxy(taps.read(proxy.source))

    @contextmanager
    def answering(self, network: nn.Module, proxy: nn.Module, taps: Taps) -> Iterator[None]:
        """While it is entered, the heads of a network give a proxy's logits; all else stays the network's."""
        handles = [
            head.register_forward_hook(
                lambda head, args, output, stage=stage: self.replaced(
                    head, output, self.proxy_logits(proxy, taps, stage)
                )
            )
            for stage, head in enumerate(self.heads(network))
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    # ------------------------------------------------------------------------------------------------ batches

    def batch_field(self, samples: Sequence[Any], name: str) -> Any:
        """A fact of the batch that a loss asks for, e.g. ``gt_labels`` of shape (N,).

        Raises:
            UsageError: If the samples do not have it.
        """
        raise NotImplementedError

    def guides_of(self, read: Sequence[str]) -> tuple[str, ...]:
        """Taps of the student that :meth:`forward_head` reads so that others make these taps."""
        return self.guides

    def noting(self, network: nn.Module, names: Collection[str]) -> AbstractContextManager[dict[str, Any]]:
        """A context in which the student's own loss runs, and facts of the batch that it makes are noted.

        Args:
            network (nn.Module): The student.
            names (collection of str): The facts that losses ask for, of :attr:`noted`.

        Returns:
            AbstractContextManager: Enters as the dict of the facts, which is filled at its end.
        """
        return nullcontext({})

    def check_facts(self, network: nn.Module, names: Collection[str]) -> None:
        """Refuse a student whose own loss does not make facts that a loss asks for.

        Raises:
            UsageError: With the reason.
        """

    def check_samples(self, network: nn.Module, samples: Sequence[Any]) -> None:
        """Refuse samples whose labels the network's own loss does not take.

        Args:
            network (nn.Module): The student.
            samples (list): The preprocessed samples of a batch.

        Raises:
            UsageError: With the reason.
        """

    def attach_logits(self, network: nn.Module, samples: Sequence[Any], logits: Mapping[str, Tensor]) -> None:
        """Put every member's logits, by member and of shape (N, K), into the student's evaluated samples."""
        raise NotImplementedError

    def attach_predictions(self, samples: Sequence[Any], others: Mapping[str, Sequence[Any]]) -> None:
        """Put what every other member predicts, by member, into the student's evaluated samples."""
        raise NotImplementedError
