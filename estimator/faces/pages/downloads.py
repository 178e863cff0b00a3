"""Everything an estimate can be downloaded as, each file made when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import NamedTuple

import streamlit as st

from estimator.answer import api, provenance
from estimator.explore.results import Result
from estimator.faces.pages.question import Question
from estimator.faces.pages.text import plain
from estimator.ground import files
from estimator.ground.errors import EstimatorError
from estimator.show import perfetto, pictures
from estimator.show.findings.base import Figure, finding
from estimator.show.formats.base import Writer, file_format, file_name
from estimator.show.wording import FIGURE_WORDS
from estimator.specs.scenario import Scenario

LABELS = {"md": "Markdown", "tex": "LaTeX", "parquet": "Parquet", "json.gz": "Perfetto"}
KINDS = {
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
    "json.gz": "application/gzip",
    "md": "text/markdown",
    "parquet": "application/vnd.apache.parquet",
    "pdf": "application/pdf",
    "png": "image/png",
    "svg": "image/svg+xml",
    "tex": "application/x-tex",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "yaml": "application/yaml",
}
"""Ending -> media type."""
WIDTH = 108
"""Pixels of a button, so that three stand side by side on a phone."""
_drawing = Lock()
"""Matplotlib's settings are the process's: one figure is drawn at a time."""


class File(NamedTuple):
    """A file to download."""

    name: str
    ending: str
    make: Callable[[], bytes]


@dataclass(frozen=True)
class DownloadGroup:
    """Files of one kind, or why there are none."""

    title: str
    files: tuple[File, ...] = ()
    problems: tuple[str, ...] = ()


def groups(scenario: Scenario, command: str) -> tuple[DownloadGroup, ...]:
    """Return what an estimate can be downloaded as.

    Nothing here asks the session: files are made in another thread.
    """
    answer = pictures.Estimate(scenario)
    footer = str(provenance.of_scenario(scenario))
    figures = [
        _drawn(
            FIGURE_WORDS.get(figure, figure),
            partial(finding[figure], answer),
            footer,
            f"{scenario.name}-{figure}",
        )
        for figure in finding
    ]
    if figures[0].problems:  # one sentence for all
        figures = [DownloadGroup("Figures", problems=figures[0].problems)]
    return (
        of_tables(lambda: answer.result(command), scenario.name),
        _report(answer, command),
        _trace(scenario),
        *figures,
    )


def of_scenario(question: Question) -> DownloadGroup:
    """Return the scenario with its patches as a file that the command line runs."""
    name, text = question.file_name, question.file
    return DownloadGroup("Scenario", (File(name, "yaml", text.encode),))


def of_tables(made: Callable[[], Result], name: str) -> DownloadGroup:
    """Return the tables of a result in every format that is installed.

    Parameters
    ----------
    made : function
        Returns the result when a file is asked for.
    name : str
        Of the files, before their ending.
    """
    files, problems = [], []
    for ending in file_format:
        try:
            file_format[ending].require()
        except EstimatorError as error:
            problems.append(str(error))
        else:
            encode = file_format[ending].encode
            files.append(
                File(file_name(name, ending), ending, partial(_encoded, encode, made))
            )
    return DownloadGroup("Tables", tuple(files), tuple(problems))


def of_figure(made: Figure, footer: str, name: str) -> DownloadGroup:
    """Return the files of one figure, or why there are none.

    Parameters
    ----------
    footer : str
        Where the figure comes from.
    name : str
        Of the files, before their ending.
    """
    return _drawn("This figure", lambda: made, footer, name)


def _encoded(encode: Writer, made: Callable[[], Result]) -> bytes:
    return encode(made())


def _report(answer: pictures.Estimate, command: str) -> DownloadGroup:
    def encoded() -> bytes:
        from estimator.show import report_html

        with _drawing:
            return "".join(report_html.page(answer, answer.result(command))).encode()

    title = "Report, whole in itself"
    try:
        pictures.need_matplotlib()
    except EstimatorError as error:
        return DownloadGroup(title, problems=(str(error),))
    return DownloadGroup(
        title, (File(file_name(answer.scenario.name, "html"), "html", encoded),)
    )


def _trace(scenario: Scenario) -> DownloadGroup:
    def encoded() -> bytes:
        step = api.traced_step(scenario)
        return files.packed_trace(perfetto.events(step), perfetto.about(step, scenario))

    title = "Every operation of a step, for ui.perfetto.dev"
    try:
        api.check_traced(scenario)
    except EstimatorError as error:
        return DownloadGroup(title, problems=(str(error),))
    name = file_name(scenario.name, "json.gz")
    return DownloadGroup(title, (File(name, "json.gz", encoded),))


def _drawn(
    title: str, found: Callable[[], Figure], footer: str, name: str
) -> DownloadGroup:
    """Return the files of the figure of what is found when one is asked for."""

    def encoded(ending: str) -> bytes:
        from estimator.show.figures import frame, write

        with _drawing:
            return frame.encoded(write.drawn(found(), footer), ending)

    try:
        pictures.need_matplotlib()
    except EstimatorError as error:
        return DownloadGroup(title, problems=(str(error),))
    return DownloadGroup(
        title,
        tuple(
            File(file_name(name, ending), ending, partial(encoded, ending))
            for ending in pictures.FORMATS
        ),
    )


def buttons(group: DownloadGroup) -> None:
    """Show a button for each file of a group, or why there is none."""
    with st.container(horizontal=True):
        for file in group.files:
            st.download_button(
                LABELS.get(file.ending, file.ending.upper()),
                data=file.make,
                file_name=file.name,
                mime=KINDS[file.ending],
                on_click="ignore",
                key=f"download {file.name}",
                width=WIDTH,
            )
    if group.problems:
        st.caption(plain("; ".join(group.problems)))


def show(question: Question) -> None:
    """Show a button for each file; what is not installed is named."""
    st.caption(
        "Each file carries " + plain(str(provenance.of_scenario(question.resolved)))
    )
    made = groups(question.resolved, question.command)
    for group in (of_scenario(question), *made):
        st.markdown(f"**{group.title}**")
        buttons(group)
    commands(question)


def commands(question: Question) -> None:
    """Show the command lines that write the same files."""
    st.markdown("**The same files from the command line**")
    report, trace = (
        question.command.replace("estimator run", f"estimator {command}", 1)
        for command in ("report", "trace")
    )
    st.code(
        f"{question.command} --out FILE.xlsx\n"
        f"{report} --out FILE.html --charts FOLDER\n"
        f"{trace} --out FILE.json.gz",
        language="bash",
        wrap_lines=True,
    )
