-- replaces the verdict of one look
-- writes: verdicts; parameters: experiment, look_at, decision, score, reasons, verdict
insert or replace into verdicts
values ($experiment, $look_at, $decision, $score, $reasons, $verdict)
