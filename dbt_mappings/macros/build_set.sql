{#-
    The venues of a build stand in control.dbt_build_venues; an empty set means all of them. As a
    table, and not a variable, the set changes nothing that dbt parsed.
-#}

{% macro in_build(column='venue_id') -%}
    {#-
        A small set is written out: Postgres then plans with the venues' own statistics, and reads
        one venue of a large raw table through its primary key.
    -#}
    {%- if not execute or flags.FULL_REFRESH -%}
        true
    {%- else -%}
        {%- set build_venues = source('control', 'dbt_build_venues') -%}
        {%- set venues = run_query('select venue_id from ' ~ build_venues ~ ' order by 1 limit 101').columns[0].values() -%}
        {%- if venues | length == 0 -%}
            true
        {%- elif venues | length <= 100 -%}
            {{ column }} in (
                {%- for venue in venues %}{{ dbt.string_literal(venue) }}{{ ', ' if not loop.last }}{% endfor -%}
            )
        {%- else -%}
            {{ column }} in (select venue_id from {{ build_venues }})
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro scoped(relation) -%}
    {#- The relation's rows of this build; all of them while the model's own table is new. -#}
    {%- if is_incremental() -%}
        (select * from {{ relation }} where {{ in_build() }})
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}


{% macro get_incremental_replace_venues_sql(arguments) -%}
    {#- A venue whose last row is gone ends with none: what goes is named by the set, not by what comes. -#}
    {%- set columns = arguments['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    delete from {{ arguments['target_relation'] }} where {{ in_build() }};
    insert into {{ arguments['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arguments['temp_relation'] }};
{%- endmacro %}


{% macro default__get_where_subquery(relation) -%}
    {#- Every generic test looks at the venues of the build alone. -#}
    {%- set where = config.get('where') -%}
    (select * from {{ relation }} where {{ in_build() }}{{ ' and (' ~ where ~ ')' if where }}) dbt_subquery
{%- endmacro %}
