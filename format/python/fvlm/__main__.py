# SPDX-License-Identifier: Apache-2.0
"""python -m fvlm MODEL.fvlm                  lists all tensors: name, type, shape
python -m fvlm MODEL.fvlm NAME OUT.npy     saves one as float32 in logical order"""

import sys

import numpy as np

import fvlm


def main(arguments):
    if len(arguments) not in (1, 3):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        f = fvlm.open(arguments[0], verify=len(arguments) == 1)
        if len(arguments) == 1:
            print(*(f"{name:44} {f.type(name):14} {list(f.shape(name))}" for name in f), sep="\n")
        elif arguments[1] in f:
            np.save(arguments[2], f[arguments[1]])
        else:
            raise ValueError(f'no tensor "{arguments[1]}"')
    except (OSError, ValueError) as e:
        print(f"{arguments[0]}: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
