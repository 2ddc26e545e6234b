# ruff: noqa: E501 - SQL
"""Field mappings as the database evaluates them: rules are data, and never spliced into SQL.

Revision ID: 0008
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MAP_VALUE = """
CREATE FUNCTION control.map_value(payload jsonb, rule jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
DECLARE
    value jsonb := nullif(jsonb_path_query_first(payload, (rule ->> 'path')::jsonpath, '{}', true), 'null');
    steps jsonb := rule -> 'transforms';
    step jsonb;
    does text;
    words text;
    found text[];
    parts text[];
    iso text;
BEGIN
    FOR place IN 0 .. jsonb_array_length(steps) - 1 LOOP
        step := steps -> place;
        does := step ->> 'do';
        IF jsonb_typeof(value) IN ('object', 'array') AND does NOT IN ('join', 'constant', 'coalesce') THEN
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
        value := nullif(value, 'null');
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
CREATE FUNCTION control.map_fields(payload jsonb, fields text[], rules jsonb[]) RETURNS jsonb
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    made jsonb;
    filled jsonb := '{}';
    errors jsonb;
BEGIN
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

SAMPLE_RAW = """
CREATE FUNCTION control.sample_raw(provider text, stream text, latest integer)
RETURNS TABLE (id text, payload jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'raw_' || provider AND c.relname = stream AND c.relkind = 'r';
    IF NOT FOUND THEN
        RAISE undefined_table USING MESSAGE = format('no table raw_%s.%s', provider, stream);
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT r.id, r.payload FROM %I.%I r WHERE r.venue_id = $1 AND r.deleted_at IS NULL'
        ' ORDER BY r.last_changed_at DESC LIMIT $2',
        'raw_' || provider, stream
    ) USING current_setting('app.venue_id', true), least(latest, 1000);
END
$$
"""

FUNCTIONS = (
    (
        MAP_VALUE,
        "map_value",
        "dbt, portal, pipeline",
        "What a rule makes of a payload: a value, or an error.",
    ),
    (
        MAP_FIELDS,
        "map_fields",
        "dbt, portal, pipeline",
        "What the rules of a row make of its payload.",
    ),
    (SAMPLE_RAW, "sample_raw", "portal, pipeline", "The latest raw rows of the venue in scope."),
)


def upgrade() -> None:
    op.add_column(
        "field_mappings",
        sa.Column("compiled", JSONB(), nullable=False),
        schema="control",
    )
    op.add_column("field_mappings", sa.Column("type", sa.Text()), schema="control")
    op.add_column(
        "field_mappings",
        sa.Column("applied_at", sa.DateTime(timezone=True)),
        schema="control",
    )
    op.create_index(
        "field_mappings_in_force",
        "field_mappings",
        ["venue_id", "provider", "target_table", "target_field"],
        unique=True,
        postgresql_where=sa.text("superseded_at IS NULL"),
        schema="control",
    )
    for definition, name, roles, comment in FUNCTIONS:
        op.execute(sa.text(definition.replace(":", "\\:")))
        op.execute(f"COMMENT ON FUNCTION control.{name} IS '{comment}'")
        op.execute(f"REVOKE ALL ON FUNCTION control.{name} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION control.{name} TO {roles}")


def downgrade() -> None:
    for _, name, *_ in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION control.{name}")
    op.drop_index("field_mappings_in_force", "field_mappings", schema="control")
    op.drop_column("field_mappings", "applied_at", schema="control")
    op.drop_column("field_mappings", "type", schema="control")
    op.drop_column("field_mappings", "compiled", schema="control")
