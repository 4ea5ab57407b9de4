# What every distillation run needs beside the student's own config.
custom_hooks = [
    # Accuracies of all members and the gaps between them, in the run's own validation.
    dict(type='shake_mm.MemberEvalHook'),
    # Stages of multi-stage methods.
    dict(type='shake_mm.StageHook'),
    # Logits of teachers with a `cache`.
    dict(type='shake_mm.TeacherCacheHook'),
    # NaN and Inf stop the run before they are applied.
    dict(type='shake_mm.FiniteGuardHook'),
    # Shares of the terms in the gradient, in one step of every epoch, and a warning where one works against the task.
    dict(type='shake_mm.GradientShareHook'),
]
