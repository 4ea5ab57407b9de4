# LD with the classes: softened by a softmax, of the priors that were assigned to objects, level by level. The weight
# and the temperature are those of the authors' release for ResNet-50.
_base_ = './ld.py'

method = dict(
    terms=dict(
        ld_cls=dict(
            of='student.logits',
            to='teacher*.logits',
            loss=dict(type='PositivePriorLoss', tau=2.0, normalize='levels'),
            weight=10.0,
        ),
    ),
)
