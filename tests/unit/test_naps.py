"""How long a supervisor lets outcomes of short tasks come together."""

from __future__ import annotations

import pytest

from alligator.supervisor import LONGEST_NAP, SHORTEST_NAP, nap_for


def test_whoever_has_little_to_go_on_with_decides() -> None:
    assert nap_for([0.004, 0.004]) == nap_for([0.004, 0.016])
    assert nap_for([0.004, 0.016]) < nap_for([0.016, 0.016])


def test_all_children_together_end_as_many_meanwhile_as_one_does_alone() -> None:
    assert nap_for([0.008] * 4) == pytest.approx(nap_for([0.008]) / 4)


def test_a_nap_ends_long_before_the_work_does() -> None:
    for ready in (0.002, 0.004, 0.008):
        assert 0 < nap_for([ready]) <= ready / 4
    assert nap_for([100.0]) == LONGEST_NAP


@pytest.mark.parametrize("ready", [[], [SHORTEST_NAP], [0.004] * 20])
def test_what_is_hardly_worth_it_is_left_out(ready: list[float]) -> None:
    assert nap_for(ready) == 0
