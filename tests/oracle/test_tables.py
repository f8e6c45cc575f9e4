# SPDX-License-Identifier: Apache-2.0
"""Promise: every generated table in the source is what its script prints, and no fresh fit beats a polynomial in use."""

import unicodedata

import gen_unicode_tables
import gen_vmath
import pytest


@pytest.mark.skipif(unicodedata.unidata_version != "14.0.0", reason="the tables start from Unicode 14: needs Python 3.11")
def test_unicode_tables():
    assert gen_unicode_tables.differing() == []


def test_polynomials():
    assert all(gen_vmath.measure())
