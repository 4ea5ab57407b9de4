# S-BN on the first 50 % of the channels.
_base_ = './shake_sbn.py'

method = dict(proxies=dict(width=0.5))
