_base_ = ['../_base_/pairs/resnet14_shufflev2_digits100.py', '../_base_/methods/ft.py']
model = dict(
    _delete_=True,
    type='shake_mm.Distiller',
    student=_base_.model,
    teachers=_base_.teachers,
    connectors=_base_.connectors,
    terms=_base_.terms,
    stages=[
        dict(until=_base_.with_init.until, terms=['paraphrase'], train=['connectors', 'terms.paraphrase']),
        dict(terms=['task', 'ft'], train=['student', 'terms.ft'], reset_optimizer=True),
    ],
)
train_cfg = _base_.with_init.train_cfg
param_scheduler = _base_.with_init.slow_param_scheduler
