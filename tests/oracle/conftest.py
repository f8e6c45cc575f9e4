# SPDX-License-Identifier: Apache-2.0
"""The tests read .fvlm files with the package of format/python, without installing it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "format/python"))
