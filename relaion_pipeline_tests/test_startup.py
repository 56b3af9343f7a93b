"""The garbage collector rests while libraries are imported, and only then."""

import gc

import pytest

from relaion_pipeline import startup


def test_the_collector_rests_while_libraries_are_imported() -> None:
    with startup.importing():
        assert not gc.isenabled()
        with startup.importing():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), startup.importing():
        raise ZeroDivisionError
    assert gc.isenabled()
