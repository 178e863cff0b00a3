"""The controls that all pages share: each one patches a path of the scenario.

What differs from the scenario becomes a ``--set`` of the command line, and stands in
the address under the control's key, so that a link shows the same page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import streamlit as st

from estimator.catalog import kinds, reading, releases
from estimator.explore.plan.space import NOT_TRAINING
from estimator.faces.pages import links, own
from estimator.faces.pages.question import Question
from estimator.faces.uploads import Accepted
from estimator.ground.errors import EstimatorError
from estimator.schedules.programs import schedule
from estimator.specs.layout import EVEN
from estimator.specs.scenario import Scenario
from estimator.specs.training import Module, Recipe

FIRST = "deepseek-v3"
GB = 1e9
TRAINING = [name for name in schedule if name not in NOT_TRAINING]
"""Schedules that have a backward pass."""


def _gigabytes(value: float) -> str:
    return f"{value:.10g}GB/s"


def _list(modules: Sequence[str]) -> str:
    return f"[{','.join(modules)}]" if modules else "none"


def _even(is_even: object) -> str:
    del is_even  # a scenario that is even already has nothing else to offer
    return EVEN


@dataclass(frozen=True)
class Knob:
    """A key in links, the path that it patches, and what the scenario has there."""

    key: str
    path: str
    default: Callable[[Scenario], Any]
    written: Callable[[Any], str] = str

    def patch(self, base: Scenario) -> tuple[str, ...]:
        """Return the override that the control asks for, if any."""
        value = st.session_state[self.key]
        if value == self.default(base):
            return ()
        return (f"{self.path}={self.written(value)}",)


NODE = Knob("node", "cluster.node", lambda s: s.cluster.node.name)
SOFTWARE = Knob("software", releases.SOFTWARE, lambda s: s.software.name)
OVERLAP = Knob(
    "overlap",
    "software.communication.experts",
    lambda s: s.software.communication.experts,
    lambda is_on: str(is_on).lower(),
)
NVLINK = Knob(
    "nvlink",
    "cluster.node.nvlink_bytes_per_s",
    lambda s: s.cluster.node.nvlink_bytes_per_s / GB,
    _gigabytes,
)
PRICE = Knob(
    "price",
    "price.usd_per_gpu_hour",
    lambda s: s.price.usd_per_gpu_hour or 0.0,
    "{:.10g}".format,
)
REST = (
    Knob("gpus", "cluster.num_gpus", lambda s: s.cluster.num_gpus),
    NVLINK,
    Knob(
        "ib",
        "cluster.fabric.bytes_per_s",
        lambda s: s.cluster.fabric.bytes_per_s / GB,
        _gigabytes,
    ),
    PRICE,
    Knob("schedule", "plan.schedule", lambda s: s.plan.schedule),
    OVERLAP,
    Knob("even", "plan.stage_layout", lambda s: s.plan.stage_layout == EVEN, _even),
    Knob("precision", "precision.recipe", lambda s: s.precision.recipe),
    Knob("recompute", "recompute", lambda s: list(s.recompute), _list),
)
SCENARIO, SET = "scenario", "set"
KEYS = (SCENARIO, NODE.key, SOFTWARE.key, *(control.key for control in REST), SET)


def question() -> Question:
    """Show the controls in the sidebar and return what they ask.

    Raises
    ------
    EstimatorError
        If the scenario's own file is broken.
    """
    if "scenario" not in st.session_state and (letters := st.query_params.get(own.KEY)):
        own.take_from_link(letters, chosen())
    with st.sidebar:
        names = [
            *_scenarios(kinds.data_folder()),
            *([own.NAME] if own.path() else []),
        ]
        st.selectbox(
            "Scenario",
            names,
            index=names.index(FIRST) if FIRST in names else 0,
            key=SCENARIO,
            bind="query-params",
            on_change=take_defaults,
            help="Your own: see the page Scenario.",
        )
        named = listed()
        own.show_in_link(is_shown=named.is_own)
        scenario = named.resolved
        _node(scenario)
        on_node = named.patched(*NODE.patch(scenario))
        try:
            base = on_node.resolved
        except EstimatorError:  # the page says why
            base = scenario
        _cluster(base)
        with st.expander("How it is trained", expanded=True):
            _software(base)
            asked = on_node.patched(*SOFTWARE.patch(base))
            with suppress(EstimatorError):  # the page says why
                base = asked.resolved
            _training(base)
        with st.expander("Any other value"):
            st.text_area(
                "One PATH=VALUE a line, as after --set",
                key=SET,
                bind="query-params",
                placeholder="phases.0.seq_len=8192\nplan.tp=2",
                help="They go over the controls above. The page Estimate names paths "
                "under Assumptions.",
            )
    patches = (patch for control in REST for patch in control.patch(base))
    return asked.patched(*patches, *set_lines())


def set_lines() -> tuple[str, ...]:
    """Return the values that are set by path."""
    lines = str(st.session_state.get(SET) or "").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


def chosen() -> Accepted:
    """Return the scenario of the list, without what the controls change."""
    named = listed()
    return Accepted(named.resolved, named.base)


def listed() -> Question:
    """Return the question of the list alone: no node, no control, no value set."""
    name = st.session_state.get(SCENARIO, FIRST)
    return Question(own.path() if name == own.NAME else str(name))


@st.cache_data(show_spinner=False)
def _scenarios(folder: Path) -> list[str]:
    """Return the built-in scenarios of a folder, each with its variants."""
    del folder  # another one has other scenarios
    made = []
    for name in kinds.names("scenario"):
        made.append(name)
        variants = reading.read("scenario", name).get("variants")
        if isinstance(variants, dict):
            made += [f"{name}@{variant}" for variant in variants]
    return made


def take_own(made: Accepted) -> None:
    """Show a scenario of the visitor's own from now on; to be called in callbacks."""
    own.keep(made)
    st.session_state[SCENARIO] = own.NAME
    st.session_state[SET] = ""
    take_defaults()


