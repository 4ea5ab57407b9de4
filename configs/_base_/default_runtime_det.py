# The runtime of plain mmdet configs: mmpretrain's, in mmdet's scope and with its visualizer.
_base_ = './default_runtime.py'

default_scope = 'mmdet'
visualizer = dict(type='DetLocalVisualizer')
