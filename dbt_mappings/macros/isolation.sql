{% macro isolate_venues(relation) -%}
    {#- Row-level security and grants of a new table, in the transaction that makes it. -#}
    alter table {{ relation }} enable row level security, force row level security;
    create policy build on {{ relation }} to current_user using (true) with check (true);
    create policy venue_isolation on {{ relation }} for select to analyst
        using (venue_id = control.analyst_venue());
    create policy all_venues on {{ relation }} for select to analyst_all using (true);
    grant select on {{ relation }} to analyst, analyst_all;
{%- endmacro %}
