# SHAKE of several teachers: a shadow head each, weighed by their gradients (AEKD).
_base_ = './shake.py'

method = dict(weighting='aekd')
