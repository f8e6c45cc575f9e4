# SPDX-License-Identifier: Apache-2.0
"""Reads .fvlm model files with numpy. README.md has an example, format/SPEC.md every byte."""

from fvlm.reader import Fvlm, Raw, demanded

__all__ = ["Fvlm", "Raw", "demanded", "open"]
__version__ = "0.1.0"


def open(path, verify=True):
    """The model file at path. A file that breaks the specification, or whose bytes differ from their hashes, is a
    ValueError. verify=False reads no weights on opening and checks each when it is first used."""
    return Fvlm(path, verify)
