# DropBlock (Ghiasi et al., 2018) in the student's last two stages, with its paper's block of 7x7 and a probability that
# rises to 0.1 over the training.
drop_block = dict(type='shake_mm.DropBlockHook', drop_prob=0.1, block_size=7)
