"""The least norm of a weighted sum by another solver."""

import numpy as np
from scipy.optimize import minimize


def reference(gram, cap):
    """SLSQP from the middle and from every corner that the cap leaves."""
    gram = gram / np.trace(gram)
    n = len(gram)
    starts = [np.full(n, 1 / n)] + [np.roll([cap, 1 - cap] + [0] * (n - 2), i) for i in range(n)]
    found = [
        minimize(
            lambda w: w @ gram @ w,
            start,
            jac=lambda w: 2 * gram @ w,
            bounds=[(0, cap)] * n,
            constraints=[dict(type='eq', fun=lambda w: w.sum() - 1, jac=np.ones_like)],
            method='SLSQP',
            options=dict(ftol=1e-16, maxiter=300),
        )
        for start in starts
    ]
    return min(found, key=lambda result: result.fun).x
