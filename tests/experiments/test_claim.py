"""A folder belongs to one run, of one configuration on one data set, in one process."""

import pytest

from mtl_tf import experiments
from mtl_tf.experiments import claim

CONFIG = experiments.make_config(epochs=3)


def test_one_process_at_a_time(tmp_path):
    folder = tmp_path / "run"
    assert not claim.is_held(folder)
    with claim.held(folder, CONFIG, "data"):
        assert claim.is_held(folder)
        with pytest.raises(ValueError, match="Another process"), claim.held(folder, CONFIG, "data"):
            pass
    assert not claim.is_held(folder)
    with claim.held(folder, CONFIG, "data"):
        pass


def test_one_data_set(tmp_path):
    with claim.held(tmp_path, CONFIG, "these"):
        pass
    with (
        pytest.raises(ValueError, match=r"other data.*these.*those"),
        claim.held(tmp_path, CONFIG, "those"),
    ):
        pass


def test_one_configuration_wherever_the_data_lie(tmp_path):
    config = experiments.make_config("quick", root="/here")
    claim.check(tmp_path, config, resume=False)
    with claim.held(tmp_path, config, "data"):
        pass
    with pytest.raises(ValueError, match="--resume"):
        claim.check(tmp_path, config, resume=False)
    claim.check(tmp_path, experiments.make_config("quick", root="/there"), resume=True)
    with pytest.raises(ValueError, match="another configuration"):
        claim.check(tmp_path, experiments.make_config("demo"), resume=True)
