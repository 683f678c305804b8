"""Expressions over a column, by the type of the column. Two spaces part them.

$c is the column, $t its table, $n its bare name, $v a value that is in it or near it, $w a word, $i a small number.
"""

import re


def parts(text):
    return re.split(r"\s{2,}", text.strip())


CONDITIONS = {
    "VARCHAR": parts("""
        $c = $v  $c <> $v  $c != $v  $c LIKE '%$w%'  $c NOT LIKE '$w%'  $c ILIKE '%$w'  $c IN ($v, $v, NULL)
        $c IS NULL  $c NOT IN ($v, $v)  length($c) > $i  $c IS NOT DISTINCT FROM $v  starts_with($c, '$w')
        $c IN ($v, $v)  $c > $v  coalesce(nullif($c, ''), 'none') <> 'none'"""),
    "BOOLEAN": parts("$c  NOT $c  $c IS NOT TRUE  $c IS NULL  $c = $v  coalesce($c, true)"),
    "TIMESTAMP": parts("""
        $c >= $v  $c < TIMESTAMP '2030-01-01' - INTERVAL 1 HOUR  $c IS NULL  $c <> $v  $c::DATE = $v::DATE"""),
    "BIGINT": parts("""
        $c < $v  $c <= $v  $c > $v  $c >= $v  $c = $v  $c <> $v  $c BETWEEN $v AND $v  $c - $v < 0
        $c IN ($v, $v)  $c IS NULL  $c IS NOT NULL  $c > (SELECT avg($n) FROM $t)  coalesce($c, -1) >= $v
        abs($c - 100) > 1e1  NOT ($c > $v)  $c % 3 = 1  $c = ANY (SELECT min($n) FROM $t)  $c NOT IN ($v, NULL)"""),
    "DOUBLE": parts("""
        $c < $v  $c <= $v  $c > $v  $c >= $v  $c = $v  $c <> $v  $c BETWEEN $v AND $v  $c - $v < 0  $c IS NULL
        $c IS NOT NULL  $c > (SELECT avg($n) FROM $t)  coalesce($c, -1) >= $v  abs($c - 0.5) > 1e-1
        NOT ($c > $v)  $c::FLOAT < $v  $c >= (SELECT quantile_disc($n, 0.5) FROM $t)"""),
}
VALUES = {
    "BIGINT": parts("""
        $c  $c - 1000  $c * -3 % 7  $c // 4  $c / 4  -$c  CAST($c AS DOUBLE) / 3  CAST($c % 100 AS UTINYINT)
        $c::VARCHAR || '!'  nullif($c, $v)  $c + 0.1  $c::HUGEINT * 2  $c * 1e3  CAST($c % 50 AS DECIMAL(9, 2))
        greatest($c, 5)  xor($c, 3)  CASE WHEN $c > 3 THEN 'many' WHEN $c IS NULL THEN 'none' ELSE 'few' END
        $c << 2  $c IN (1, 2)  least($c, NULL, 9)  abs($c)::UBIGINT  CAST($c % 9 AS UINTEGER) - 20  $c::FLOAT
        to_base($c % 64, 2)"""),
    "DOUBLE": parts("""
        $c  round($c, 2)  floor($c)  CAST($c * 10 AS INTEGER)  $c::FLOAT  sqrt(abs($c))  $c / nullif($c, 0)
        $c > 0.5  -$c  CAST($c AS DECIMAL(12, 4))  ln(1 + abs($c))  coalesce($c, 0)  sign($c)  $c * 1e-3
        $c::VARCHAR  $c / 0  trunc($c)"""),
    "VARCHAR": parts("""
        $c  upper($c)  length($c)  substr($c, 2, 4)  split_part($c, ':', 1)  replace($c, 'a', '''')
        nullif($c, '')  $c LIKE '%a%'  left($c, 3)  coalesce(nullif($c, ''), '(none)')
        regexp_extract($c, '[0-9]+')  reverse($c)  strpos($c, 'e')  concat($c, NULL, '-')  $c || NULL  md5($c)
        hash($c) % 100  ascii($c)  lpad($c, 5, '*')  TRY_CAST($c AS INTEGER)  $c < 'm'"""),
    "TIMESTAMP": parts("""
        $c  date_trunc('hour', $c)  CAST($c AS DATE)  epoch_ms($c)  $c + INTERVAL 90 MINUTE
        strftime($c, '%Y-%m-%d')  extract(minute FROM $c)"""),
    "BOOLEAN": parts("""
        $c  NOT $c  $c::INTEGER  coalesce($c, false)  $c AND NULL  CASE WHEN $c THEN 'yes' ELSE 'no' END"""),
}
AGGREGATES = parts("""
    count(DISTINCT $c)  min($c)  max($c)  count(*)  count($c)  list(DISTINCT $c ORDER BY $c)[1:3]
    any_value($c) IS NULL  count(*) FILTER (WHERE $c IS NOT NULL)  max($c)::VARCHAR""")
