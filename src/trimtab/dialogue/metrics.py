def auc(a, b):
    import numpy as np

    a = np.array(a)
    b = np.array(b)
    p = a[b == 1]
    n = a[b == 0]
    return float(((p[:, None] > n[None]) + 0.5 * (p[:, None] == n[None])).mean())
