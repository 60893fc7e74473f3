"""Spark SQL functions that compute one value from one row, the same at every run.

Taken from the groups of Spark 4.2's own function registry, without aggregates, windows, generators, and what
depends on the clock, the session, chance, files or the JVM.
"""

_DATES = """
    add_months convert_timezone date date_add date_diff date_format date_from_unix_date date_part date_sub date_trunc
    dateadd datediff datepart day dayname dayofmonth dayofweek dayofyear extract from_unixtime from_utc_timestamp hour
    last_day make_date make_dt_interval make_interval make_timestamp make_timestamp_ltz make_timestamp_ntz
    make_ym_interval minute month monthname months_between next_day quarter second timestamp timestamp_micros
    timestamp_millis timestamp_seconds timestampadd timestampdiff to_date to_timestamp to_timestamp_ltz
    to_timestamp_ntz to_unix_timestamp to_utc_timestamp trunc try_make_interval try_make_timestamp
    try_make_timestamp_ltz try_make_timestamp_ntz try_to_date try_to_timestamp unix_date unix_micros unix_millis
    unix_seconds unix_timestamp weekday weekofyear year
"""
_NUMBERS = """
    abs acos acosh asin asinh atan atan2 atanh bigint bin bit_count bit_get bround cbrt ceil ceiling conv cos cosh cot
    csc decimal degrees double e exp expm1 factorial float floor getbit greatest hex hypot int least ln log log10 log1p
    log2 mod negative pi pmod positive pow power radians rint round sec shiftleft shiftright shiftrightunsigned sign
    signum sin sinh smallint sqrt tan tanh tinyint try_add try_divide try_mod try_multiply try_subtract unhex
    width_bucket
"""
_TEXTS = """
    ascii base64 binary bit_length btrim char char_length character_length chr collate collation concat concat_ws
    contains crc32 decode elt encode endswith find_in_set format_number format_string hash initcap instr is_valid_utf8
    lcase left len length levenshtein locate lower lpad ltrim luhn_check make_valid_utf8 mask md5 octet_length overlay
    parse_url position printf quote regexp_count regexp_extract regexp_extract_all regexp_instr regexp_like
    regexp_replace regexp_substr repeat replace reverse right rpad rtrim sentences sha sha1 sha2 soundex space split
    split_part startswith string substr substring substring_index to_binary to_char to_number to_varchar translate trim
    try_parse_url try_to_binary try_to_number try_url_decode try_validate_utf8 ucase unbase64 upper url_decode
    url_encode validate_utf8 xxhash64
"""
_CONDITIONS = """
    boolean cast coalesce equal_null if ifnull isnan isnotnull isnull nanvl nullif nullifzero nvl nvl2 try_cast typeof
    zeroifnull
"""
_NESTED = """
    aggregate array array_append array_compact array_contains array_distinct array_except array_insert array_intersect
    array_join array_max array_min array_position array_prepend array_remove array_repeat array_size array_sort
    array_union arrays_overlap arrays_zip cardinality element_at exists filter flatten forall from_csv from_json get
    get_json_object is_valid_variant is_variant_null json_array_length json_object_keys map map_concat map_contains_key
    map_entries map_filter map_from_arrays map_from_entries map_keys map_values map_zip_with named_struct parse_json
    reduce schema_of_csv schema_of_json sequence size slice sort_array str_to_map struct to_csv to_json transform
    transform_keys transform_values try_element_at try_parse_json try_variant_get variant_get zip_with
"""

ROW_FUNCTIONS = frozenset(f"{_DATES} {_NUMBERS} {_TEXTS} {_CONDITIONS} {_NESTED}".split())
