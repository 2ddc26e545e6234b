{#-
    Rules that venues set for their own fields, see core/mapping: `mapping` joins a row with its
    venue's rules and what they make of its payload, `mapped` takes a field's value from there. A
    venue without rules costs a look at a small table; rules are data, and never become SQL.
-#}

{% macro mapping(entity, streams) -%}
    {#-
        `entity`: the alias of the rows; `streams`: by provider the raw table of `raw_id`, or by
        document_type, where its documents are of several.
    -#}
    {%- do config(meta={'mapped': streams}) -%}
    {#- A row a venue and provider, whatever there are of rules: joined by hash, not by trying each. #}
    left join (
        select owner.venue_id, each.provider, rules.*
        from {{ source('control', 'venues') }} as owner
        cross join unnest(array['{{ streams | join("', '") }}']) as each (provider)
        cross join lateral (
            select
                max(rule.version) as version,
                array_agg(rule.target_field order by rule.target_field) as fields,
                array_agg(rule.compiled order by rule.target_field) as rules
            from {{ source('control', 'field_mappings') }} as rule
            where rule.venue_id = owner.venue_id
                and rule.provider = each.provider
                and rule.target_table = '{{ this.identifier }}'
                and rule.superseded_at is null
        ) as rules
        where {{ in_build('owner.venue_id') }}
    ) as mapping on mapping.venue_id = {{ entity }}.venue_id and mapping.provider = {{ entity }}.provider
    left join lateral (
        select control.map_fields(raw.payload, mapping.fields, mapping.rules) as result
        from (
            {%- for provider, document_type, stream in raw_tables(streams) %}
            select source.payload
            from {{ source('raw_' ~ provider, stream) }} as source
            where {{ of_raw_table(entity, provider, document_type) }} and mapping.rules is not null
                and source.venue_id = {{ entity }}.venue_id
                and source.account_id = {{ entity }}.account_id
                and source.id = {{ entity }}.raw_id
            {{ 'union all' if not loop.last }}
            {%- endfor %}
        ) as raw
        {# Evaluated once a row, and not for each column made of it. #}
        offset 0
    ) as mapped on mapping.rules is not null
{%- endmacro %}


{% macro raw_tables(streams) -%}
    {#- Each raw table of `mapping`'s streams: its provider, the document_type of its rows or none, its name. -#}
    {%- set tables = [] -%}
    {%- for provider, given in streams.items() -%}
        {%- for document_type, stream in ({none: given} if given is string else given).items() -%}
            {%- do tables.append((provider, document_type, stream)) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(tables) }}
{%- endmacro %}


{% macro of_raw_table(entity, provider, document_type) -%}
    {{ entity }}.provider = '{{ provider }}'
    {%- if document_type %} and {{ entity }}.document_type = '{{ document_type }}'{% endif %}
{%- endmacro %}


{% macro mapped(column, type='text') -%}
    {#- The venue's own value of the field, null where its rule fails; the default's where it has no rule. -#}
    {%- set field = column.split('.') | last -%}
    case
        when '{{ field }}' = any (mapping.fields)
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


{% macro set_aside(candidate, streams) -%}
    {#-
        The rows on which a rule fails, with why, beside the candidate; and out of it those that lack
        what is required. Deleted ones are held to nothing, and the lines of a document, which its
        payload maps, fail as one. What is published of it is `control.quarantine`.
    -#}
    create unlogged table {{ candidate.schema }}.{{ candidate.identifier }}_failing as
    select distinct
        failing.venue_id,
        failing.provider,
        failing.account_id,
        failing.source_id,
        case
        {%- for provider, document_type, stream in raw_tables(streams) %}
            when {{ of_raw_table('failing', provider, document_type) }} then 'raw_{{ provider }}.{{ stream }}'
        {%- endfor %}
        end as raw_table,
        failing.raw_id,
        failing.raw_content_hash,
        failing.mapping_errors as errors,
        failing.mapping_version,
        exists (
            select from {{ source('control', 'field_mappings') }} as rule
            where rule.superseded_at is null
                and rule.required
                and rule.venue_id = failing.venue_id
                and rule.provider = failing.provider
                and rule.target_table = '{{ candidate.identifier }}'
                and failing.mapping_errors ? rule.target_field
        ) as kept_out
    from {{ candidate }} as failing
    where failing.mapping_errors is not null and failing.deleted_at is null;

    analyze {{ candidate.schema }}.{{ candidate.identifier }}_failing;

    delete from {{ candidate }} as row
    using {{ candidate.schema }}.{{ candidate.identifier }}_failing as failing
    where failing.kept_out
        and failing.venue_id = row.venue_id
        and failing.provider = row.provider
        and failing.account_id = row.account_id
        and failing.source_id = row.source_id;
{%- endmacro %}
