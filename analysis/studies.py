"""The paper's studies of SHAKE's variants: rows, columns, and the paper's figures beside ours.

Tables are the supplement's; ``exchange`` is Table 5 of the main paper.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from scipy.stats import spearmanr

from analysis import paper
from analysis.collect import ACCURACY
from analysis.markdown import EMPTY, markdown_table
from analysis.tables import PairTable, Row

Figures = Mapping[str, float | None]


class Study(NamedTuple):
    """One table of the paper.

    Args:
        title (str): Its title.
        rows (dict[str, str]): What stands in the first column, by method as in the names of configs.
        ours (dict[str, tuple[str, ...]]): By title of a column, the metrics of which the first that a row has stands
            there; ``'time'`` is the time of a training over KD's.
        paper (dict[str, dict[str, float]]): By title of a column, the paper's figures by method.
        top1 (tuple[str, ...]): Of those, the columns that hold the student's accuracy.
        source (str): The pair that the paper's figures are of, where the columns do not name the student.
    """

    title: str
    rows: dict[str, str]
    ours: dict[str, tuple[str, ...]]
    paper: dict[str, Figures]
    top1: tuple[str, ...]
    source: str = ''


STUDENT = {'S %': (ACCURACY,)}
PROXY = {"T' %": ('proxy/top1',)}
GAPS = {'gap/teacher': ('gap/teacher',), 'gap/proxy': ('gap/proxy',)}
TIME = {'time / KD': ('time',)}
FORMS = {
    'baseline': 'student alone',
    'kd': 'KD',
    'dml': 'DML',
    'dml-dagger': 'DML†',
    'kd-dagger': 'KD†',
    'kd-dagger-head': 'KD† (head)',
    'kd-dagger-60': 'KD† (a quarter of the epochs)',
    'shake-alone': 'SHAKE, alone',
    'shake': 'SHAKE, share',
}


def studies(pair: str = '') -> dict[str, Study]:
    """All studies, by the name under which they are asked for.

    Args:
        pair (str): Teacher and student, as in the names of configs, beside whose runs the paper's figures shall stand.
            Where the paper has none of this pair, they are those of a pair that it has, which the study names.
    """
    return {
        'table1': _table1(pair),
        'table2': _table2(),
        'table3': _table3(),
        'exchange': _exchange(pair),
        'table5': _table5(),
        'table6': _table6(),
    }


def render(study: Study, table: PairTable, times: Mapping[str, float]) -> list[str]:
    """Render the study's table and a sentence on the order of its rows, as Markdown.

    Args:
        study (Study): From :func:`studies`.
        table (PairTable): Our runs on one pair.
        times (dict[str, float]): Time of a training over KD's, by method.
    """
    rows = {name: label for name, label in study.rows.items() if name in table.rows or _in_paper(study, name)}
    columns: dict[str, Callable[[str], str | None]] = {
        title: lambda name, keys=keys: _ours(name, table.rows.get(name), keys, times)
        for title, keys in study.ours.items()
    }
    columns |= {
        f'paper: {title}': lambda name, figures=figures: _number(figures.get(name))
        for title, figures in study.paper.items()
    }
    columns['seeds'] = lambda name: str(table.rows[name].accuracy.n) if name in table.rows else None
    cells = {title: [cell(name) for name in rows] for title, cell in columns.items()}
    cells = {title: column for title, column in cells.items() if any(column)}
    body = [[label, *(column[i] or EMPTY for column in cells.values())] for i, label in enumerate(rows.values())]
    order = [f'- {_order(title, study.paper[title], table)}' for title in study.top1]
    return [markdown_table(['', *cells], body), _source(study), '\n'.join(order)]


def _source(study: Study) -> str:
    """A sentence on the networks that the paper's figures are of."""
    if not study.source:
        return ''
    return f"The paper's figures are those of {study.source.replace('_', ' → ')} on CIFAR-100."


def missing(study: Study, table: PairTable) -> list[str]:
    """Methods of the study that have not been run."""
    return [name for name in study.rows if name not in table.rows]


def _ours(name: str, row: Row | None, keys: Sequence[str], times: Mapping[str, float]) -> str | None:
    if keys == ('time',):
        return _number(times.get(name))
    key = next((key for key in keys if row is not None and key in row.stats), None)
    return None if key is None else format(row.stats[key], '.3f' if key.startswith('gap') else '.2f')


