# The runtime of plain mmsegmentation configs: mmpretrain's, in mmsegmentation's scope and with its visualizer.
_base_ = './default_runtime.py'

default_scope = 'mmseg'
visualizer = dict(type='SegLocalVisualizer')
