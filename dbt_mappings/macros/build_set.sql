{#-
    The venues of a build stand in control.dbt_build_venues, but for those held back. As a table, and
    not a variable, the set changes nothing that dbt parsed. What is compiled, and not run, leaves them
    to whoever runs it (see defs/dbt_build.py).
-#}

{% macro in_build(column='venue_id') -%}
    {#-
        A small set is written out: Postgres then plans with the venues' own statistics, and reads
        one venue of a large raw table through its primary key.
    -#}
    {%- if flags.WHICH == 'compile' -%}
        {{ column }} = any (%(venue_ids)s)
    {%- elif not execute -%}
        true
    {%- else -%}
        {%- set build_venues = source('control', 'dbt_build_venues') -%}
        {%- set venues = run_query('select venue_id from ' ~ build_venues ~ ' where not held_back order by 1 limit 101').columns[0].values() -%}
        {%- if venues | length == 0 -%}
            false
        {%- elif venues | length <= 100 -%}
            {{ column }} in (
                {%- for venue in venues %}{{ dbt.string_literal(venue) }}{{ ', ' if not loop.last }}{% endfor -%}
            )
        {%- else -%}
            {{ column }} in (select venue_id from {{ build_venues }} where not held_back)
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro scoped(relation) -%}
    {#- The relation's rows of this build. -#}
    (select * from {{ candidate_or_published(relation) }} where {{ in_build() }})
{%- endmacro %}


{% macro default__get_where_subquery(relation) -%}
    {#- Every generic test looks at the venues of the build alone. -#}
    {%- set where = config.get('where') -%}
    (select * from {{ candidate_or_published(relation) }} where {{ in_build() }}{{ ' and (' ~ where ~ ')' if where }}) dbt_subquery
{%- endmacro %}
