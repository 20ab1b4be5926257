-- writes the verdict of one look
-- writes: verdicts; parameters: experiment, look_at, decision, score, reasons, verdict
insert into verdicts
values ($experiment, $look_at, $decision, $score, $reasons, $verdict)