def take_defaults() -> None:
    """Set every control to what the scenario that was chosen has."""
    with suppress(EstimatorError):  # the page itself says what is wrong
        scenario = listed().resolved
        for control in (NODE, SOFTWARE, *REST):
            st.session_state[control.key] = control.default(scenario)


def set_value(question: Question, path: str, value: str) -> None:
    """Set a path to a value, by its control where it has one; for callbacks.

    Raises
    ------
    EstimatorError
        If it is no value for this path; nothing is set then.
    """
    patched = question.patched(f"{path}={value}").resolved
    control = next((each for each in REST if each.path == path), None)
    kept = [line for line in set_lines() if line.partition("=")[0].strip() != path]
    if control:
        st.session_state[control.key] = control.default(patched)
    else:
        kept.append(f"{path}={value}")
    st.session_state[SET] = "\n".join(kept)


def _take_node() -> None:
    """Set the controls of what the node brings: NVLink, and its GPU's own price."""
    with suppress(EstimatorError):
        patch = f"{NODE.path}={st.session_state[NODE.key]}"
        scenario = listed().patched(patch).resolved
        for control in (NVLINK, PRICE):
            st.session_state[control.key] = control.default(scenario)
        if st.session_state.get(SOFTWARE.key) not in _that_run(scenario):
            for control in (SOFTWARE, OVERLAP):
                st.session_state[control.key] = control.default(scenario)


def _take_software() -> None:
    """Set the control of what software brings: whether it overlaps all-to-alls."""
    with suppress(EstimatorError):
        on_node = listed().patched(*NODE.patch(listed().resolved))
        scenario = on_node.patched(*SOFTWARE.patch(on_node.resolved)).resolved
        st.session_state[OVERLAP.key] = OVERLAP.default(scenario)


