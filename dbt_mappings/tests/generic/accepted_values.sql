{% test accepted_values(model, column_name, values) %}
{#- In place of dbt's own, whose rows say nothing of venues. -#}
select *
from {{ model }}
where {{ column_name }} not in ({% for value in values %}{{ dbt.string_literal(value) }}{{ ', ' if not loop.last }}{% endfor %})
{% endtest %}
