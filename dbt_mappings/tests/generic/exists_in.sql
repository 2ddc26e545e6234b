{% test exists_in(model, to, column, key='source_id') %}
{#- What a row names exists, in the same account of the same venue. -#}
with children as (
    select * from {{ model }}
)

select child.*
from children as child
left join {{ candidate_or_published(to) }} as parent
    on parent.venue_id = child.venue_id
    and parent.provider = child.provider
    and parent.account_id = child.account_id
    and parent.{{ key }} = child.{{ column }}
where child.{{ column }} is not null and parent.venue_id is null
{% endtest %}
