# CrossKD on the GFL family, whose heads predict distributions of the sides of boxes: their divergence too, and both by
# the sum of the weights. Factors are the authors'.
_base_ = './crosskd.py'

method = dict(
    terms=dict(
        cross_box=dict(loss=dict(normalize='weights'), weight=2.0),
        cross_sides=dict(
            of='connectors.cross[2]',
            to='teacher0.sides',
            reference='teacher0.logits',
            loss=dict(type='LocalizationDistillationLoss', tau=1.0, region='all', mean_of_bins=False),
            weight=3.0,
        ),
    ),
)
