# S-BN on the first 75 % of the channels.
_base_ = './shake_sbn.py'

method = dict(proxies=dict(width=0.75))
