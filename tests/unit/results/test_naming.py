"""What rows are called in print, and that what is printed can be typed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from builders.foreign import texts
from repro.papers import library
from repro.results.frozen import RowName
from repro.results.naming import labels_of, named_by, row_name, short_labels

ROWS = library.load("toy").entries["1"]


def own(label: str, **more: str) -> RowName:
    return RowName(label, "other", **more)


def test_three_words_tell_the_papers_rows_from_added_ones_and_runs_of_ones_own() -> None:
    assert row_name(RowName("EASE")) == "EASE"
    assert row_name(RowName("EASE", "added")) == "EASE (added)"
    assert row_name(own("ease [l2=9.0]", apart="select = last")) == (
        "ease [l2=9.0] (own), select = last"
    )


def test_a_run_with_other_settings_is_called_by_what_differs_from_its_row() -> None:
    name, both = own("ease [l2=9.0]"), own("mult_vae [latent_dim=3]")
    short = short_labels([RowName("EASE"), name, both, own("slim [l1=2.0]")], ROWS)
    assert short[name] == "EASE with l2=9.0"
    assert own("slim [l1=2.0]") not in short  # no row has that model
    planned = next(e for e in ROWS if e.model == "mult_vae").experiment()
    assert planned
    assert short[both].startswith("Mult-VAE with ")
    assert "latent_dim=3" in short[both]
    for key in planned.model.params:
        assert f"{key}=" not in short[both].replace("latent_dim=", "") or key != "latent_dim"


def test_two_rows_never_share_a_short_name() -> None:
    names = [own("ease [l2=9.0]"), own("EASE with l2=9.0")]
    short = short_labels(names, ROWS)
    shown = [row_name(name, short.get(name, "")) for name in names]
    assert len(set(shown)) == 2


@given(texts, st.sampled_from(["paper", "added", "other"]), st.sampled_from(["", "n = 2 of 3"]))
def test_every_printed_name_can_be_typed(label: str, origin: str, shortened: str) -> None:
    name = RowName(label, origin, shortened)  # type: ignore[arg-type]
    assert named_by(row_name(name), [name, RowName("other")], {}) == [name]
    assert named_by(row_name(name, "short").upper(), [name], {name: "short"}) == [name]
    assert named_by(label, [name], {}) == [name]
    assert "" not in labels_of(name, "")
