{% test exact_money(model, amounts, currency='currency') %}
{#- Each amount is its minor units to the last digit, in a known currency, and has no digit more. -#}
select *
from {{ model }}
where
    {%- for amount in amounts %}
    {{ 'or ' if not loop.first }}{{ amount }}_minor is distinct from
        {{ amount }} * power(10::numeric, {{ currency_exponent(currency) }})
    or scale({{ amount }}) > {{ currency_exponent(currency) }}
    or ({{ amount }}_minor is not null and {{ currency }} !~ '^[A-Z]{3}$')
    {%- endfor %}
{% endtest %}
