{#-
    Write, audit, publish: a model writes the rows of the build's venues to `candidates`; tests look
    at them there; and what passes replaces, by venue and in one transaction, what is published (see
    defs/dbt_build.py, which also takes the candidates away).
-#}

{% macro candidate_or_published(relation) -%}
    {#- The candidate where this build has made one: what is compiled is run with a search_path that begins there. -#}
    {%- if flags.WHICH == 'compile' -%}
        {%- set found = relation.include(database=false, schema=false) -%}
    {%- elif execute -%}
        {%- set found = adapter.get_relation(relation.database, 'candidates', relation.identifier) -%}
    {%- endif -%}
    {{- found or relation -}}
{%- endmacro %}


{% materialization candidate, adapter='postgres' %}
    {%- set candidate = this.incorporate(path={'schema': 'candidates'}, type='table') -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- call statement('main') -%}
        create unlogged table {{ candidate }} as (
            {{ sql }}
        );
    {%- endcall -%}
    {%- set mapped = config.get('meta', {}).get('mapped') -%}
    {%- if mapped -%}
        {%- do run_query(set_aside(candidate, mapped)) -%}
    {%- endif -%}
    {#- Tests and models that read it are planned with what it holds. -#}
    {%- do run_query('analyze ' ~ candidate) -%}
    {%- if adapter.get_relation(this.database, this.schema, this.identifier) is none -%}
        {%- do run_query('create table ' ~ this ~ ' (like ' ~ candidate ~ ')') -%}
        {%- do create_indexes(this) -%}
        {%- do run_query(isolate_venues(this)) -%}
    {%- endif -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {%- do adapter.commit() -%}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [candidate]}) }}
{% endmaterialization %}
