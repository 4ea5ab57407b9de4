# LD: the distributions of the sides of boxes, of the GFL family, softened: of the priors that were assigned to objects,
# weighed by the student's confidence, and of those in the valuable region around them. The factors are those of the
# authors' release: 0.25 of the mean over four sides, and in the valuable region over sixteen.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        ld=dict(
            of='student.sides',
            to='teacher*.sides',
            reference='student.logits',
            loss=dict(type='LocalizationDistillationLoss', tau=10.0),
            weight=0.25,
        ),
        ld_valuable=dict(
            of='student.sides',
            to='teacher*.sides',
            loss=dict(type='ValuableLocalizationLoss', tau=10.0),
            weight=0.0625,
        ),
    ),
)
