"""Judges series of values by a canary config, with either judge, without a warehouse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from analysis.kayenta.classify import classify_metrics
from analysis.kayenta.config import CanaryConfig, ValuePlan
from analysis.kayenta.doubtful_pass import allowed_harm, dead_zero, series_doubts
from analysis.kayenta.judgement import MetricLabel
from analysis.kayenta.known_limitations import known_limitations
from analysis.kayenta.paired_values import judge_values
from analysis.kayenta.score import (
    MOST_WITHOUT_DATA,
    GroupScore,
    ScoreLabel,
    canary_score,
    group_names,
    summary,
    weighted_groups,
)
from analysis.kayenta.value_judgement import ValueJudgement, ValueLabel
from flows.formats.problems import FileProblem, InputError, file_error
from flows.kayenta.config_file import load_canary_config
from flows.kayenta.intervals import Intervals, judge_intervals
from flows.kayenta.judgement_document import JudgeKind, Judgement, JudgementDocument
from flows.kayenta.metric_document import JudgedMetric
from flows.kayenta.value_warnings import (
    doubts_of_a_pass,
    few_values,
    infinite_values,
    lacking_values,
    unpaired_values,
)
from flows.kayenta.values_file import MetricSeries, load_metric_values

_OF_SCORE = {
    ScoreLabel.PASS: Judgement.PASS,
    ScoreLabel.MARGINAL: Judgement.MARGINAL,
    ScoreLabel.FAIL: Judgement.FAIL,
}


def judge_files(
    config_path: Path,
    values_path: Path,
    *,
    judge: JudgeKind = JudgeKind.KAYENTA,
    plan: ValuePlan | None = None,
    thresholds: tuple[float, float] | None = None,
    intervals: Intervals | None = None,
) -> JudgementDocument:
    """Judges the series in values_path by the canary config in config_path.

    plan: of our judge. thresholds: to pass and to be marginal, instead of the config's.
    intervals: judge after each, as the values grow; None: all values once.
    Raises InputError with everything that is wrong with one of the files.
    """
    config = load_canary_config(config_path)
    series = load_metric_values(values_path, [metric.name for metric in config.metrics])
    by_name = {metric.name: metric for metric in config.metrics}
    metrics = tuple(replace(by_name[item.name], name=item.title) for item in series)
    config = replace(config, metrics=metrics)
    if thresholds is not None:
        config = replace(config, pass_threshold=thresholds[0], marginal_threshold=thresholds[1])
    if judge is JudgeKind.VERDICT:
        series = tuple(map(_with_both_sides, series))
        _check_pairs(values_path, series)
    elif not any(metric.groups for metric in metrics):
        told = "none is in a group (`groups`), so the score is 0 whatever the values are"
        raise file_error(config_path, 1, told, "metrics")
    plan = plan or ValuePlan()
    unknown = [name for name in plan.absolute if name and name not in by_name]
    if unknown:
        told = f"has no metric {unknown[0]!r}, which --absolute-margin names"
        raise file_error(config_path, 1, told, "metrics")
    plan = replace(plan, absolute={item.title: plan.absolute_of(item.name) for item in series})
    if intervals is not None and plan.intervals is None:
        plan = replace(plan, intervals=max(2, *(item.control.size for item in series)))

    def judged(values: Sequence[MetricSeries]) -> JudgementDocument:
        by_kayenta = judge is JudgeKind.KAYENTA
        return _by_kayenta(config, values) if by_kayenta else _by_verdict(config, values, plan)

    if intervals is None:
        return judged(series)
    return judge_intervals(values_path, series, intervals, judged)


def _by_kayenta(config: CanaryConfig, series: Sequence[MetricSeries]) -> JudgementDocument:
    """As Netflix's judge does, with warnings where it is blind."""
    pairs = [(item.control, item.experiment) for item in series]
    judged = classify_metrics(pairs, config.metrics)
    score = canary_score(config, judged)
    metrics = []
    for item, metric, found in zip(series, config.metrics, judged, strict=True):
        spots = known_limitations(item.control, item.experiment, metric, found)
        warnings = (*spots, *infinite_values(item))
        if found.label is MetricLabel.PASS:
            pair = item.control, item.experiment
            doubts = series_doubts(*pair, are_finite=not item.infinite)
            warnings += (*doubts, *dead_zero(*pair))
        metrics.append(JudgedMetric.by_kayenta(item, metric, found, warnings))
    return JudgementDocument.of(
        judge=JudgeKind.KAYENTA,
        config=config,
        decision=Judgement.NO_DATA if score.without_data else _OF_SCORE[score.label],
        score=score.score,
        reason=score.reason,
        groups=score.groups,
        metrics=metrics,
        warnings=_config_warnings(config, score.groups),
    )


