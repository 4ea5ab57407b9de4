import pytest

from shake_mm.cli import test
from shake_mm.errors import UsageError


@pytest.fixture
def merge(config, tmp_path):
    """Merge command line options into the config as the tool does."""
    checkpoint = tmp_path / 'epoch_1.pth'
    checkpoint.touch()

    def merge(*options: str):
        args = test.parse_args([str(config), str(checkpoint), *options])
        cfg = test.common.load_config(args.config, args.cfg_options)
        test.merge_args(cfg, args)
        return cfg

    return merge


def test_defaults(merge, tmp_path):
    cfg = merge()
    assert cfg.load_from == str(tmp_path / 'epoch_1.pth')
    assert 'collate_fn' not in cfg.test_dataloader
    cfg = merge('--cfg-options', 'default_scope=mmpretrain')
    assert cfg.test_dataloader.collate_fn == dict(type='default_collate')


def test_amp_and_pin_memory(merge):
    cfg = merge('--amp', '--no-pin-memory')
    assert cfg.test_cfg.fp16 and not cfg.test_dataloader.pin_memory


def test_visualization_of_both_tasks(merge):
    hook = merge('--show-dir', 'out', '--interval', '3').default_hooks.visualization
    assert hook.enable and hook.out_dir == 'out' and hook.interval == 3 and not hook.show
    hook = merge('--show', '--cfg-options', 'default_hooks.visualization.type=DetVisualizationHook')
    assert hook.default_hooks.visualization.draw and hook.default_hooks.visualization.show


def test_tta(merge):
    cfg = merge('--tta', '--cfg-options', 'tta_model.type=Average', 'tta_pipeline=[]')
    assert cfg.model.type == 'Average' and cfg.model.module.type == 'mmpretrain.ImageClassifier'
    assert cfg.test_dataloader.dataset.pipeline == []
    with pytest.raises(UsageError, match='add tta_pipeline'):
        merge('--tta')
    with pytest.raises(UsageError, match='leave out one'):
        merge('--tta', '--member', 'teacher0')


@pytest.mark.parametrize(
    ('options', 'part'),
    [
        (['missing.pth'], 'missing.pth does not exist'),
        (['missing.pth', '--out', 'out.json'], 'must end in .pkl'),
        (['missing.pth', '--cfg-options', 'test_evaluator=None'], 'has no test_evaluator'),
    ],
)
def test_errors_are_one_sentence(config, capsys, options, part):
    assert test.main([str(config), *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith('error: ') and error.count('\n') == 1 and part in error
