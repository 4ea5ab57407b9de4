# SHAKE with several teachers and one shadow head, which follows the mean of them (Table 5).
terms = dict(
    student_from_proxy=dict(to='proxy0.logits', reference=None),
    proxy_from_teacher=dict(of='proxy0.logits', weighting='mean'),
    proxy_from_student=dict(of='proxy0.logits', reference=None),
)
