{#-
    Casts of what jsonb_to_record took out of a payload, as text or jsonb. A value that cannot be
    read becomes null, so that one venue's malformed row stops no other's build; where the value
    matters, a not-null test names it.
-#}

{% macro integer(value) -%}
    case when pg_input_is_valid({{ value }}, 'bigint') then ({{ value }})::bigint end
{%- endmacro %}


{% macro decimal(value) -%}
    case when pg_input_is_valid({{ value }}, 'numeric') then ({{ value }})::numeric end
{%- endmacro %}


{% macro boolean(value) -%}
    case {{ value }} when 'true' then true when 'false' then false end
{%- endmacro %}


{% macro instant(value) -%}
    {#- Epoch seconds; eleven digits keep to_timestamp within its range. -#}
    case when {{ value }} ~ '^[0-9]{1,11}$' then to_timestamp(({{ value }})::bigint) end
{%- endmacro %}


{% macro timestamp(value) -%}
    {#- ISO 8601; words that Postgres takes for times, such as 'now', are none. -#}
    case
        when {{ value }} ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}' and pg_input_is_valid({{ value }}, 'timestamptz')
            then ({{ value }})::timestamptz
    end
{%- endmacro %}


{% macro calendar_date(value) -%}
    case when {{ value }} ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}' and pg_input_is_valid({{ value }}, 'date') then ({{ value }})::date end
{%- endmacro %}


{% macro reference(value) -%}
    {#- An id, or the object itself where it came expanded. -#}
    case jsonb_typeof({{ value }}) when 'object' then ({{ value }}) ->> 'id' else ({{ value }}) #>> '{}' end
{%- endmacro %}


{% macro elements(value, path='$[*]') -%}
    {#- The objects at the path; none where the list is null, absent or no list. -#}
    jsonb_path_query({{ value }}, 'lax {{ path }} ? (@.type() == "object")')
{%- endmacro %}


{% macro sum_of_amounts(value) -%}
    {#- Null where there is no list, so that an older or newer field can answer. -#}
    case when jsonb_typeof({{ value }}) = 'array' then (
        select coalesce(sum({{ integer("element ->> 'amount'") }}), 0)::bigint
        from {{ elements(value) }} as element
    ) end
{%- endmacro %}


{% macro sum_of_money(value, field='amount_money') -%}
    {#- Of a list of objects that each hold an amount with its currency, as Square writes it. -#}
    case when jsonb_typeof({{ value }}) = 'array' then (
        select coalesce(sum({{ integer("element #>> '{" ~ field ~ ",amount}'") }}), 0)::bigint
        from {{ elements(value) }} as element
    ) end
{%- endmacro %}
