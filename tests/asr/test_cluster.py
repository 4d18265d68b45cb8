"""On a Ray cluster the same function gives the same results in the same order; errors are the function's own."""

from functools import partial

import pytest

from asr.cluster import in_order_on_ray
from asr.errors import UserError

pytest.importorskip("ray", reason="no Ray: python -m pip install -r requirements_cluster.txt")


@pytest.fixture(autouse=True)
def this_module_on_the_workers(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_an_error_of_the_function_comes_as_it_is_after_the_results_before_it():
    results = in_order_on_ray(partial(divmod, 12), [1, 5, 0, 2], 2)
    assert [next(results), next(results)] == [(12, 0), (2, 2)]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_cluster_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError, match=r"Ray cannot be reached .*check the address"):
        list(in_order_on_ray(abs, [1], 2))
