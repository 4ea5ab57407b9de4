"""Evidence: which method and which settings help, paired by seed, on real pictures.

:mod:`.studies` says what is asked and with which rows, :mod:`.train` trains what is missing within a budget of time and
keeps a small record of each run, :mod:`.pages` makes the pages from the records alone.
"""