def _by_verdict(
    config: CanaryConfig, series: Sequence[MetricSeries], plan: ValuePlan
) -> JudgementDocument:
    """By paired intervals: any proven harm fails, and to pass, every harm must be excluded.

    The score is the probability in percent that harm is within its margin, averaged over a
    group's metrics and weighted as Kayenta does; the thresholds play no part.
    """
    judged = judge_values(
        [(item.control, item.experiment) for item in series], config.metrics, plan
    )
    counted = [
        (metric, found)
        for metric, found in zip(config.metrics, judged, strict=True)
        if not metric.muted
    ]
    scores = {
        name: _mean_probability([found for metric, found in counted if name in metric.groups])
        for name in group_names(metric for metric, _ in counted)
    }
    groups = weighted_groups(scores, config.group_weights)
    critical = any(found.critical_failure for _, found in counted)
    decision, reason = _decision(config, [found for _, found in counted])
    if decision is Judgement.PASS and (gone := lacking_values(config, series)):
        decision, reason = Judgement.UNCERTAIN, gone
    metrics = []
    for item, metric, found in zip(series, config.metrics, judged, strict=True):
        doubts = doubts_of_a_pass(item, metric, found, plan)
        if decision is Judgement.PASS and doubts and not metric.muted:
            decision, reason = Judgement.UNCERTAIN, f"{item.title}: {doubts[0].message}"
        warnings = (
            *unpaired_values(item, found),
            *few_values(item),
            *infinite_values(item),
            *doubts,
        )
        warnings += tuple(allowed_harm(found))
        if found.label is ValueLabel.PASS:
            warnings += tuple(dead_zero(item.control, item.experiment))
        metrics.append(JudgedMetric.by_verdict(item, metric, found, warnings))
    return JudgementDocument.of(
        judge=JudgeKind.VERDICT,
        config=config,
        decision=decision,
        score=0.0 if critical or decision is Judgement.NO_DATA else summary(groups),
        reason=reason,
        groups=groups,
        metrics=metrics,
        warnings=_config_warnings(config, groups),
    )


def _mean_probability(judged: Sequence[ValueJudgement]) -> float | None:
    known = [j.probability_within_margin for j in judged if j.label is not ValueLabel.NO_DATA]
    return 100 * sum(known) / len(known) if known else None


def _decision(config: CanaryConfig, judged: Sequence[ValueJudgement]) -> tuple[Judgement, str]:
    """What the metrics say together, and why."""
    failed = [j for j in judged if j.fails]
    if failed:
        return Judgement.FAIL, f"{failed[0].name}: {failed[0].reason}"
    needed = {m.name for m in config.metrics if m.critical or m.must_have_data}
    missing = [j for j in judged if j.label is ValueLabel.NO_DATA]
    for found in missing:
        if found.name in needed:
            return Judgement.NO_DATA, f"{found.name} must have data: {found.reason}"
    if len(missing) >= MOST_WITHOUT_DATA * len(judged):
        return Judgement.NO_DATA, f"{len(missing)} of {len(judged)} metrics have no data"
    open_ = [j for j in judged if j.label is ValueLabel.UNCERTAIN]
    if open_:
        return Judgement.UNCERTAIN, f"{open_[0].name}: {open_[0].reason}"
    if few := [j.name for j in judged if j.few is not None]:
        who = f"{few[0]} has" if len(few) == 1 else f"{len(few)} metrics have"
        return Judgement.PASS, f"no harm is proven; {who} too few values to bound it"
    return Judgement.PASS, "every metric's harm is within what is allowed"


def _config_warnings(config: CanaryConfig, groups: Sequence[GroupScore]) -> list[str]:
    """What a score can't show: groups and metrics without each other, weights below 100."""
    there = {group.name for group in groups}
    unused = [name for name in config.group_weights if name not in there]
    alone = [m.name for m in config.metrics if not m.groups and not m.muted]
    found = [
        f"group {name!r} has a weight but no metric: it is lost to the score" for name in unused
    ]
    found += [f"metric {name!r} is in no group and doesn't count in the score" for name in alone]
    total = sum(group.weight for group in groups)
    if groups and not unused and total < 100 - 1e-6:
        found.append(f"the groups' weights sum to {total:g}, so no score can be higher")
    return found


def _with_both_sides(item: MetricSeries) -> MetricSeries:
    """The series, a side without any value as long as the other."""
    gaps = np.full(max(item.control.size, item.experiment.size), np.nan)
    return replace(
        item,
        control=item.control if item.control.size else gaps,
        experiment=item.experiment if item.experiment.size else gaps,
    )


def _check_pairs(path: Path, series: Sequence[MetricSeries]) -> None:
    problems = [
        FileProblem(
            str(path),
            1,
            item.title,
            f"has {item.control.size} control and {item.experiment.size} experiment values; the "
            "verdict judge pairs them by interval: give null where nothing was measured",
        )
        for item in series
        if item.control.size != item.experiment.size
    ] + [
        FileProblem(
            str(path),
            1,
            item.title,
            f"has an interval of {item.control_step:g} s in the control and of {item.step:g} s in "
            "the experiment; the verdict judge pairs them by interval: query both by one step",
        )
        for item in series
        if item.control_step is not None and item.step is not None
    ]
    if problems:
        raise InputError(problems)