def _that_run(scenario: Scenario) -> list[str]:
    """Return the software that runs on a scenario's GPU, its default first."""
    vendor, own = scenario.cluster.node.gpu.vendor.lower(), scenario.software.name
    first = releases.default_name(vendor)
    return list(dict.fromkeys((first, *_releases(kinds.data_folder(), vendor), own)))


@st.cache_data(show_spinner=False)
def _releases(folder: Path, vendor: str) -> list[str]:
    """Return the built-in releases of a folder that run on a vendor's accelerators."""
    del folder  # another one has other releases
    known = kinds.names(releases.SOFTWARE)
    made = ((name, reading.read(releases.SOFTWARE, name)) for name in known)
    return [name for name, release in made if vendor in release["accelerators"]]


def _software(base: Scenario) -> None:
    names = _that_run(base)
    st.selectbox(
        "Software",
        names,
        index=names.index(base.software.name),
        key=SOFTWARE.key,
        bind="query-params",
        on_change=_take_software,
        help="What the framework's kernels, loss, gradients and buffers do. Those that "
        "run on the GPU; the first is its default. The page Catalog tells each switch.",
    )


def _node(scenario: Scenario) -> None:
    own = scenario.cluster.node.name
    names = sorted({*kinds.names("node"), own})
    st.selectbox(
        "Node",
        names,
        index=names.index(own),
        key=NODE.key,
        bind="query-params",
        on_change=_take_node,
        help="Brings the GPU, its memory and peaks, and NVLink.",
    )


def _cluster(base: Scenario) -> None:
    multiple = base.plan.degrees.multiple
    st.number_input(
        "GPUs",
        min_value=1,
        value=base.cluster.num_gpus,
        step=multiple,
        key="gpus",
        bind=links.binding("gpus"),
        help=f"The plan spreads over multiples of {multiple:,}.",
    )
    _rate(
        "NVLink, GB/s one way per GPU",
        NVLINK.key,
        NVLINK.default(base),
        step=50.0,
        about="Vendors often quote both directions together: twice this.",
    )
    _rate(
        "Network, GB/s one way per GPU",
        "ib",
        base.cluster.fabric.bytes_per_s / GB,
        step=5.0,
        about=f"{base.cluster.fabric.title}. 400 Gbit/s are 50 GB/s.",
    )
    _rate(
        "Price, USD per GPU-hour",
        "price",
        base.price.usd_per_gpu_hour or 0.0,
        step=0.25,
        about=f"{base.price.title}, {base.price.date}.",
    )


def _rate(label: str, key: str, value: float, step: float, about: str) -> None:
    st.number_input(
        label,
        min_value=0.0,
        value=value,
        step=step,
        format="%g",
        key=key,
        bind=links.binding(key),
        help=about,
    )


def _training(base: Scenario) -> None:
    _choice("Schedule", "schedule", TRAINING, base.plan.schedule)
    st.toggle(
        "Even stages",
        base.plan.stage_layout == EVEN,
        key="even",
        bind="query-params",
        disabled=base.plan.stage_layout == EVEN,
        help="Layers spread evenly over the stages, as schedules with several stages "
        "a rank need where the scenario lays out one.",
    )
    st.toggle(
        "Overlap all-to-all",
        base.software.communication.experts,
        key="overlap",
        bind="query-params",
        disabled=base.model.moe is None,
        help="Dispatch and combine run behind the other chunk of a pair (DualPipe).",
    )
    _choice("Precision", "precision", list(get_args(Recipe)), base.precision.recipe)
    st.multiselect(
        "Recomputed modules",
        get_args(Module),
        default=list(base.recompute),
        key="recompute",
        bind="query-params",
        placeholder="none",
        help="Activations that are computed again rather than kept.",
    )


def _choice(label: str, key: str, options: list[str], value: str) -> None:
    st.selectbox(
        label, options, index=options.index(value), key=key, bind="query-params"
    )
