# ruff: noqa: E501 - SQL
"""Rules are evaluated at less cost: a plain path is followed without being parsed for each row, a
payload is unpacked once for all rules.

Revision ID: 0023
"""

from importlib import import_module

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

MAP_VALUE = """
CREATE OR REPLACE FUNCTION control.map_value(payload jsonb, rule jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
DECLARE
    keys text[] := rule ->> 'keys';
    value jsonb;
    steps jsonb := rule -> 'transforms';
    step jsonb;
    does text;
    words text;
    found text[];
    parts text[];
    iso text;
BEGIN
    IF keys IS NOT NULL THEN
        value := payload #> keys;
    ELSE
        value := jsonb_path_query_first(payload, (rule ->> 'path')::jsonpath, '{}', true);
    END IF;
    IF value = 'null' THEN value := NULL; END IF;
    IF steps = '[]' AND rule ->> 'type' = 'text' AND jsonb_typeof(value) = 'string' THEN
        RETURN jsonb_build_object('value', value);
    END IF;
    FOR place IN 0 .. jsonb_array_length(steps) - 1 LOOP
        step := steps -> place;
        does := step ->> 'do';
        IF does NOT IN ('join', 'constant', 'coalesce') AND jsonb_typeof(value) IN ('object', 'array') THEN
            RETURN '{"error": "is not a single value"}';
        END IF;
        words := value #>> '{}';
        CASE does
            WHEN 'constant' THEN
                value := nullif(step -> 'value', 'null');
            WHEN 'coalesce' THEN
                IF value IS NULL OR value = '""' THEN
                    SELECT at.value INTO value
                    FROM jsonb_array_elements_text(step -> 'paths') WITH ORDINALITY AS p,
                        jsonb_path_query_first(payload, p.value::jsonpath, '{}', true) AS at(value)
                    WHERE at.value NOT IN ('null', '""')
                    ORDER BY p.ordinality LIMIT 1;
                END IF;
            WHEN 'join' THEN
                SELECT to_jsonb(string_agg(piece.value #>> '{}', step ->> 'separator' ORDER BY source.place, piece.place))
                INTO value
                FROM (
                    SELECT 0::bigint AS place, value AS held
                    UNION ALL
                    SELECT p.ordinality, jsonb_path_query_first(payload, p.value::jsonpath, '{}', true)
                    FROM jsonb_array_elements_text(step -> 'paths') WITH ORDINALITY AS p
                ) AS source,
                jsonb_array_elements(
                    CASE jsonb_typeof(source.held) WHEN 'array' THEN source.held ELSE jsonb_build_array(source.held) END
                ) WITH ORDINALITY AS piece(value, place)
                WHERE source.held IS NOT NULL
                    AND jsonb_typeof(piece.value) NOT IN ('object', 'array', 'null') AND piece.value <> '""';
            ELSE
                IF words IS NULL THEN CONTINUE; END IF;
                CASE does
                    WHEN 'trim' THEN
                        value := to_jsonb(btrim(words, E' \\t\\n\\r'));
                    WHEN 'case' THEN
                        value := to_jsonb(CASE step ->> 'to' WHEN 'upper' THEN upper(words) ELSE lower(words) END);
                    WHEN 'split' THEN
                        found := string_to_array(words, step ->> 'separator');
                        value := to_jsonb(found[
                            (step ->> 'part')::integer + 1
                            + CASE WHEN (step ->> 'part')::integer < 0 THEN cardinality(found) ELSE 0 END
                        ]);
                    WHEN 'number' THEN
                        IF jsonb_typeof(value) = 'number' THEN CONTINUE; END IF;
                        words := btrim(words);
                        IF step ->> 'group' <> '' THEN words := replace(words, step ->> 'group', ''); END IF;
                        IF step ->> 'decimal' <> '.' AND position('.' IN words) > 0 THEN
                            RETURN '{"error": "is not a number as it should be written"}';
                        END IF;
                        words := replace(words, step ->> 'decimal', '.');
                        IF words !~ '^[-+]?[0-9]{1,30}(\\.[0-9]{1,20})?$' THEN
                            RETURN '{"error": "is not a number as it should be written"}';
                        END IF;
                        value := to_jsonb(words::numeric);
                    WHEN 'minor_units' THEN
                        IF words !~ '^-?[0-9]{1,30}(\\.[0-9]{1,20})?$' THEN
                            RETURN '{"error": "is not an amount"}';
                        END IF;
                        IF words::numeric * power(10::numeric, (step ->> 'digits')::numeric) % 1 <> 0 THEN
                            RETURN '{"error": "has more decimals than its currency"}';
                        END IF;
                        value := to_jsonb(trunc(words::numeric * power(10::numeric, (step ->> 'digits')::numeric)));
                    WHEN 'major_units' THEN
                        IF words !~ '^-?[0-9]{1,30}$' THEN
                            RETURN '{"error": "is not an amount in minor units"}';
                        END IF;
                        value := to_jsonb(
                            round(words::numeric / power(10::numeric, (step ->> 'digits')::numeric), (step ->> 'digits')::integer)
                        );
                    WHEN 'lookup' THEN
                        value := CASE
                            WHEN step -> 'table' ? words THEN step -> 'table' -> words
                            ELSE step -> 'otherwise'
                        END;
                    WHEN 'boolean' THEN
                        words := lower(btrim(words));
                        IF step -> 'true' ? words THEN
                            value := 'true';
                        ELSIF step -> 'false' ? words THEN
                            value := 'false';
                        ELSE
                            RETURN '{"error": "is neither a yes nor a no"}';
                        END IF;
                    WHEN 'date' THEN
                        parts := regexp_match(btrim(words), step ->> 'pattern');
                        IF parts IS NULL THEN
                            RETURN '{"error": "is not a date as it should be written"}';
                        END IF;
                        SELECT
                            max(p.v) FILTER (WHERE p.n = 'year') || '-' || lpad(max(p.v) FILTER (WHERE p.n = 'month'), 2, '0')
                            || '-' || lpad(max(p.v) FILTER (WHERE p.n = 'day'), 2, '0')
                            || coalesce(
                                ' ' || lpad(max(p.v) FILTER (WHERE p.n = 'hour'), 2, '0')
                                || ':' || lpad(coalesce(max(p.v) FILTER (WHERE p.n = 'minute'), '0'), 2, '0')
                                || ':' || lpad(coalesce(max(p.v) FILTER (WHERE p.n = 'second'), '0'), 2, '0'), ''
                            )
                        INTO iso
                        FROM ROWS FROM (jsonb_array_elements_text(step -> 'parts'), unnest(parts)) AS p(n, v);
                        IF NOT pg_input_is_valid(iso, 'timestamp') OR left(iso, 4) = '0000' THEN
                            RETURN '{"error": "is no day that exists"}';
                        END IF;
                        value := CASE
                            WHEN iso LIKE '% %' THEN to_jsonb(
                                to_char(iso::timestamp AT TIME ZONE (step ->> 'zone') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
                            )
                            ELSE to_jsonb(iso)
                        END;
                END CASE;
        END CASE;
        IF value = 'null' THEN value := NULL; END IF;
    END LOOP;
    value := coalesce(value, nullif(rule -> 'default', 'null'));
    IF value IS NULL THEN
        IF (rule ->> 'required')::boolean THEN RETURN '{"error": "has no value, and is required"}'; END IF;
        RETURN '{"value": null}';
    END IF;
    IF jsonb_typeof(value) IN ('object', 'array') THEN RETURN '{"error": "is not a single value"}'; END IF;
    words := value #>> '{}';
    CASE rule ->> 'type'
        WHEN 'text' THEN
            value := to_jsonb(words);
        WHEN 'number' THEN
            IF words !~ '^[-+]?[0-9]{1,30}(\\.[0-9]{1,20})?$' THEN RETURN '{"error": "is not a number"}'; END IF;
            value := to_jsonb(words::numeric);
        WHEN 'integer' THEN
            IF words !~ '^[-+]?[0-9]{1,18}$' THEN RETURN '{"error": "is not a whole number"}'; END IF;
            value := to_jsonb(words::numeric);
        WHEN 'boolean' THEN
            IF words NOT IN ('true', 'false') THEN RETURN '{"error": "is neither true nor false"}'; END IF;
            value := to_jsonb(words::boolean);
        WHEN 'date' THEN
            IF words !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}' OR NOT pg_input_is_valid(left(words, 10), 'date')
                OR left(words, 4) = '0000' THEN
                RETURN '{"error": "is not a date"}';
            END IF;
            value := to_jsonb(left(words, 10));
        WHEN 'timestamp' THEN
            IF words !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}' OR NOT pg_input_is_valid(words, 'timestamptz')
                OR left(words, 4) = '0000' THEN
                RETURN '{"error": "is not an instant"}';
            END IF;
            value := to_jsonb(words);
    END CASE;
    RETURN jsonb_build_object('value', value);
END
$$
"""

