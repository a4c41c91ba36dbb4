"""Digests change with what decides a result, and with nothing else."""

import functools

import numpy as np

import jaxattr as ja
from jaxattr.evaluation.runs.digests import digest, identify


def test_digest_sees_every_number_and_the_structure():
    tree = {"a": np.zeros(3), "b": [np.ones(2, np.float32)]}
    same = {"a": np.zeros(3), "b": [np.ones(2, np.float32)]}
    assert digest(tree) == digest(same)
    same["b"][0][1] += 1e-7
    assert digest(tree) != digest(same)
    assert digest(tree) != digest({"a": np.zeros(3), "c": [np.ones(2, np.float32)]})


def test_functions_are_known_by_what_they_enclose():
    name, _ = identify(ja.attacks.gra(num_samples=5).gradient)
    assert "neighbourhood" in name
    attacks = [ja.attacks.gra(num_samples=n) for n in (5, 5, 20)]
    first, same, other = (identify(attack) for attack in attacks)
    assert first == same != other
    assert identify(ja.attacks.gra(eta=0.9)) != identify(ja.attacks.gra(eta=0.8))
    assert identify(functools.partial(max, 1)) != identify(functools.partial(max, 2))
    assert identify(np.zeros(2)) != identify(np.ones(2))
    assert identify(ja.scores.logit) == "jaxattr.scores.logit"