def _order(title: str, figures: Figures, table: PairTable) -> str:
    """One sentence on whether our order of the accuracies is the paper's."""
    common = [name for name in table.rows if figures.get(name) is not None]
    start = f'Order of the students beside the paper’s ({title})'
    if len(common) < 3:
        return f'{start}: not computed, {len(common)} rows are in both.'
    ours, theirs = [table.rows[name].accuracy.mean for name in common], [figures[name] for name in common]
    best = max(common, key=lambda name: table.rows[name].accuracy.mean), max(common, key=lambda name: figures[name])
    rho = spearmanr(ours, theirs).statistic
    return f'{start}: Spearman ρ = {rho:.2f} over {len(common)} rows; best here {best[0]}, in the paper {best[1]}.'


def _in_paper(study: Study, name: str) -> bool:
    return any(figures.get(name) is not None for figures in study.paper.values())


def _number(value: float | None) -> str | None:
    return None if value is None else f'{value:.2f}'


def _table1(pair: str) -> Study:
    pair = pair if pair in paper.table1() else 'resnet110_resnet20'
    figures = paper.table1()[pair]
    seconds = {name: row['time'] / figures['kd-crd']['time'] for name, row in figures.items()}
    columns = {'S %': 's_top1', "T, T' %": 't_top1', 'gap': 'ts_gap'}
    theirs = {title: _as_forms({name: row[key] for name, row in figures.items()}) for title, key in columns.items()}
    ours = {**TIME, **STUDENT, "T, T' %": ('proxy/top1', 'teacher/top1'), **GAPS}
    return Study(
        'Table 1: cost of training and gap to the teacher',
        FORMS,
        ours,
        {'time / KD': _as_forms(seconds), **theirs},
        ('S %',),
        pair,
    )


def _as_forms(figures: Mapping[str, float]) -> dict[str, float]:
    """Table 1's KD is Eq. 1's here, of which the other rows are forms."""
    return {'kd' if name == 'kd-crd' else name: value for name, value in figures.items()}


def _table2() -> Study:
    rows = {
        'shake': 'KL',
        'shake-ce': 'cross-entropy',
        'shake-l2': 'squared error',
        'shake-gt': 'KL, labels',
        'shake-ce-gt': 'cross-entropy, labels',
        'shake-l2-gt': 'squared error, labels',
    }
    keys = {'kl': 'shake', 'ce': 'shake-ce', 'l2': 'shake-l2', 'kl_with_ground_truth': 'shake-gt'}
    theirs = _columns('supplement', 'table2', keys, ('WRN-16-2', 'VGG-8'))
    return Study(
        'Table 2: how the proxy learns from the teacher', rows, {**STUDENT, **PROXY, **GAPS}, theirs, tuple(theirs)
    )


def _table3() -> Study:
    rows = {
        'shake-alone': 'nothing shared',
        'shake': 'backbone shared',
        'shake-sbn': 'convolutions shared (S-BN)',
        'shake-sbn-w75': '0.75×, S-BN',
        'shake-sbn-w50': '0.5×, S-BN',
    }
    keys = {
        'share_head': 'shake',
        'share_head_bn': 'shake-sbn',
        'share_0.75_head_bn': 'shake-sbn-w75',
        'share_0.5_head_bn': 'shake-sbn-w50',
    }
    theirs = _columns('supplement', 'table3', keys, ('seconds', 'ResNet-20'))
    kd = paper.table1()['resnet110_resnet20']['kd-crd']['time']
    seconds = theirs.pop('seconds')
    theirs = {'time / KD': {name: value / kd for name, value in seconds.items()}, **theirs}
    return Study(
        'Table 3: what the proxy shares with the student',
        rows,
        {**TIME, **STUDENT, **PROXY, **GAPS},
        theirs,
        ('ResNet-20',),
        'resnet110_resnet20',
    )


EXCHANGED = ('wrn-40-2_wrn-16-2', 'vgg13_vgg8')
"""The pairs of the main paper's Table 5, in its order."""


