"""Options of methods as text, and a search among them."""

import json

import pytest

import jaxattr as ja
from jaxattr.evaluation.methods import registry
from jaxattr.evaluation.methods.options import parse_options, to_json
from jaxattr.evaluation.runs.digests import identify

METHODS = {name: registry.method(name) for name in ("big", "bsm", "saliency")}


def search_of(*texts):
    return parse_options(texts, METHODS)["big"]["search"]


def test_options_of_a_search():
    assert search_of("big.search.norm=linf") == ja.BoundarySearch(norm="linf")
    texts = [
        "big.search.num_bisections=3",
        "big.search=fab,ddn",
        "big.search.bounds=0,2",
    ]
    expected = ja.BoundarySearch("fab,ddn", num_bisections=3, bounds=(0.0, 2.0))
    assert search_of(*texts) == expected
    assert search_of(*texts, "big.search.num_bisections=3") == expected
    assert parse_options(texts, METHODS)["bsm"] == {}


def test_members_alone_stay_text():
    assert search_of("big.search=fab") == "fab"
    assert search_of("big.search=fab", "big.search=ddn") == "ddn"


def test_options_of_the_released_search():
    given = ["big.search=released", "big.search.units=pixels", "big.search.leave=label"]
    expected = ja.BoundarySearch.released(units="pixels", leave="label")
    assert search_of(*given) == expected


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            ["big.search.nrm=l2"],
            "option of big.search: unknown 'nrm'; did you mean norm",
        ),
        (["big.norm=l2"], "option of big: unknown 'norm'"),
        (["big.search.norm=l3"], "big.search.norm: unknown 'l3'; known: l1"),
        (
            ["big.search.num_bisections=x"],
            "big.search.num_bisections: expected a whole",
        ),
        (
            ["big.search.num_bisections=-1"],
            "big.search.num_bisections: expected an int",
        ),
        (
            ["big.search=ddm", "big.search.norm=l2"],
            "big.search: unknown 'ddm'; did you",
        ),
        (["big.search.units=pixels"], "option of big.search: unknown 'units'"),
        (["big.search.members=fab"], "option of big.search: unknown 'members'"),
        (["big.search._units=x"], "option of big.search: unknown '_units'"),
        (["saliency.search.norm=l2"], "option of saliency: unknown 'search.norm'"),
        (
            ["big.search=released", "big.search.num_bisections=3"],
            "option of big.search: unknown 'num_bisections'",
        ),
    ],
)
def test_what_is_refused(texts, message):
    with pytest.raises(ValueError, match=message):
        parse_options(texts, METHODS)


def test_a_search_as_json():
    search = ja.BoundarySearch("fab", norm="linf")
    assert json.loads(to_json({"search": search}))["search"] == {
        "members": ["fab"],
        "num_bisections": 20,
        "norm": "linf",
        "bounds": [0.0, 1.0],
        "side": "outside",
        "leave": "predicted",
        "gradient": "ray",
        "units": "pixels",
    }


def test_a_search_on_record_differs_with_the_budget_of_a_member():
    """What a member closes over decides the result as the options of the search do."""
    mi_fgsm, at_radii = ja.attacks.mi_fgsm, ja.boundaries.at_radii
    searches = [
        ja.BoundarySearch("fab"),
        ja.BoundarySearch("fab", norm="linf"),
        ja.BoundarySearch(ja.boundaries.fab(num_steps=3)),
        ja.BoundarySearch(at_radii(mi_fgsm())),
        ja.BoundarySearch(at_radii(mi_fgsm(decay=0.5))),
        ja.BoundarySearch(at_radii(mi_fgsm(), radii=(0.5,))),
        ja.BoundarySearch.released(),
        ja.BoundarySearch.released(units="pixels"),
    ]
    records = [json.dumps(identify({"search": search})) for search in searches]
    assert len(set(records)) == len(searches)
    assert not any(" at 0x" in record for record in records)
    again = ja.BoundarySearch(ja.boundaries.fab(num_steps=3))
    assert json.dumps(identify({"search": again})) == records[2]


def test_a_word_may_be_a_number_where_the_method_takes_both():
    asked = {"fampe": registry.method("fampe")}
    for text, value in (("12", 12.0), ("3/2", 1.5), ("step", "step")):
        assert parse_options([f"fampe.cutoff={text}"], asked) == {
            "fampe": {"cutoff": value}
        }
    assert parse_options(["fampe.norm=2"], asked) == {"fampe": {"norm": "2"}}
