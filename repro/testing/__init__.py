"""Conformance checks for your own plug-in.

Each check has a name and a sentence that says what must hold. It is called with a plug-in: an
instance, a class, or the name of a file in a folder of ``REPRO_PATH``. None needs pytest, which
can run them one by one::

    import pytest, repro.testing

    @pytest.mark.parametrize("check", repro.testing.model_checks(), ids=str)
    def test_my_model(check):
        check(MyModel)

Examples
--------
>>> import repro, repro.testing
>>> repro.testing.check_model(repro.models.EASE(l2=10.0))
>>> repro.testing.check_protocol("random_split")
>>> [str(check) for check in repro.testing.protocol_checks()][:2]
['random_scores_hit_as_often_as_chance', 'known_targets_rank_first']
"""

from repro.testing.checks import Check
from repro.testing.files import check_file
from repro.testing.models import check_model, model_checks
from repro.testing.protocols import check_protocol, protocol_checks
from repro.testing.quick import quick_model, quick_protocol
from repro.testing.toys import toy_dataset, toy_split

__all__ = [
    "Check",
    "check_file",
    "check_model",
    "check_protocol",
    "model_checks",
    "protocol_checks",
    "quick_model",
    "quick_protocol",
    "toy_dataset",
    "toy_split",
]
