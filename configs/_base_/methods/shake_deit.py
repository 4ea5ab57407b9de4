# SHAKE on DeiT: the distillation token is the proxy.
_base_ = './deit.py'

method = dict(type='shake_mm.SHAKE', setting='paper')
