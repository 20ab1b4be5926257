-- keeps what no claimed window covers of the emptied ones, as windows of their own
-- reads: uncovered_spans; writes: pulls; parameters: experiment, source
insert into pulls
    (experiment, source, window_start, window_end, generation, row_count, targets_up, warnings,
    selection, notes)
select
    emptied.experiment,
    emptied.source,
    spans.span_start,
    spans.span_end,
    emptied.generation,
    emptied.row_count,
    emptied.targets_up,
    emptied.warnings,
    emptied.selection,
    emptied.notes
from pulls as emptied
inner join uncovered_spans as spans on emptied.window_start = spans.window_start
where emptied.experiment = $experiment and emptied.source = $source
on conflict (experiment, source, window_start) do update set window_end = excluded.window_end
