# SHAKE with a dense detector's shadow that predicts, behind the student's tower, where the teacher is surest alone.
_base_ = './shake.py'

method = dict(proxies=dict(type='SparseShadow'))
