# CrossKD on ATSS: beside classes and boxes the centerness, at the priors that were assigned to objects.
_base_ = './crosskd.py'

method = dict(
    terms=dict(
        cross_center=dict(
            of='connectors.cross[3]',
            to='teacher0.bbox_head[2]',
            loss=dict(type='PositivePriorLoss', activation='sigmoid'),
        ),
    ),
)
