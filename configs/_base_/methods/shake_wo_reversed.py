# Without reversed distillation: the proxy does not learn from the student.
_base_ = './shake.py'

method = dict(terms=dict(proxy_from_student=None))
