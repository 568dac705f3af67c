-- What was earned, in millionths of a minor unit: whole numbers, whose sums do not depend on the order of adding.

alter table day_statistic add column earned_micros bigint not null default 0;
update day_statistic set earned_micros = cast(round(earned_sum * 1000000.0) as bigint);
