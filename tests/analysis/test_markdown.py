from analysis.collect import collect
from analysis.markdown import markdown_table, report
from analysis.tables import arrange

PAGE = """\
# Title

Top-1 accuracy in % on digits100, last epoch, 2 epochs; mean ± sample standard deviation over the seeds (0, 1).

## a → b

| method   |        top-1 % | paper (vgg13 → vgg8) % |  gain |   gap/teacher | proxy % | time / KD | seeds |
|----------|---------------:|-----------------------:|------:|--------------:|--------:|----------:|------:|
| teacher  |          97.00 |                  74.64 |     – |             – |       – |         – |     – |
| baseline | 80.00 ± 100.00 |                  70.36 |     – | 0.300 ± 0.000 |       – |      0.50 |     2 |
| kd-crd   |          85.50 |                  72.98 | +5.50 |         0.200 |       – |      1.00 |     1 |
| shake    |          86.25 |                  74.99 | +6.25 |         0.125 |   86.50 |      1.10 |     1 |

Rank correlation of the accuracies with the paper's for vgg13_vgg8: not computed, n = 2 distillers are in both.

- how it was made
- time / KD: median of the logged times of an iteration, with loading of data, over that of KD. Runs side by side \
disturb each other, so read it as a rough figure.

Left out:

- later: the last logged validation is of epoch 1, expected 2: is the run finished?
"""


def log_pair(log_run):
    for seed, top1 in enumerate((80 - 50 * 2**0.5, 80 + 50 * 2**0.5)):
        row = {'teacher/top1': 97.0, 'gap/teacher': 0.3}
        log_run(f'b{seed}', 'baseline_a_b_digits100', [1.0, top1], seed=seed, times=[0.1], **row)
    log_run('k', 'kd-crd_a_b_digits100', [1.0, 85.5], times=[0.2], **{'gap/teacher': 0.2})
    log_run('s', 'shake_a_b_digits100', [1.0, 86.25], times=[0.22], **{'gap/teacher': 0.125, 'proxy/top1': 86.5})


def test_a_page(log_run, tmp_path):
    log_pair(log_run)
    log_run('later', 'at_a_b_digits100', [1.0], epochs=2)
    found = collect(tmp_path)
    page = report(arrange(found.records, {'a_b': 'vgg13_vgg8'}), found, 'Title', how=['how it was made'])
    assert page == PAGE


def test_several_pairs_and_the_best_epoch(log_run, tmp_path):
    log_pair(log_run)
    log_run('c', 'kd-crd_a_c_digits100', [60.0, 50.0])
    found = collect(tmp_path, best=True)
    page = report(arrange(found.records, {'a_c': 'vgg13_vgg8'}), found, 'Title', best=True, intro=['![x](x.png)'])
    assert page.startswith(
        '# Title\n\nTop-1 accuracy in % on digits100, best epoch of each run (chosen on the validation set, so too '
        'high), 2 epochs; mean ± sample standard deviation over the seeds (0, 1).\n\n![x](x.png)\n\n## Overview\n\n'
    )
    assert '| method   | a → b |         a → c |\n' in page
    assert '| kd-crd   | 85.50 | 60.00 (72.98) |\n' in page
    assert '| shake    | 86.25 |     – (74.99) |\n' in page
    assert (
        '## a → b\n\n| method ' in page and '## a → c\n\n| method | top-1 % | paper (vgg13 → vgg8) % | seeds |' in page
    )


def test_markdown_table():
    assert markdown_table(['a', 'value'], [['long', '1'], ['b', '±2']]) == (
        '| a    | value |\n|------|------:|\n| long |     1 |\n| b    |    ±2 |'
    )
