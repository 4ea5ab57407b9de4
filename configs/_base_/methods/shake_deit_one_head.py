# SHAKE on DeiT with several teachers: there is one distillation token, so that it learns from the mean of them, and
# exchanges with the class head once.
_base_ = './shake_deit.py'

method = dict(
    proxies=[dict(type='ShadowToken')],
    terms=dict(
        student_from_proxy=dict(to='proxy0.logits', reference=None),
        proxy_from_teacher=dict(of='proxy0.logits', weighting='mean'),
        proxy_from_student=dict(of='proxy0.logits', reference=None),
    ),
)

terms = method['terms']  # as in its base, by its former name
