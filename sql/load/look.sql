-- writes one look
-- writes: looks; parameters: experiment, look_at, window_start, watermark, spec_hash,
--   software_version
insert into looks
values ($experiment, $look_at, $window_start, $watermark, $spec_hash, $software_version)
