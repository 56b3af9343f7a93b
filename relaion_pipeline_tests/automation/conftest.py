"""One small sample and one release of it for all tests; whoever changes anything works on a copy."""

from relaion_pipeline_tests.orchestration.conftest import copy_of, first_run, released, sampled

__all__ = ["copy_of", "first_run", "released", "sampled"]
