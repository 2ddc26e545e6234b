{#-
    Rules that venues set for their own fields, see core/mapping: `mapping` joins a row with its
    venue's rules and what they make of its payload, `mapped` takes a field's value from there. A
    venue without rules costs a look at a small table; rules are data, and never become SQL.
-#}

{% macro mapping(entity, streams) -%}
    {#- `entity`: the alias of the rows, and with an s the entity's table; `streams`: by provider the raw table of `raw_id`. -#}
    left join (
        select
            rule.venue_id,
            rule.provider,
            max(rule.version) as version,
            array_agg(rule.target_field order by rule.target_field) as fields,
            array_agg(rule.compiled order by rule.target_field) as rules
        from {{ source('control', 'field_mappings') }} as rule
        where rule.superseded_at is null and rule.target_table = '{{ this.identifier }}'
        group by 1, 2
    ) as mapping on mapping.venue_id = {{ entity }}.venue_id and mapping.provider = {{ entity }}.provider
    left join lateral (
        select control.map_fields(raw.payload, mapping.fields, mapping.rules) as result
        from (
            {%- for provider, stream in streams.items() %}
            select source.payload
            from {{ source('raw_' ~ provider, stream) }} as source
            where {{ entity }}.provider = '{{ provider }}' and mapping.rules is not null
                and source.venue_id = {{ entity }}.venue_id
                and source.account_id = {{ entity }}.account_id
                and source.id = {{ entity }}.raw_id
            {{ 'union all' if not loop.last }}
            {%- endfor %}
        ) as raw
    ) as mapped on mapping.rules is not null
{%- endmacro %}


{% macro mapped(column, type='text') -%}
    {#- The venue's own value of the field; the default's where it has no rule, or its rule fails. -#}
    {%- set field = column.split('.') | last -%}
    case
        when '{{ field }}' = any (mapping.fields) and mapped.result -> 'values' ? '{{ field }}'
            then (mapped.result -> 'values' ->> '{{ field }}'){{ '::' ~ type if type != 'text' }}
        else {{ column }}
    end
{%- endmacro %}


{% macro custom_fields() -%}
    case when mapping.rules is not null then (
        select jsonb_object_agg(substr(custom.key, 8), custom.value)
        from jsonb_each(mapped.result -> 'values') as custom
        where starts_with(custom.key, 'custom.')
    ) end
{%- endmacro %}


{% macro mapping_errors() -%}
    nullif(mapped.result -> 'errors', 'null'::jsonb)
{%- endmacro %}