SUMS = parts("""
    sum($c)  avg($c)  stddev_samp($c)  median($c)  var_pop($c)  quantile_cont($c, 0.25)
    count(*) FILTER (WHERE $c > $v)  sum($c) / count(*)  max($c) - min($c)  bool_or($c > 1)  sum($c - 200)
    round(avg($c), 3)  quantile_disc($c, 0.9)  sum(CASE WHEN $c < 1 THEN 1 ELSE 0 END)  sum($c)::DOUBLE
    1 - count($c)""")
LISTS = parts("""
    $c[1]  len($c)  $c[-1] - $c[1]  list_sort($c)[1:4]  $c[2:5]  list_max($c) > 3  list_contains($c, 5)
    list_sum($c)  $c  list_transform($c[:3], x -> x * 2)  list_filter($c[:9], x -> x > 0)
    list_reduce($c[:4], (x, y) -> x + y)  [$c[1], NULL]  list_transform($c[:3], lambda x: x * 2)
    list_filter($c[:9], lambda x: x > 0)  [x + 1 for x in $c[:3] if x > 2]  array_to_string($c[:2], '|')
    list_distinct($c) IS NULL  {'first': $c[1], 'size': len($c)}  list_position($c, $c[2])
    list_aggregate($c, 'avg')  list_zip($c[:2], [1, 2])[1][2]  list_cosine_similarity($c, $c) > 0
    MAP {'k': $c[1]}  list_slice($c, 1, 4, 2)  list_reverse($c)[1]  [$c[:1], []]  {'a': {'b': $c[:2]}}
    list_concat($c[:1], NULL)""")
TIMES = parts("""
    started  finished - started  date_trunc('minute', started)  started::DATE
    date_diff('second', started, finished)  started + INTERVAL 3 MONTH  strftime(finished, '%H:%M')
    extract(hour FROM started)  started::TIME  {'at': started}  epoch(finished) - epoch(started)
    finished > started  dayname(started)  CAST(started AS TIMESTAMP_MS)  started::TIMESTAMPTZ
    age(finished, started)  time_bucket(INTERVAL 15 MINUTE, started)  date_part('doy', started)
    started - INTERVAL '1 day 2 hours'  to_timestamp(0)  make_date(2024, 2, 29) + INTERVAL 1 YEAR
    last_day(started)  started::VARCHAR  [started, finished]  finished - INTERVAL 200 MILLISECONDS
    INTERVAL '1 microsecond'  [started::DATE]  TIMESTAMP '1969-12-31 23:59:59.999999'  DATE '9999-12-31'
    started > '2020-01-01'  TIME '23:59:59.5'""")
NUMBERS = parts("""
    3::UBIGINT - 4::BIGINT  5::UINTEGER - 3::UINTEGER  200::UTINYINT + 55::UTINYINT  1e3  1e-310  -7 // 2
    -7 % 3  7 / 2  0.1 + 0.2  0.1::DOUBLE + 0.2  1/0  0.0/0  'nan'::DOUBLE  -'inf'::DOUBLE  2 ** 62
    9007199254740993  1 = 1.0  NULL + 1  9007199254740993::DOUBLE  1.1::FLOAT  CAST(2.5 AS INTEGER)
    CAST(3.5 AS INTEGER)  round(-2.5)  CAST('12' AS BIGINT) + 1  TRY_CAST('x' AS INTEGER)  sum(range)
    avg(range)  count(*)::UBIGINT  sum(range)::HUGEINT * 3  123456789012345678.9  0.1::DECIMAL(18, 17)
    [0.5::DOUBLE, NULL]  {'n': sum(range)}  [sum(range)]  bit_count(255)  hash(1) % 10  pi()  1::DECIMAL(9, 3)
    -0.0::DOUBLE  [0.25::DECIMAL(4, 2)]  ['nan'::DOUBLE]  3::UTINYINT - 4  18446744073709551615::UBIGINT
    9223372036854775807 - 1  max(range)::UHUGEINT  1e300 * 10  5::BIT  'inf'::FLOAT  (-128)::TINYINT""")
TEXTS = parts(r"""
    'it''s'  ''  NULL  ' a '  chr(9) || 'b'  'a' || chr(10) || 'b'  '"'  'ä' || 'ß'  upper('straße')  'a,b;c'
    '=1+1'  lower('ÀB')  length('鳥')  repeat('ab', 300)  string_split('a:b:c', ':')  ['a,b', '', NULL, 'NULL']
    {'k': 'v, w'}  'NULL'  'null'  '1'  concat_ws('-', 'a', NULL, 'b')  format('{:.3f}', 0.1234)
    printf('%d', 3)  '\n'  '101'::BIT  '\xAA'::BLOB  '6c2f8f4e-0c45-4e10-9d5b-2a2a3c3f1b10'::UUID
    'b'::ENUM('a', 'b')  '[1]'::JSON  'a' < 'B'  true  'a' COLLATE NOCASE = 'A'  'x' SIMILAR TO '[x-z]'
    '50%' LIKE '50!%' ESCAPE '!'  {'a': NULL}  MAP {'x': 1, 'y': NULL}  chr(13) || 'c'  '\'  'é' || chr(769)
    chr(128038)  '-'  '{"a": 1}'  union_value(k := 1)""")