MAP_FIELDS = """
CREATE OR REPLACE FUNCTION control.map_fields(payload jsonb, fields text[], rules jsonb[]) RETURNS jsonb
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE COST 1000
AS $$
DECLARE
    made jsonb;
    filled jsonb := '{}';
    errors jsonb;
BEGIN
    -- Unpacked once, not at each look: what is joined with nothing is returned as it is.
    payload := payload || '{}';
    FOR place IN 1 .. cardinality(fields) LOOP
        made := control.map_value(payload, rules[place]);
        IF made ? 'error' THEN
            errors := coalesce(errors, '{}') || jsonb_build_object(fields[place], made -> 'error');
        ELSE
            filled := filled || jsonb_build_object(fields[place], made -> 'value');
        END IF;
    END LOOP;
    RETURN jsonb_build_object('values', filled, 'errors', errors);
END
$$
"""


def upgrade() -> None:
    for definition in (MAP_VALUE, MAP_FIELDS):
        op.execute(sa.text(definition.replace(":", "\\:")))


def downgrade() -> None:
    former = import_module("migrations.versions.0008_field_mappings")
    for definition in (former.MAP_VALUE, former.MAP_FIELDS):
        replaced = definition.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
        op.execute(sa.text(replaced.replace(":", "\\:")))
