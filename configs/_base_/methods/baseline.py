# The student alone, run by the same engine, so that its gap to the teacher is reported too.
method = dict(type='shake_mm.Baseline')
