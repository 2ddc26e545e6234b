{% macro isolate_venues(relation) -%}
    {#-
        Row-level security and grants, given once to each new table: the statements lock the table
        against its readers, so a table that already has them is left alone.
    -#}
    {%- if execute -%}
        {%- set isolated = run_query(
            "select 1 from pg_policy where polname = 'venue_isolation' and polrelid = '" ~ relation ~ "'::regclass"
        ) -%}
        {%- if isolated.rows | length == 0 -%}
            alter table {{ relation }} enable row level security, force row level security;
            create policy build on {{ relation }} to current_user using (true) with check (true);
            create policy venue_isolation on {{ relation }} for select to analyst
                using (venue_id = control.analyst_venue());
            create policy all_venues on {{ relation }} for select to analyst_all using (true);
            grant select on {{ relation }} to analyst, analyst_all;
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
