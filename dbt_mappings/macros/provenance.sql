{% macro raw_provenance(deleted=none) -%}
    {#- `deleted`: the payload's own flag, set on the stub that Stripe answers for a deleted object. -#}
    raw.venue_id,
    raw.account_id,
    raw.id as raw_id,
    raw.observed_at as raw_observed_at,
    raw.content_hash as raw_content_hash,
    {% if deleted -%}
    coalesce(raw.deleted_at, case when {{ deleted }} = 'true' then raw.last_changed_at end) as deleted_at
    {%- else -%}
    raw.deleted_at
    {%- endif -%}
{%- endmacro %}


{% macro provenance(alias) -%}
    {{ alias }}.raw_id,
    {{ alias }}.raw_observed_at,
    {{ alias }}.raw_content_hash,
    {{ alias }}.deleted_at
{%- endmacro %}
