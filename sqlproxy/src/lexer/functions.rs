//! Functions by their names: those whose call changes nothing and has the same result on every server
//! that is up to date, and those that are the session's or the primary's.
//!
//! A name that is in neither list may be a stored function, which may write: its statement goes to the
//! primary. Sources: MySQL 8.4 and 9.x, MariaDB 10.11 and 11.8, their reference manuals' lists of
//! functions. Results that differ between servers anyway (RAND, UUID, NOW) are no reason to stay.
//!
//! Not here: what the statement around a call is.

use super::statement::Traits;
use super::words::is;

/// Whether a word before a parenthesis is harmless: a function that is built in and has no part in
/// the session, or a word that calls nothing (`IN (`, `DECIMAL(`).
#[must_use]
pub fn is_harmless(word: &[u8]) -> bool {
    let Some(first) = word.first() else {
        return false;
    };
    harmless(first.to_ascii_lowercase())
        .iter()
        .any(|name| name.len() == word.len() && is(word, name))
}

/// What a function has to do with the session or the primary; `None` if it is no such function.
#[must_use]
pub fn traits(word: &[u8]) -> Option<Traits> {
    if word.len() < 6 {
        return None;
    }
    OF_THE_SESSION
        .iter()
        .find(|(name, _)| name.len() == word.len() && is(word, name))
        .map(|(_, traits)| *traits)
}

/// Functions with side effects, or whose result is the session's or one server's.
const OF_THE_SESSION: &[(&str, Traits)] = &[
    ("get_lock", Traits::TAKES_LOCK),
    ("release_lock", Traits::GIVES_LOCK),
    (
        "release_all_locks",
        Traits::GIVES_LOCK.with(Traits::GIVES_ALL_LOCKS),
    ),
    ("is_free_lock", PRIMARY),
    ("is_used_lock", PRIMARY),
    ("last_insert_id", Traits::LAST_INSERT_ID),
    ("found_rows", Traits::PREVIOUS),
    ("row_count", Traits::PREVIOUS),
    ("connection_id", Traits::CONNECTION),
    ("ps_current_thread_id", Traits::CONNECTION),
    ("nextval", Traits::SEQUENCE),
    ("lastval", Traits::SEQUENCE),
    ("setval", Traits::SEQUENCE),
    // Before a parenthesis it calls nothing, and is what it is.
    ("sql_calc_found_rows", Traits::REMEMBERED),
    ("load_file", PRIMARY),
    ("master_pos_wait", PRIMARY),
    ("source_pos_wait", PRIMARY),
    ("master_gtid_wait", PRIMARY),
    ("wait_for_executed_gtid_set", PRIMARY),
    ("binlog_gtid_pos", PRIMARY),
    ("gtid_subset", PRIMARY),
    ("gtid_subtract", PRIMARY),
];

/// One server's own.
const PRIMARY: Traits = Traits::SYSTEM_VARIABLE;