def _exchange(pair: str) -> Study:
    rows = {
        'shake': 'SHAKE',
        'shake-wo-reversed': '(a) without reversed distillation',
        'kd': '(b) without shadow head',
        'shake-stronger': '(c) stronger shadow head',
        'shake-alone': '(d) without shared backbone',
        'shake-wo-teacher': '(e) without pre-trained teacher',
        'shake-gt': '(f) with labels for the proxy',
        'shake-t2s': '(h) with teacher → student',
        'shake-fusion': "the authors' release (fusion)",
    }
    keys = {
        'shake': 'shake',
        'without_reversed_distillation': 'shake-wo-reversed',
        'without_shadow_head': 'kd',
        'stronger_shadow_head': 'shake-stronger',
        'without_shared_backbone': 'shake-alone',
        'without_pretrained_teacher': 'shake-wo-teacher',
        'with_ground_truth_for_proxy': 'shake-gt',
        'with_teacher_to_student': 'shake-t2s',
    }
    pair = pair if pair in EXCHANGED else EXCHANGED[0]
    table = {name: row[EXCHANGED.index(pair)] for name, row in paper.figures()['main']['table5_ablation'].items()}
    columns = {'S %': 0, "T' %": 1, 'ensemble %': 2}
    theirs = {title: {keys[name]: row[i] for name, row in table.items()} for title, i in columns.items()}
    ours = {**STUDENT, **PROXY, 'ensemble %': ('ensemble/top1',), **GAPS}
    return Study('Table 5 of the main paper: what is exchanged', rows, ours, theirs, ('S %',), pair)


def _table5() -> Study:
    rows = {
        'baseline': 'student alone',
        'kd': 'KD, AVER',
        'kd-aekd': 'KD, AEKD',
        'shake-one-head': 'SHAKE, one head',
        'shake': 'SHAKE, multiple heads, AVER',
        'shake-aekd': 'SHAKE, multiple heads, AEKD',
    }
    heads = ('baseline', 'shake-one-head', 'shake')
    names = {'vgg16': 'VGG-16', 'resnet110': 'ResNet-110', 'wrn20_8': 'WRN-20-8'}
    table = paper.figures()['supplement']['table5']
    theirs: dict[str, Figures] = {title: dict(zip(heads, table[key])) for key, title in names.items()}
    two = paper.figures()['main']['table2_cifar100']
    keys = {
        'kd': 'kd_two_teachers_aver',
        'kd-aekd': 'kd_two_teachers_aekd',
        'shake': 'shake_two_teachers_aver',
        'shake-aekd': 'shake_two_teachers_aekd',
    }
    theirs['WRN-16-2, two teachers'] = {name: two[key][0] for name, key in keys.items()}
    return Study('Table 5: several teachers', rows, {**STUDENT, **GAPS}, theirs, tuple(theirs))


def _table6() -> Study:
    rows = {
        'baseline': 'student alone',
        'kd': 'KD',
        'kd-mixup': 'KD, Mixup',
        'kd-cutmix': 'KD, CutMix',
        'shake': 'SHAKE',
        'shake-cutout': 'SHAKE, Cutout',
        'shake-autoaugment': 'SHAKE, AutoAugment',
        'shake-dropblock': 'SHAKE, DropBlock',
        'shake-alpha-div': 'SHAKE, α-divergence',
        'shake-mixup': 'SHAKE, Mixup',
        'shake-cutmix': 'SHAKE, CutMix',
    }
    keys = {
        'baseline': 'baseline',
        'shake': 'shake',
        'shake_cutout': 'shake-cutout',
        'shake_autoaugment': 'shake-autoaugment',
        'shake_dropblock': 'shake-dropblock',
        'shake_alpha_divergence': 'shake-alpha-div',
    }
    theirs = _columns('supplement', 'table6', keys, ('ResNet-32', 'WRN-16-2'))
    mixed = paper.figures()['main']['table2_cifar100']
    theirs['WRN-16-2'] |= {
        name: mixed[name.replace('-', '_')][0] for name in rows if name.endswith(('mixup', 'cutmix'))
    }
    return Study('Table 6: augmentation and divergence', rows, {**STUDENT, **PROXY, **GAPS}, theirs, tuple(theirs))


def _columns(part: str, name: str, keys: Mapping[str, str], titles: Sequence[str]) -> dict[str, dict[str, float]]:
    """A table of the paper whose rows are lists: its columns, by our names of the methods."""
    table = paper.figures()[part][name]
    return {
        title: {keys[key]: row[i] for key, row in table.items() if row[i] is not None} for i, title in enumerate(titles)
    }
