-- replaces one look; yields nothing
-- writes: looks
insert or replace into looks
values ($experiment, $look_at, $window_start, $watermark, $spec_hash, $software_version)
