"""What time is booked under, and that no number follows from the words for it."""

from dataclasses import replace

import pytest

from estimator.answer.breakdown import step_report
from estimator.answer.step_model import StepModel
from estimator.catalog.loading import load_scenario
from estimator.engine.operations import Stream
from estimator.schedules.notation import Op
from estimator.workload import chunks as trunk
from estimator.workload.causes import COMPUTATION, EXPOSED, EXPOSED_AS, Cause
from estimator.workload.optimizer_parts import SYNCHRONISATION, OptimizerPart

SPLIT = ("plan.schedule=zb-h1", "plan.stages_per_rank=1", "plan.zero=3")


def model(name="gpt3-175b", *overrides):
    return StepModel(load_scenario(name, overrides), 2048)


def test_communication_beside_computation_has_a_name_for_what_is_exposed():
    for cause, exposed in EXPOSED_AS.items():
        word = Cause.ALL_TO_ALL if cause is Cause.RANK_SKEW else cause
        assert exposed == f"exposed {word}"
    named = {cause for cause in Cause if cause.startswith("exposed")}
    assert named == EXPOSED


@pytest.mark.parametrize("stream", [s for s in Stream if s is not Stream.LAUNCH])
def test_a_stream_is_booked_under_causes_that_its_kind_can_have(stream):
    booked = set()
    for one in (model(), model("gpt3-175b", *SPLIT), model("deepseek-v3")):
        work = one.chunks()
        for op in (Op.F, Op.I, Op.W, Op.B):
            for operation in work.operations(op, 1):
                if operation.stream is stream:
                    booked |= {cause for cause, _ in operation.parts}
    if stream is Stream.COMPUTE:
        assert booked <= {*COMPUTATION, *EXPOSED, Cause.HOST_LAUNCHES}
    else:
        assert booked <= EXPOSED_AS.keys()


def test_ranks_exchange_something_in_the_parts_that_count_as_synchronisation():
    words = ("all-reduce", "reduce-scatter", "all-gather")
    assert {part for part in OptimizerPart if part.startswith(words)} == SYNCHRONISATION
    one = model()
    step_s = one.step_s(one.num_microbatches(1536))
    step, spent = step_report(one, 1536, step_s, is_played=False), one.optimizer_parts()
    told_s = sum(spent[part] for part in spent if part in SYNCHRONISATION)
    assert step.parts["gradient synchronisation"] == pytest.approx(told_s)
    assert step.parts["optimizer"] == pytest.approx(sum(spent.values()) - told_s)


def test_a_step_takes_as_long_whatever_its_operations_are_called(monkeypatch):
    def seconds(*overrides):
        work = model("gpt3-175b", *overrides).chunks()
        ops = (Op.F, Op.B, Op.I, Op.W)
        return [(work.seconds(op, 1), work.busy_by_cause(op, 1)) for op in ops]

    def nameless(make):
        return lambda *given, **named: [
            operation._replace(task="", layer="") for operation in make(*given, **named)
        ]

    before = [seconds(*SPLIT), seconds("software.communication.pipeline=false")]
    monkeypatch.setattr(trunk, "pair", nameless(trunk.pair))
    monkeypatch.setattr(trunk, "weight_pass", nameless(trunk.weight_pass))
    assert [seconds(*SPLIT), seconds("software.communication.pipeline=false")] == before


def test_a_copy_of_chunks_is_worked_out_anew_and_leaves_the_first_alone():
    whole = model().chunks()
    before = whole.seconds(Op.F, 0), whole.operations(Op.F, 0)
    layer = next(part for part in whole.stages[1] if part.is_layer)
    alone = replace(whole, stages=((layer,),))
    assert alone.seconds(Op.F, 0) < before[0]
    assert len(alone.operations(Op.F, 0)) < len(before[1])
    assert (whole.seconds(Op.F, 0), whole.operations(Op.F, 0)) == before
