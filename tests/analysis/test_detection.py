from analysis.collect import AP, AP50, collect
from analysis.detection import report
from analysis.plots.seeds import draw_seeds
from analysis.tables import arrange

PAGE = """\
# Title

AP and AP50 as COCO defines them, in points, on digit-scenes, last epoch, 2 epochs; mean ± sample standard deviation \
over the seeds (0, 1).

What it says.

## retinanet-big → retinanet-small

| method   |         AP |       AP50 | gain in AP | paper: AP | paper: gain | time / KD | seeds |
|----------|-----------:|-----------:|-----------:|----------:|------------:|----------:|------:|
| teacher  |       64.1 |       80.0 |          – |     40.40 |           – |         – |     1 |
| baseline | 40.0 ± 1.4 | 50.0 ± 0.0 |          – |     36.15 |           – |      0.50 |     2 |
| kd       | 45.0 ± 1.4 | 60.0 ± 0.0 |       +5.0 |     36.76 |       +0.61 |      1.00 |     2 |
| shake    | 45.5 ± 1.4 | 60.0 ± 0.0 |       +5.5 |     37.35 |       +1.20 |      1.50 |     2 |

- AP: kd − baseline = +5.00 points, which exceeds the spread between seeds (pooled standard deviation 1.41, 2 seeds \
each).
- AP: shake − baseline = +5.50 points, which exceeds the spread between seeds (pooled standard deviation 1.41, 2 seeds \
each).
- AP: shake − kd = +0.50 points, which does not exceed the spread between seeds (pooled standard deviation 1.41, 2 \
seeds each).
- AP50: kd − baseline = +10.00 points, which exceeds the spread between seeds (pooled standard deviation 0.00, 2 seeds \
each).
- AP50: shake − baseline = +10.00 points, which exceeds the spread between seeds (pooled standard deviation 0.00, 2 \
seeds each).
- AP50: shake − kd = +0.00 points, which does not exceed the spread between seeds (pooled standard deviation 0.00, 2 \
seeds each).

The paper's figures are of its Table 4, ResNet-101 → ResNet-50 on COCO: other data and networks, of which at most the \
order of the methods is comparable. It reports no AP50 and no spread.

- how it was made
- time / KD: median of the logged times of an iteration, with loading of data, over that of KD. Runs side by side \
disturb each other, so read it as a rough figure.

Left out:

- later: the last logged validation is of epoch 1, expected 2: is the run finished?
"""


def log_pair(log_run, detector):
    pair = f'{detector}-big_{detector}-small'
    alone = {'metric': AP, 'distilled': False, AP50: 0.8}
    log_run(f'{detector}-t', f'{detector}_big_digit-scenes', [0.3, 0.641], **alone)
    runs = {'kd': (0.44, 0.46, 0.6, 0.2), 'shake': (0.445, 0.465, 0.6, 0.3), 'baseline': (0.39, 0.41, 0.5, 0.1)}
    for method, (*aps, ap50, seconds) in runs.items():
        distilled = method != 'baseline'
        name = f'{method}_{pair}_digit-scenes' if distilled else f'{detector}_small_digit-scenes'
        for seed, ap in enumerate(aps):
            row = {'metric': AP, 'times': [seconds], 'distilled': distilled, 'seed': seed, AP50: ap50}
            log_run(f'{detector}-{method}{seed}', name, [0.1, ap], **row)


def test_a_page(log_run, tmp_path):
    log_pair(log_run, 'retinanet')
    log_run('later', 'kd_retinanet-big_retinanet-small_digit-scenes', [0.1], epochs=2, seed=2, metric=AP)
    found = collect(tmp_path, metric=AP)
    page = report(arrange(found.records), found, 'Title', intro=['What it says.'], how=['how it was made'])
    assert page == PAGE


def test_a_detector_that_the_paper_has_not(log_run, tmp_path):
    log_pair(log_run, 'fcos')
    found = collect(tmp_path, metric=AP)
    page = report(arrange(found.records), found, 'Title')
    assert '## fcos-big → fcos-small' in page and 'paper' not in page


def test_the_image(log_run, tmp_path):
    """A panel for each pair and metric; the methods need not be the same everywhere."""
    log_pair(log_run, 'retinanet')
    log_pair(log_run, 'faster-rcnn')
    log_run('crd', 'crd_retinanet-big_retinanet-small_digit-scenes', [0.5], metric=AP, **{AP50: 0.7})
    tables = arrange(collect(tmp_path, metric=AP).records)
    assert [table.pair.partition('-big')[0] for table in tables] == ['faster-rcnn', 'retinanet']
    draw_seeds(tables, tmp_path / 'a.png', 'title')
    assert (tmp_path / 'a.png').read_bytes().startswith(b'\x89PNG')
