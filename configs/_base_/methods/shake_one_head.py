# A single shadow head for all teachers (the supplement's Table 5, "one head"): it learns from the mean of them, and
# exchanges with the student once.
method = dict(
    type='shake_mm.SHAKE',
    setting='paper',
    proxies=[dict(type='ShadowHead')],
    terms=dict(
        student_from_proxy=dict(to='proxy0.logits', reference=None),
        proxy_from_teacher=dict(of='proxy0.logits', weighting='mean'),
        proxy_from_student=dict(of='proxy0.logits', reference=None),
    ),
)

terms = method['terms']  # its former name
