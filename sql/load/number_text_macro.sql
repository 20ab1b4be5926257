-- makes number_text(number): a floating-point number as text, without exponent where it is whole
-- yields: number_text, a temporary macro
-- From 2^53 on not every whole number can be told; NaN is no number.
create or replace temporary macro number_text(number) as
case
    when isnan(number) then null
    when abs(number) >= 9007199254740992 then replace(cast(number as varchar), 'E', 'e+')
    when number = floor(number) then cast(cast(number as bigint) as varchar)
    else cast(number as varchar)
end
