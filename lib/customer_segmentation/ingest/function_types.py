"""What Spark's functions of a single row do with values they can't compute: by name, for `ingest.expressions`."""

_WITH_A_TRIED_FORM = """
    element_at make_interval make_timestamp make_timestamp_ltz make_timestamp_ntz mod parse_json parse_url to_binary
    to_number to_timestamp url_decode validate_utf8 variant_get
"""
_CASTS = "bigint boolean date decimal double float int smallint timestamp tinyint"
_NUMERIC = """
    abs acos asin atan bround cbrt ceil ceiling cos exp floor greatest least ln log10 log1p log2 negative pmod positive
    pow power rint round sign signum sin sqrt tan try_add try_divide try_mod try_multiply try_subtract
"""
_OF_TIME = """
    add_months date_add date_diff date_format date_sub date_trunc datediff day dayname dayofmonth dayofweek dayofyear
    hour last_day minute month monthname months_between next_day quarter second trunc unix_date unix_micros unix_millis
    unix_seconds weekday weekofyear year
"""
_TO_TIME = """
    add_months date date_add date_sub date_trunc from_utc_timestamp last_day make_date make_timestamp next_day timestamp
    timestamp_micros timestamp_millis timestamp_seconds to_date to_timestamp to_utc_timestamp trunc try_make_timestamp
    try_to_date try_to_timestamp
"""
_TO_TEXT = """
    btrim concat concat_ws date_format dayname get_json_object initcap lcase lower ltrim md5 monthname regexp_replace
    replace reverse rtrim sha2 string translate trim ucase upper
"""
_TO_TEXT_BY_POSITION = """
    left lpad regexp_extract regexp_substr repeat right rpad split_part substr substring substring_index
"""
_TO_NUMBER = "char_length character_length length size try_to_number"
_NEVER_FAIL = """
    array array_contains char_length character_length contains endswith equal_null from_json get isnan isnotnull isnull
    json_array_length length map named_struct nanvl size split startswith struct to_json try_element_at
    try_make_timestamp try_to_binary try_to_date try_to_number try_to_timestamp try_variant_get typeof xxhash64
"""

TRIED = {name: f"try_{name}" for name in _WITH_A_TRIED_FORM.split()}
"""By name the function that gives null where it fails."""
CASTS = frozenset(_CASTS.split())
"""Names of types that are called as functions."""
CHOICES = frozenset({"coalesce", "nvl", "ifnull"})
"""The first argument that is not null."""
NUMERIC = frozenset(_NUMERIC.split())
"""From numbers to a number."""
OF_TIME = frozenset(_OF_TIME.split())
"""Computed of a date or a timestamp."""
TO_TIME = frozenset(_TO_TIME.split())
"""A date or a timestamp."""
TO_TEXT = frozenset(_TO_TEXT.split())
"""Text; never fails, if its arguments don't."""
TO_TEXT_BY_POSITION = frozenset(_TO_TEXT_BY_POSITION.split())
"""Text; never fails where the arguments after the first are written out."""
TO_NUMBER = NUMERIC | OF_TIME - TO_TIME - TO_TEXT | frozenset(_TO_NUMBER.split())
"""A number."""
NEVER_FAIL = TO_TEXT | frozenset(_NEVER_FAIL.split())
"""Never fails, if its arguments don't."""
WITH_UNIT = frozenset({"date_add", "date_diff", "dateadd", "datediff", "timestampadd", "timestampdiff"})
"""With three arguments the first is the name of a unit of time."""
