{#-
    Minor units are integers of 10^-exponent. The exponents are those of Stripe's API
    (docs.stripe.com/currencies), which agree with ISO 4217 but for: ISK and UGX, kept at two
    decimals that are always zero; MGA, counted in whole ariary. HUF and TWD have two decimals as in
    ISO, in payouts too, where they must be zero. A provider that counts otherwise is converted in
    its own mapping.
-#}

{% macro currency_exponent(currency='currency') -%}
    case
        when {{ currency }} in (
            'BIF', 'CLP', 'DJF', 'GNF', 'JPY', 'KMF', 'KRW', 'MGA', 'PYG', 'RWF', 'VND', 'VUV', 'XAF', 'XOF', 'XPF'
        ) then 0
        when {{ currency }} in ('BHD', 'JOD', 'KWD', 'OMR', 'TND') then 3
        else 2
    end
{%- endmacro %}


{% macro money(amount_minor, currency='currency') -%}
    {#- Exact, and with as many decimals as the currency has. -#}
    {{ amount_minor }} * case {{ currency_exponent(currency) }} when 0 then 1 when 3 then 0.001 else 0.01 end
{%- endmacro %}


{% macro in_minor_units(amount, currency='currency') -%}
    {#- An amount in the currency itself, as QuickBooks writes it. -#}
    {{ amount }} * case {{ currency_exponent(currency) }} when 0 then 1 when 3 then 1000 else 100 end
{%- endmacro %}


{% macro minor_units(amount, currency='currency') -%}
    round({{ in_minor_units(amount, currency) }})::bigint
{%- endmacro %}


{% macro at_same_rate(part_minor, settled_minor, amount_minor) -%}
    {#-
        A part of a settlement, in the currency of the payment, at the rate at which that payment
        itself settled. The published exchange rate says nothing of exponents; the two amounts do.
    -#}
    round({{ part_minor }}::numeric * {{ amount_minor }} / nullif(abs({{ settled_minor }}), 0))::bigint
{%- endmacro %}


{% macro whole(amount_minor_decimal) -%}
    {#- Minor units; null where there is a fraction of one. -#}
    case when {{ amount_minor_decimal }} % 1 = 0 then ({{ amount_minor_decimal }})::bigint end
{%- endmacro %}