#[rustfmt::skip]
fn harmless(first: u8) -> &'static [&'static str] {
    match first {
        b'a' => &["abs", "acos", "adddate", "addtime", "aes_decrypt", "aes_encrypt", "against", "all", "and", "any", "any_value", "as", "ascii", "asin", "atan", "atan2", "avg"],
        b'b' => &["benchmark", "between", "bigint", "bin", "bin_to_uuid", "binary", "bit", "bit_and", "bit_count", "bit_length", "bit_or", "bit_xor", "blob", "by"],
        b'c' => &["can_access_column", "can_access_database", "can_access_table", "can_access_user", "can_access_view", "case", "cast", "ceil", "ceiling", "char", "char_length", "character_length", "charset", "chr", "coalesce", "coercibility", "collation", "column_add", "column_check", "column_create", "column_delete", "column_exists", "column_get", "column_json", "column_list", "columns", "compress", "concat", "concat_operator_oracle", "concat_ws", "conv", "convert", "convert_tz", "cos", "cot", "count", "crc32", "crc32c", "cross", "cume_dist", "curdate", "current_date", "current_role", "current_time", "current_timestamp", "current_user", "curtime"],
        b'd' => &["database", "date", "date_add", "date_format", "date_sub", "datediff", "datetime", "day", "dayname", "dayofmonth", "dayofweek", "dayofyear", "dec", "decimal", "decode", "decode_oracle", "default", "degrees", "dense_rank", "des_decrypt", "des_encrypt", "distinct", "div", "double"],
        b'e' => &["else", "elt", "encode", "encrypt", "except", "exists", "exp", "export_set", "extract", "extractvalue"],
        b'f' => &["field", "find_in_set", "first_value", "float", "floor", "for", "force", "format", "format_bytes", "format_pico_time", "from", "from_base64", "from_days", "from_unixtime"],
        b'g' => &["geomcollection", "geometry", "geometrycollection", "get_format", "greatest", "group", "group_concat", "grouping"],
        b'h' => &["having", "hex", "high_priority", "hour"],
        b'i' => &["if", "ifnull", "ignore", "in", "index", "inet6_aton", "inet6_ntoa", "inet_aton", "inet_ntoa", "inner", "insert", "instr", "int", "integer", "intersect", "interval", "into", "is", "is_ipv4", "is_ipv4_compat", "is_ipv4_mapped", "is_ipv6", "is_uuid", "isnull"],
        b'j' => &["join", "json_array", "json_array_append", "json_array_insert", "json_array_intersect", "json_arrayagg", "json_compact", "json_contains", "json_contains_path", "json_depth", "json_detailed", "json_equals", "json_exists", "json_extract", "json_insert", "json_keys", "json_length", "json_loose", "json_merge", "json_merge_patch", "json_merge_preserve", "json_normalize", "json_object", "json_object_filter_keys", "json_object_to_array", "json_objectagg", "json_overlaps", "json_pretty", "json_query", "json_quote", "json_remove", "json_replace", "json_schema_valid", "json_schema_validation_report", "json_search", "json_set", "json_storage_free", "json_storage_size", "json_table", "json_type", "json_unquote", "json_valid", "json_value"],
        b'k' => &["kdf", "key"],
        b'l' => &["lag", "last_day", "last_value", "lateral", "lcase", "lead", "least", "left", "length", "lengthb", "like", "limit", "linestring", "ln", "localtime", "localtimestamp", "locate", "log", "log10", "log2", "longtext", "lower", "lpad", "ltrim"],
        b'm' => &["make_set", "makedate", "maketime", "match", "max", "mbrcontains", "mbrcoveredby", "mbrcovers", "mbrdisjoint", "mbrequals", "mbrintersects", "mbroverlaps", "mbrtouches", "mbrwithin", "md5", "median", "mediumint", "microsecond", "mid", "min", "minute", "mod", "month", "monthname", "months_between", "multilinestring", "multipoint", "multipolygon"],
        b'n' => &["name_const", "natural_sort_key", "not", "now", "nth_value", "ntile", "nullif", "numeric", "nvarchar", "nvl", "nvl2"],
        b'o' => &["oct", "octet_length", "old_password", "on", "or", "ord", "order", "over"],
        b'p' => &["partition", "password", "percent_rank", "percentile_cont", "percentile_disc", "period_add", "period_diff", "pi", "point", "polygon", "position", "pow", "power", "primary"],
        b'q' => &["quarter", "quote"],
        b'r' => &["radians", "rand", "random_bytes", "rank", "regexp", "regexp_instr", "regexp_like", "regexp_replace", "regexp_substr", "repeat", "replace", "reverse", "right", "rlike", "round", "row", "row_number", "rownum", "rpad", "rtrim"],
        b's' => &["schema", "sec_to_time", "second", "select", "session_user", "set", "sformat", "sha", "sha1", "sha2", "sign", "sin", "sleep", "smallint", "some", "soundex", "space", "sql_cache", "sql_no_cache", "sqrt", "st_area", "st_asbinary", "st_asgeojson", "st_astext", "st_aswkb", "st_aswkt", "st_boundary", "st_buffer", "st_centroid", "st_collect", "st_contains", "st_convexhull", "st_crosses", "st_difference", "st_dimension", "st_disjoint", "st_distance", "st_distance_sphere", "st_endpoint", "st_envelope", "st_equals", "st_exteriorring", "st_geohash", "st_geomcollfromtext", "st_geometryn", "st_geometrytype", "st_geomfromgeojson", "st_geomfromtext", "st_geomfromwkb", "st_interiorringn", "st_intersection", "st_intersects", "st_isclosed", "st_isempty", "st_isring", "st_issimple", "st_isvalid", "st_latfromgeohash", "st_latitude", "st_length", "st_longfromgeohash", "st_longitude", "st_makeenvelope", "st_numgeometries", "st_numinteriorrings", "st_numpoints", "st_overlaps", "st_pointfromgeohash", "st_pointfromtext", "st_pointn", "st_pointonsurface", "st_polyfromtext", "st_relate", "st_simplify", "st_srid", "st_startpoint", "st_swapxy", "st_symdifference", "st_touches", "st_transform", "st_union", "st_validate", "st_within", "st_x", "st_y", "statement_digest", "statement_digest_text", "std", "stddev", "stddev_pop", "stddev_samp", "str_to_date", "straight_join", "strcmp", "subdate", "substr", "substring", "substring_index", "subtime", "sum", "sys_guid", "sysdate", "system_user"],
        b't' => &["table", "tan", "then", "time", "time_format", "time_to_sec", "timediff", "timestamp", "timestampadd", "timestampdiff", "tinyint", "to_base64", "to_char", "to_days", "to_seconds", "trim", "trim_oracle", "truncate"],
        b'u' => &["ucase", "uncompress", "uncompressed_length", "unhex", "unicode", "union", "unix_timestamp", "updatexml", "upper", "use", "user", "using", "utc_date", "utc_time", "utc_timestamp", "uuid", "uuid_short", "uuid_to_bin", "uuid_v4", "uuid_v7"],
        b'v' => &["validate_password_strength", "values", "var_pop", "var_samp", "varbinary", "varchar", "variance", "vec_distance", "vec_distance_cosine", "vec_distance_euclidean", "vec_fromtext", "vec_totext", "version"],
        b'w' => &["week", "weekday", "weekofyear", "weight_string", "when", "where", "with", "within"],
        b'x' => &["xor"],
        b'y' => &["year", "yearweek"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_have_no_word_in_common_and_are_found() {
        let mut count = 0;
        for first in b'a'..=b'z' {
            for name in harmless(first) {
                assert!(name.starts_with(char::from(first)), "{name}");
                assert!(is_harmless(name.to_uppercase().as_bytes()), "{name}");
                assert_eq!(traits(name.as_bytes()), None, "{name}");
                count += 1;
            }
        }
        assert!(count > 400, "{count}");
        for (name, known) in OF_THE_SESSION {
            assert_eq!(
                traits(name.to_uppercase().as_bytes()),
                Some(*known),
                "{name}"
            );
            assert!(!is_harmless(name.as_bytes()), "{name}");
        }
        assert!(!is_harmless(b"") && !is_harmless(b"my_function") && !is_harmless(b"_x"));
    }
}
