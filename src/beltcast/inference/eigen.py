"""Eigenvectors with a fixed sign and order.

An eigenvector is defined up to its sign, and LAPACK returns whichever sign the kernels of the
processor lead to.  Draws along such a vector would then differ from machine to machine with the
same seed, so everything that this package takes from `numpy.linalg.eigh` comes from here.
A tie, two equal eigenvalues, leaves the vectors undefined within their plane, and no convention of
sign resolves that.
"""

from __future__ import annotations

import numpy as np

from beltcast.engine.nodes import FloatArray


def eigenpairs(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the eigenvalues and eigenvectors of a symmetric matrix, the largest value first.

    In each vector the first component that is at least half as large as the largest one, in
    magnitude, is positive.  (The sign of the largest component would be undefined for vectors
    such as (1, -1), in which two are equally large.)

    Parameters
    ----------
    matrix : (n, n)

    Returns
    -------
    values : (n,)
        Descending.
    vectors : (n, n)
        One per column, of unit length.

    Examples
    --------
    >>> import numpy as np
    >>> values, vectors = eigenpairs(np.array([[2.0, -1.0], [-1.0, 2.0]]))
    >>> values.round(6).tolist(), vectors.round(3).tolist()
    ([3.0, 1.0], [[0.707, 0.707], [-0.707, 0.707]])
    """
    values, vectors = np.linalg.eigh(matrix)
    values, vectors = values[::-1], vectors[:, ::-1]
    size = np.abs(vectors)
    deciding = np.argmax(size >= 0.5 * size.max(axis=0, initial=0.0), axis=0)
    signs = np.sign(vectors[deciding, np.arange(len(values))])
    return values, vectors * signs
