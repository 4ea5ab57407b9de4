# The paraphraser takes 3 epochs, beside twenty.
_base_ = './ft.py'

method = dict(stages=dict(paraphrase=dict(until=3)))
