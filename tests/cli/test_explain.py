"""`repro explain` and `repro ledger`, as typed."""

from __future__ import annotations

from builders.commands import json_of, repro_


def test_a_cell_of_a_paper_is_explained_from_what_is_shipped() -> None:
    asked = ["explain", "dave", "--table", "4", "--row", "dave", "--metric", "HR@10"]
    shown = repro_(*asked).stdout
    assert "HR@10: printed 0.6723, ours " in shown
    assert "repro run dave --table 4 --row DAVE --view ml100k" in shown
    assert "regularizer_weight           1.0           our choice; paper Eq. 11" in shown
    assert "regularizer_weight 1.0 → 0.001: HR@10 " in shown
    (one,) = json_of(*asked)
    assert [cell["label"] for cell in one["cells"]] == ["HR@10"]
    assert {setting["name"]: setting["stated_in"] for setting in one["settings"]}[
        "latent_dim"
    ] == "paper"


def test_a_row_whose_metrics_have_epochs_of_their_own_is_explained() -> None:
    asked = ["explain", "acvae", "--table", "2", "--row", "ACVAE", "--view", "ML-latest"]
    shown = repro_(*asked).stdout
    assert "Recall@5       0.052" in shown
    assert "updates             code      code; paper 4.3 says otherwise (of the model)" in shown
    assert 'repro run acvae --table 2 --row "ACVAE, optimizers of Section 4.3"' in shown


def test_the_ledger_of_a_paper_is_shown() -> None:
    shown = repro_("ledger", "mvae").stdout
    assert shown.startswith("Measured: ")
    assert "target observed → pseudo: NDCG@10 +0.0198 ± 0.0040 (5.0 standard errors" in shown
    found = json_of("ledger", "mvae")
    measured = [bool(one["variations"]) for one in found]
    assert measured == sorted(measured, reverse=True)
    sizes = [abs(one["variations"][0]["effects"][0]["z"]) for one in found if one["variations"]]
    assert sizes == sorted(sizes, reverse=True)


def test_a_row_that_is_not_there_is_named() -> None:
    failed = repro_("explain", "dave", "--table", "4", "--row", "DAVID", code=1)
    assert "no row of table 4 of dave is called 'DAVID'" in failed.output
