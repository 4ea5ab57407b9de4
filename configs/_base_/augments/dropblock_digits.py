# Images of 16x16 have maps of 8x8 and 4x4 in the last two stages: smaller blocks.
_base_ = './dropblock.py'

drop_block = dict(block_size=3)
