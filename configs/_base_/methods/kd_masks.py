# KD of detectors with masks: beside the classes of the boxes, the masks of those that the student's own loss takes.
method = dict(
    type='shake_mm.KD',
    terms=dict(
        masks=dict(of='student.masks', to='teacher*.masks', loss=dict(type='MaskKLLoss', tau=1.0)),
    ),
)
