# Logit standardization (CVPR 2024): KD on logits of mean 0 and spread 1, at half the usual temperature and ten times
# the weight, as its authors train it on the CRD benchmark.
method = dict(
    type='shake_mm.KD',
    alpha=0.1,
    lam=9.0,
    tau=2.0,
    terms=dict(
        student_from_teacher=dict(
            connector=dict(type='LogitNorm', scale=1.0, unbiased=True),
            to_connector=dict(type='LogitNorm', scale=1.0, unbiased=True),
        ),
    ),
)
