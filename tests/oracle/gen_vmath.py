# SPDX-License-Identifier: Apache-2.0
"""Measures the polynomials of reference/ops/kernels/vmath_tmpl.h against minimax fits.

    gen_vmath.py            print errors and fitted coefficients
    gen_vmath.py --check    fail if a fit beats a polynomial by more than 2 %

The coefficients were fitted once, and the numeric contract (ops.h) freezes them: other coefficients, better or not,
would change every logit. This script fits afresh, by Remez exchange in f64 on values from mpmath, and rounds to f32.
For e^r and 2^f it arrives at the coefficients in use but for the last digits of the highest two or three, with the same
error. The weight that log2(2 Q)/t was fitted with is not known. It balances three relative errors; the check is that
no fit with a weight t^a Q^b of a grid is better in all three.
"""

import re
import sys
from pathlib import Path

import mpmath as mp
import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from numpy.polynomial.chebyshev import chebvander

SOURCE = Path(__file__).resolve().parents[2] / "reference/ops/kernels/vmath_tmpl.h"
N = 4000  # even: no point at 0, where weights vanish
ULP = 2.0**-24
mp.mp.dps = 40


def coefficients(function, variable):
    """Of the Horner chain of 'variable' in vmath_tmpl.h, lowest degree first, as the compiler rounds them."""
    body = SOURCE.read_text().split(f"V_FN v16 {function}(")[1].split("\n}")[0]
    found = re.findall(rf"{variable} = v_(?:fma\({variable}, \w+, )?\(?v?_?set1\((?:0.5f \* )?(-?[\d.e+-]+)f\)", body)
    return np.float64(np.float32([float(c) for c in found[::-1]]))


def grid(lo, hi):
    return (lo + hi) / 2 - (hi - lo) / 2 * np.cos(np.pi * np.arange(N) / (N - 1))


def values(f, x):
    tiny = mp.mpf(10) ** -12  # where f is 0/0; it is smooth there
    return np.array([float(f(mp.mpf(float(v)) if abs(v) > 1e-12 else tiny)) for v in x])


def minimax(x, y, weight, degree):
    """Coefficients of the polynomial with the least maximum of |weight * error| on the grid x, rounded to f32."""
    basis = chebvander((2 * x - x[0] - x[-1]) / (x[-1] - x[0]), degree)
    m = degree + 2
    at = np.round((0.5 - 0.5 * np.cos(np.pi * np.arange(m) / (m - 1))) * (N - 1)).astype(int)
    for _ in range(50):
        a = np.column_stack([basis[at] * weight[at, None], (-1.0) ** np.arange(m)])
        c = np.linalg.lstsq(a, y[at] * weight[at], rcond=None)[0]
        error = (y - basis @ c[:-1]) * weight
        if np.abs(error).max() <= abs(c[-1]) * (1 + 1e-6):
            break
        cuts = [0, *(np.flatnonzero(np.diff(np.sign(error))) + 1), N]
        peaks = [i + int(np.argmax(np.abs(error[i:j]))) for i, j in zip(cuts, cuts[1:])]
        while len(peaks) > m:
            del peaks[0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1]
        if len(peaks) < m:
            raise ArithmeticError("the error does not alternate")
        at = np.array(peaks)
    else:
        raise ArithmeticError("no convergence")
    fit = Chebyshev(c[:-1], domain=[x[0], x[-1]]).convert(kind=Polynomial).coef
    return np.float64(np.float32(fit))


def evaluate(c, x):
    return np.polyval(c[::-1], x)


def show(name, ours, errors, fit, fit_errors):
    print(name)
    for title, c, e in (("in use", ours, errors), ("fit", fit, fit_errors)):
        print(f"  {title:7} {', '.join(f'{v / ULP:.3f}' for v in e)} x 2^-24:  {' '.join(f'{v:.9e}' for v in c)}")


def one_function(name, f, ours, x, weight):
    """Relative errors of e^r and 2^f; false if the fit is better by more than 2 %."""
    y = values(f, x)
    fit = minimax(x, y, weight, len(ours) - 1)
    a, b = (np.abs((y - evaluate(c, x)) * weight).max() for c in (ours, fit))
    show(name, ours, [a], fit, [b])
    return a <= 1.02 * b


def gelu():
    x = grid(0.0, 6.0)
    y = values(lambda t: mp.log(mp.erfc(t / mp.sqrt(2)), 2) / t, x)
    q = 0.5 * 2.0 ** (x * y)
    ours = coefficients("v_gelu", "r")

    def errors(c):
        d = x * (0.5 * 2.0 ** (x * evaluate(c, x)) - q)
        inner = (x > 0) & (x <= 1)
        right = np.abs(d[1:] / (x - x * q)[1:]).max()
        return np.array([right, np.abs(d[inner] / (x * q)[inner]).max(), np.abs(d[x > 1] / (q * x)[x > 1]).max()])

    mine, ok, nearest = errors(ours), True, None
    for a in (0.0, 0.25, 0.5, 0.75, 1.0):
        for b in (0.0, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3):
            fit = minimax(x, y, x**a * q**b, len(ours) - 1)
            other = errors(fit)
            ok &= bool((other > mine / 1.02).any())
            if nearest is None or (other / mine).max() < nearest[0]:
                nearest = ((other / mine).max(), fit, other, f"t^{a:g} Q^{b:g}")
    name = "log2(2 Q(t))/t on [0, 6]; gelu relative for x > 0, on [-1, 0], and on [-6, -1]; nearest weight "
    show(name + nearest[3], ours, mine, nearest[1], nearest[2])
    return ok


def measure():
    half = float(mp.log(2) / 2)
    r, f = grid(-half, half), grid(-0.5, 0.5)
    power = coefficients("v_gelu", "q")
    return [
        one_function("(e^r - 1 - r)/r^2 on ln(2)/2", lambda v: (mp.exp(v) - 1 - v) / v**2, coefficients("v_exp", "q"), r,
                     r * r / np.exp(r)),
        one_function("(2^f - 1)/f on 1/2", lambda v: (mp.mpf(2) ** v - 1) / v, power, f, np.abs(f) / 2.0**f),
        gelu(),
    ]  # fmt: skip


if __name__ == "__main__":
    good = measure()
    print("no fit is better by more than 2 %" if all(good) else "a fit is better by more than 2 %")
    sys.exit(0 if all(good) or sys.argv[1:] != ["--check"] else 1)
