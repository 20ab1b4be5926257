-- at most one row: what an engine answered to a question
-- reads: engine_answers; parameters: experiment, question
select answer
from engine_answers
where experiment = $experiment and question = $question
