"""Given split: the train, validation and test files that the authors published.

Six users; T trained on, v also in the validation file, x must be found, ! in both train and test::

    user 0   T T v T x
    user 1   T v T x x
    user 2   T T T v !          masked, so never found; counts as a miss
    user 3   v T T T x
    user 4   T v !              no target can be found; counts, with zeros
    user 5   T T v x T

In JCA's repository the validation rows are *inside* the training file, and its final numbers are
trained on all of it. `holdout_valid` takes them out of training, for selection. Repeated rows count
once within a file. The history at test time is the whole training file in both cases. On Yelp,
4,109 test pairs are also in train, because repeated reviews were split independently: `leaked` says
whether they stay among the targets, as in the published evaluation.

Source: JCA (Zhu et al. 2019) and JoVA-Hinge, evaluation code read for facts. MVAE's Table I uses
their data.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from repro.interactions import Dataset
from repro.split import Cases, Split


@dataclass(frozen=True, kw_only=True)
class GivenSplit:
    """Use the train, validation and test files that the authors published."""

    leaked: Literal["keep", "drop"] = "keep"
    """Targets that are also in train: "keep" them as certain misses, or "drop" them."""
    holdout_valid: bool = False
    """Take the validation rows out of training, and select on them."""

    SMOKE: ClassVar[dict[str, str]] = {"dataset": "toy/split"}

    def split(self, dataset: Dataset) -> Split:
        """Return the split.

        Raises
        ------
        ReproError
            If the dataset does not come with a split of its own.
        """
        train, test = (part.distinct() for part in dataset.given("train", "test"))
        why = {"not in the test file": test.counts == 0}
        if self.leaked == "drop":
            test = test.without(train)
            why["all targets are in training, too"] = test.counts == 0
        users = np.arange(train.n_users)
        asked = Cases.of(users, train, test, why=why)
        if not self.holdout_valid:
            return Split(train, None, asked)
        valid = dataset.given("valid")[0].distinct()
        rest = train.without(valid)
        why = {"not in the validation file": valid.counts == 0}
        return Split(rest, Cases.of(users, rest, valid, why=why), asked)


PROTOCOL = GivenSplit
