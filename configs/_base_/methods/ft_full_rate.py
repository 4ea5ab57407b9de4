# The paraphraser learns at the run's own rate, as the benchmark has it for VGG students, and where that is 0.01 anyway.
_base_ = './ft.py'

method = dict(stages=dict(paraphrase=dict(lr_factor=1.0)))
