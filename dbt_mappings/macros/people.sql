{% macro normalised_email(email) -%}
    nullif(lower(btrim({{ email }})), '')
{%- endmacro %}


{% macro normalised_phone(phone, country) -%}
    {#-
        With the country's code, as +4930123456: as typed where it says so, else by the country of
        whom it is, without the zero that is dialled within it. Without either it is its digits. Six
        digits or less are an extension, and none.
    -#}
    {%- set digits = "regexp_replace(" ~ phone ~ ", '[^0-9]', '', 'g')" -%}
    case
        when length({{ digits }}) < 7 then null
        when btrim({{ phone }}) ~ '^(\+|00)' then '+' || ltrim({{ digits }}, '0')
        when {{ calling_code(country) }} is not null and length({{ digits }}) <= 11
            then '+' || {{ calling_code(country) }} || case
                when {{ calling_code(country) }} = '1' then right({{ digits }}, 10)
                else ltrim({{ digits }}, '0')
            end
        else {{ digits }}
    end
{%- endmacro %}


{% macro calling_code(country) -%}
    {#- ITU-T E.164, of countries in which the providers do business. -#}
    case upper({{ country }})
        when 'US' then '1' when 'CA' then '1' when 'GB' then '44' when 'IE' then '353' when 'FR' then '33'
        when 'ES' then '34' when 'PT' then '351' when 'IT' then '39' when 'DE' then '49' when 'AT' then '43'
        when 'CH' then '41' when 'NL' then '31' when 'BE' then '32' when 'LU' then '352' when 'DK' then '45'
        when 'NO' then '47' when 'SE' then '46' when 'FI' then '358' when 'PL' then '48' when 'CZ' then '420'
        when 'JP' then '81' when 'AU' then '61' when 'NZ' then '64' when 'SG' then '65' when 'MX' then '52'
        when 'BR' then '55' when 'KW' then '965' when 'AE' then '971' when 'IN' then '91' when 'HK' then '852'
    end
{%- endmacro %}
