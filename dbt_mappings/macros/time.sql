{% macro business_date(instant, venue='venue') -%}
    {#- The venue's own day: by its wall clock, which knows of daylight saving, from its opening hour. -#}
    (({{ instant }} at time zone {{ venue }}.timezone) - {{ venue }}.day_starts_at::interval)::date
{%- endmacro %}


{% macro opening(day, venue='venue') -%}
    {#- The first instant of the venue's own day. -#}
    ({{ day }} + {{ venue }}.day_starts_at) at time zone {{ venue }}.timezone
{%- endmacro %}
