"""The trainer of a configuration."""

import pytest

from mtl_tf import experiments
from mtl_tf.experiments.from_config import build_trainer

TASKS = {"semseg": 13, "depth": 1, "edges": 1}


def trainer_of(**values):
    config = experiments.make_config(tasks=tuple(TASKS), height=32, width=32, **values)
    return build_trainer(config, TASKS, steps=2)


def test_auxiliary_tasks_are_trained_but_not_predicted_in_the_end():
    trainer = trainer_of(architecture="mti_net", auxiliary_tasks=("edges",), initial_weight=0.5)
    final = [name for name in trainer.network.output if "/" not in name]
    assert final == ["semseg", "depth"]
    assert "edges/initial/0" in trainer.network.output
    assert [task.name for task in trainer.tasks] == list(TASKS)
    assert trainer.plan.initial_weight == 0.5


def test_an_architecture_that_knows_no_auxiliary_tasks_says_so():
    with pytest.raises(ValueError, match=r"architecture_options of shared_trunk.*auxiliary_tasks"):
        trainer_of(auxiliary_tasks=("edges",))


@pytest.mark.parametrize("auxiliary", [("normals",), tuple(TASKS)])
def test_auxiliary_tasks_are_some_of_the_tasks(auxiliary):
    with pytest.raises(ValueError, match="auxiliary_tasks"):
        trainer_of(auxiliary_tasks=auxiliary)
